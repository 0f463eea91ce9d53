//! The manual, the man page and the completions, made from the table of options.

use std::io::Write;

use crate::args::command;
use crate::options::{Kind, Row, options};
use crate::{reference, serve};

/// What the table of options does not say: headings and paragraphs.
const SECTIONS: &[(&str, &str)] = &[
    (
        "WHAT CONSUMERS CAN RELY ON",
        "The link always leads to a complete tree, the old one or the new one: one rename(2) replaces it. Its target is \
         relative and ends in the full commit ID. A published tree does not change as long as it is published. Trees share \
         unchanged files through hard links, so consumers must not write to them. A replaced tree is removed at once, or \
         after --stale-worktree-timeout; its files may then be reused for the next tree (see --worktree-reuse-delay).",
    ),
    (
        "LOGGING IN",
        "To log in at the repository's own server, use one of: a login in the URL, --username with a password, a bearer \
         token, --askpass-url, a GitHub App, or --oauth-token-url. For other servers and for parts of servers, use \
         --credential, --netrc-file and --cookie-file. Files are read again for every sync. Tokens are cached until half a \
         minute before they expire. If a server answers 401, the sync is retried once, at once, provided that a file has \
         changed or that a cached token can be replaced. A login is sent to its own server only, and the token that \
         Kubernetes gives to every pod is never sent.",
    ),
    (
        "HOOKS",
        "After each publication, and at the first sync of a process, the exechook runs in the tree with GITSYNC_HASH set, \
         the webhook is requested with the header Gitsync-Hash, and --notify-signal is sent to the processes named \
         --notify-process. A process has that name if it is in /proc/PID/comm or is the file name of argv[0]; its children \
         of the same name get no signal. The processes must share the PID namespace (in a pod, set shareProcessNamespace: \
         true) and run as the same user, unless syncline has CAP_KILL. Each hook receives the newest commit, and may miss \
         commits in between. A failed hook is retried after its backoff. With --one-time each hook runs once, and a failure \
         makes the exit code 1, although the commit is published. A pre-publish exechook runs before something new is \
         published; with --pre-publish-exechook-required, its success is required for the publication.",
    ),
    (
        "HTTP",
        "With --http-bind: / answers 503 until the first success and 200 from then on, as in git-sync; /livez answers while \
         the process lives; /readyz answers 200 while the last success is not older than --readyz-max-age; /status describes \
         what is published, as JSON, and as a page for browsers. /v1/changes?after=COMMIT waits until a commit other than COMMIT (without after: any \
         commit) is published, and answers with its commit, subject, committed_at and published_at. It waits for up to 60 \
         seconds (timeout=SECONDS for less) and then answers 204. 64 such requests can wait at the same time; others get 503. \
         /metrics serves Prometheus. 'syncline healthcheck [PATH]' asks such a server on the same host, by default for \
         /readyz, and exits with 0 or 1. 'syncline status [NAME|URL]' prints what it does, and exits with 0 if that is \
         fresh, 1 if it is stale and 2 if nobody answers.",
    ),
    (
        "SYSTEMD",
        "If NOTIFY_SOCKET is set, as in a unit with Type=notify, syncline sends READY=1 after the first sync, STATUS= with \
         what it does, and STOPPING=1; with WatchdogSec= also WATCHDOG=1 while the loop lives.",
    ),
    (
        "SIGNALS",
        "SIGTERM and SIGINT end the process within two seconds with exit code 0. The next start cleans up what is left. The \
         signal of --sync-on-signal starts a sync at once.",
    ),
    (
        "FILES",
        "ROOT/.git is a repository that Git can read; ROOT/.worktrees/ID is the tree of a commit. Incomplete files have names \
         that begin with tmp- or .tmp- and are deleted at start. Nothing else under the root is touched.",
    ),
    (
        "EXIT CODES",
        "0: a one-time sync succeeded, or a signal ended the process. 1: wrong options, or too many failures.",
    ),
];

