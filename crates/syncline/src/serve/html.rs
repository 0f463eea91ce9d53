//! `/status` as a page for browsers: no script, nothing from elsewhere, everything escaped by the template.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::view::{BoardView, GroupLine, RepoLine, RepoView, Row, Text};

const STYLE: &str = "\
:root { color-scheme: light dark; --line: #8884; --bad: #c22; --warn: #a60; --good: #2a7a3b }
@media (prefers-color-scheme: dark) { :root { --bad: #f77; --warn: #fb4; --good: #7c9 } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.4em } h2 { font-size: 1.1em; margin-top: 2em }
.fresh { color: var(--good) } .failing { color: var(--warn) } .stale { color: var(--bad) }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .3em .8em .3em 0; border-bottom: 1px solid var(--line) }
th { font-weight: 600; white-space: nowrap } td { overflow-wrap: anywhere }
abbr { text-decoration: none; border-bottom: 1px dotted }
footer { margin-top: 2em; opacity: .7; font-size: .9em }
";

/// What a browser may do with the page: nothing but show it with its style.
pub(super) const HEADERS: [(&str, &str); 5] = [
    ("content-type", "text/html; charset=utf-8"),
    (
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
];

/// Of one repository.
pub(super) fn repo(view: &RepoView) -> String {
    let class = class(view.state, view.unready.is_none());
    let title = if view.name.is_empty() { "syncline" } else { &view.name };
    page(
        title,
        html! {
            @if !view.name.is_empty() { p { a href="/status" { "All repositories" } } }
            p class=(class) { strong { (view.state) } ", " (view.verdict()) }
            (rows(&view.rows))
            @if !view.attempts.is_empty() {
                h2 { "Last attempts" }
                table {
                    tr { th { "When" } th { "Result" } th { "Took" } th { "Error" } }
                    @for attempt in &view.attempts {
                        tr {
                            td { (shown(&attempt.at)) }
                            td { (attempt.outcome) }
                            td { (attempt.took) }
                            td { (attempt.error) }
                        }
                    }
                }
            }
        },
    )
}

/// Of many repositories.
pub(super) fn board(view: &BoardView) -> String {
    page(
        "syncline",
        html! {
            (rows(&view.rows))
            h2 { "Repositories" }
            table {
                tr { th { "Name" } th { "State" } th { "Commit" } th { "Subject" } th { "Last success" } th { "Last error" } }
                @for repo in &view.repos { (repo_line(repo)) }
            }
            @if !view.groups.is_empty() {
                h2 { "Groups" }
                table {
                    tr { th { "Name" } th { "Generation" } th { "Flipped" } th { "Members" } th { "Error" } }
                    @for group in &view.groups { (group_line(group)) }
                }
            }
        },
    )
}

fn repo_line(repo: &RepoLine) -> Markup {
    let fresh = if repo.is_ready { "fresh" } else { "stale" };
    html! {
        tr {
            td { a href={ "/status/" (repo.name) } { (repo.name) } }
            td class=(class(repo.state, repo.is_ready)) { (repo.state) ", " (fresh) }
            td { (shown(&repo.commit)) }
            td { (repo.subject) }
            td { (shown(&repo.last_success)) }
            td { (repo.error) }
        }
    }
}

fn group_line(group: &GroupLine) -> Markup {
    html! {
        tr {
            td { (group.name) }
            td { (shown(&group.generation)) }
            td { (shown(&group.flipped)) }
            td { (group.members) }
            td { (group.error) }
        }
    }
}

fn class(state: &str, is_ready: bool) -> &'static str {
    match (is_ready, state) {
        (false, _) => "stale",
        (true, "ok") => "fresh",
        (true, _) => "failing",
    }
}

fn rows(rows: &[Row]) -> Markup {
    html! { table { @for row in rows { tr { th { (row.name) } td { (shown(&row.text)) } } } } }
}

/// The whole text appears when the pointer is on it.
fn shown(text: &Text) -> Markup {
    match &text.full {
        Some(full) => html! { abbr title=(full) { (text.short) } },
        None => html! { (text.short) },
    }
}

fn page(title: &str, content: Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="refresh" content="10";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                (content)
                footer { "syncline " (env!("CARGO_PKG_VERSION")) ". This page loads itself again every 10 seconds." }
            }
        }
    }
    .into_string()
}
