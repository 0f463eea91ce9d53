//! The reference of all options as Markdown, made from their table: `docs/options.md`.

use crate::options::{Kind, Row, Scope, options};

const HEAD: &str = "\
# Every option

<!-- Written by `syncline generate options`. -->

What the command line takes. [Options by topic](options-by-topic.md) says which of these there are for what.

An option `--some-name` is also the variable `GITSYNC_SOME_NAME`. The command line wins over the environment. \
In a file of [many repositories](many-repositories.md) it is the key `some-name`, of a repository if nothing else is said \
here. A duration has a unit: `30s`, `1m30s`, `2h`. All wrong options are reported together, and nothing is touched then.
";

/// All options by topic, each under a heading of its own.
pub fn markdown() -> String {
    let mut text = String::from(HEAD);
    let mut topic = "";
    for option in options() {
        if option.topic != topic {
            topic = option.topic;
            text.push_str(&format!("\n## {topic}\n"));
        }
        text.push_str(&format!("\n### {}\n\n{}", heading(option), description(option)));
        text.extend(facts(option).iter().enumerate().map(|(at, fact)| {
            let gap = if at == 0 { "\n" } else { "" };
            format!("{gap}- {fact}\n")
        }));
    }
    text
}

fn heading(option: &Row) -> String {
    match option.kind {
        Kind::Secret => format!("`{}`", option.variables()[0]),
        _ => format!("`--{}`", option.name),
    }
}

fn description(option: &Row) -> String {
    let instead = option.instead();
    let texts = [option.help, option.details, &instead];
    let sentences: Vec<_> = texts.into_iter().filter(|text| !text.is_empty()).map(sentence).collect();
    if sentences.is_empty() { String::new() } else { format!("{}\n", sentences.join(" ")) }
}

fn sentence(text: &str) -> String {
    let mut first = text.chars();
    let capital = first.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{}.", marked_up(&(capital + first.as_str())))
}

/// What follows the description, as a list.
fn facts(option: &Row) -> Vec<String> {
    let code =
        |names: Vec<String>| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let mut facts = Vec::new();
    match option.kind {
        Kind::Value(form) => facts.push(format!("Form: `--{}={form}`", option.name)),
        Kind::List(form) => facts.push(format!("Form: `--{}={form}`; it may be repeated", option.name)),
        Kind::Switch => facts.push(format!("Form: `--{0}`, `--{0}=false`", option.name)),
        Kind::Secret => facts.push("It comes from the environment only".into()),
        Kind::Deprecated(..) | Kind::Ignored(_) => {}
    }
    if !option.default.is_empty() {
        facts.push(format!("Default: {}", default(option.default)));
    }
    let aliases: Vec<_> = option.aliases.iter().map(|alias| format!("--{alias}")).collect();
    if !aliases.is_empty() {
        facts.push(format!("Older name: {}", code(aliases)));
    }
    if !option.variables().is_empty() {
        facts.push(format!("Environment: {}", code(option.variables())));
    }
    if !option.secret_variables().is_empty() {
        facts.push("Hooks do not see the variable, since it may hold a secret".into());
    }
    facts.extend(scope(option).map(ToOwned::to_owned));
    facts
}

/// Where it stands in a file of many repositories, if not with a repository.
fn scope(option: &Row) -> Option<&'static str> {
    match option.scope {
        _ if !option.is_current() => None,
        Scope::Repository => None,
        Scope::Process => Some("With `--config`: at the top of the file"),
        Scope::Both => Some("With `--config`: at the top of the file, and of a repository"),
        Scope::Start => Some("With `--config`: not in the file"),
    }
}

/// A default is a value, or says in words what happens.
fn default(text: &str) -> String {
    if text.contains(' ') { marked_up(text) } else { format!("`{text}`") }
}

/// Plain text as Markdown: options lead to their headings, and nothing else is markup.
fn marked_up(text: &str) -> String {
    text.split('\n')
        .map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join(" ")
}

fn word(word: &str) -> String {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let from = word.find("--").unwrap_or(word.len());
    let (before, rest) = word.split_at(from);
    let (name, after) = rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()));
    let is_option = options().any(|option| !name.is_empty() && format!("--{}", option.name) == name);
    match is_option {
        true if after.starts_with('=') => format!("{}`{name}{after}`", escaped(before)),
        true => format!("{}[`{name}`](#{name}){}", escaped(before), escaped(after)),
        false => escaped(word),
    }
}

fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| "\\`*_[]<>|~".contains(c).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_lead_to_their_headings_and_nothing_else_is_markup() {
        for (text, shown) in [
            ("Like --period, but *-0", "Like [`--period`](#--period), but \\*-0"),
            ("(see --period)", "(see [`--period`](#--period))"),
            ("--period=5s does", "`--period=5s` does"),
            ("no --such or [a-z] or <x>", "no --such or \\[a-z\\] or \\<x\\>"),
        ] {
            assert_eq!(marked_up(text), shown);
        }
    }
}