/// The whole manual as plain text.
pub fn text() -> String {
    let mut text = String::from("SYNCLINE\n\n");
    let about = command().get_long_about().map(ToString::to_string).unwrap_or_default();
    text.push_str(&paragraph(&about, ""));
    let mut topic = "";
    for option in options() {
        if option.topic != topic {
            topic = option.topic;
            text.push_str(&format!("\n{}\n", topic.to_uppercase()));
        }
        text.push_str(&entry(option));
    }
    for (heading, body) in SECTIONS {
        text.push_str(&format!("\n{heading}\n\n{}", paragraph(body, "")));
    }
    text
}

fn entry(option: &Row) -> String {
    let form = match option.kind {
        Kind::Value(form) | Kind::List(form) => format!("--{}={form}", option.name),
        Kind::Secret => "(environment only)".into(),
        _ => format!("--{}", option.name),
    };
    let names = option.variables().join(", ");
    let names = if names.is_empty() { String::new() } else { format!("    {names}\n") };
    format!("\n  {form}\n{names}{}", paragraph(&description(option), "    "))
}

fn description(option: &Row) -> String {
    let aliases: Vec<String> = option.aliases.iter().map(|alias| format!("--{alias}")).collect();
    let named =
        |name: &str, text: &str| if text.is_empty() { String::new() } else { format!("{name}: {text}") };
    let parts = [
        option.help.to_owned(),
        option.details.to_owned(),
        option.instead(),
        named("Older name", &aliases.join(", ")),
        named("Default", option.default),
    ];
    let sentences: Vec<String> =
        parts.into_iter().filter(|part| !part.is_empty()).map(|part| format!("{part}.")).collect();
    sentences.join(" ")
}

/// Lines of at most 80 characters.
fn paragraph(text: &str, indent: &str) -> String {
    let mut lines = String::new();
    for part in text.split('\n') {
        let mut line = indent.to_owned();
        for word in part.split(' ').filter(|word| !word.is_empty()) {
            if line.len() + word.len() > 80 {
                lines.push_str(line.trim_end());
                lines.push('\n');
                line = indent.to_owned();
            }
            line.push_str(word);
            line.push(' ');
        }
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
    lines
}

/// `syncline generate WHAT`, for packagers and documents: the man page, the completions of a shell, or the reference.
pub fn generate(what: &str) -> Result<Vec<u8>, String> {
    match what {
        "man" => page().map_err(|err| err.to_string()),
        "metrics" => Ok(serve::metrics_reference().into_bytes()),
        "options" => Ok(reference::markdown().into_bytes()),
        shell => completions(shell),
    }
}

fn page() -> std::io::Result<Vec<u8>> {
    let mut output = Vec::new();
    let described = options().fold(command(), |command, option| {
        command.mut_arg(option.name, |arg| arg.long_help(description(option)))
    });
    clap_mangen::Man::new(described).render(&mut output)?;
    for (heading, body) in SECTIONS {
        writeln!(output, ".SH {heading}\n{body}")?;
    }
    Ok(output)
}

fn completions(shell: &str) -> Result<Vec<u8>, String> {
    let mut output = Vec::new();
    let shell: clap_complete::Shell = shell.parse().map_err(|_| {
        format!("generate: must be man, options, metrics, bash, zsh, fish or elvish, not {shell:?}")
    })?;
    clap_complete::generate(shell, &mut command(), "syncline", &mut output);
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_names_every_option_and_every_variable() {
        let text = text();
        for option in options() {
            assert!(
                matches!(option.kind, Kind::Secret) || text.contains(&format!("  --{}", option.name)),
                "{}",
                option.name
            );
            for variable in option.variables() {
                assert!(text.contains(&variable), "{variable}");
            }
        }
        assert!(text.lines().all(|line| line.len() <= 100));
    }

    #[test]
    fn man_page_and_completions_are_made() {
        let page = String::from_utf8(generate("man").unwrap()).unwrap();
        assert!(
            page.starts_with(".ie")
                && page.contains(".SH HOOKS")
                && page.contains("stale\\-worktree\\-timeout")
        );
        for shell in ["bash", "zsh", "fish"] {
            assert!(String::from_utf8(generate(shell).unwrap()).unwrap().contains("sync-timeout"), "{shell}");
        }
        assert!(generate("tcsh").is_err());
    }
}
