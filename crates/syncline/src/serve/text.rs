//! `/status` as text for terminals: what `syncline status` prints.

use std::fmt::Write;

use super::view::{BoardView, RepoLine, RepoView, Row, Text};

/// Of one repository.
pub(super) fn repo(view: &RepoView) -> String {
    let mut text = String::new();
    if !view.name.is_empty() {
        line(&mut text, "Name", &view.name);
    }
    line(&mut text, "State", &format!("{}, {}", view.state, view.verdict()));
    rows(&mut text, &view.rows);
    if !view.attempts.is_empty() {
        text.push_str("\nLast attempts\n");
    }
    for attempt in &view.attempts {
        let error = if attempt.error.is_empty() { String::new() } else { format!("  {}", attempt.error) };
        let _ =
            writeln!(text, "  {:<12}{:<13}{:>10}{error}", attempt.at.short, attempt.outcome, attempt.took);
    }
    text
}

/// Of many repositories.
pub(super) fn board(view: &BoardView) -> String {
    let mut text = String::new();
    rows(&mut text, &view.rows);
    let widest = view.repos.iter().map(|repo| repo.name.len()).max().unwrap_or_default();
    if !view.repos.is_empty() {
        text.push_str("\nRepositories\n");
    }
    for RepoLine { name, state, is_ready, commit, subject, last_success, error } in &view.repos {
        let fresh = if *is_ready { "fresh" } else { "stale" };
        let shown = if error.is_empty() { subject } else { error };
        let _ = writeln!(
            text,
            "  {name:<widest$}  {state:<9} {fresh}  {:<10}  {:<11}  {shown}",
            commit.short, last_success.short
        );
    }
    if !view.groups.is_empty() {
        text.push_str("\nGroups\n");
    }
    for group in &view.groups {
        let (name, shown, flipped) = (&group.name, &group.generation.short, &group.flipped.short);
        let last = if group.error.is_empty() { &group.members } else { &group.error };
        let _ = writeln!(text, "  {name}  {shown}  {flipped}  {last}");
    }
    text
}

fn rows(text: &mut String, rows: &[Row]) {
    for Row { name, text: Text { short, full } } in rows {
        match full {
            Some(full) => line(text, name, &format!("{short} ({full})")),
            None => line(text, name, short),
        }
    }
}

fn line(text: &mut String, name: &str, shown: &str) {
    let _ = writeln!(text, "{:<22}{shown}", format!("{name}:"));
}
