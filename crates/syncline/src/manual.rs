//! The manual, the man page and the completions, made from the table of options.

use std::io::Write;

use crate::args::command;
use crate::options::{Kind, Opt, options};

/// What the table of options does not say. Headings and paragraphs.
const SECTIONS: &[(&str, &str)] = &[
    (
        "WHAT CONSUMERS CAN RELY ON",
        "The link always leads to a complete tree, the old one or the new one: it is replaced by one rename(2). Its target \
         is relative and ends in the full id of the commit. A published tree is never written again; unchanged files are \
         shared between trees by hard links, so consumers must not write to them. A replaced tree is removed at once, or \
         after --stale-worktree-timeout.",
    ),
    (
        "LOGGING IN",
        "At the repository's own server by one of: a login in the URL, --username with a password, a bearer token, \
         --askpass-url, a GitHub App, --oauth-token-url. At other servers and parts of servers by --credential, \
         --netrc-file and --cookie-file. Files are read anew for every sync. Tokens that are asked for are kept until \
         half a minute before they expire. When a server answers 401 the sync is tried once more, at once, if a file has \
         changed or a kept token can be replaced. A login goes to its own server only, and the token that Kubernetes gives \
         to every pod to none.",
    ),
    (
        "HOOKS",
        "After a commit was published, and at the first sync of a process, the exechook is run in the tree with \
         GITSYNC_HASH set, the webhook is requested with the header Gitsync-Hash, and --notify-signal is sent to the \
         processes named --notify-process: those whose /proc/PID/comm or file name of argv[0] it is, but for those whose \
         parent is one of them. They must share the PID namespace (in a pod, shareProcessNamespace: true) and have the same \
         user, unless syncline has CAP_KILL. Each hook has a place for one event: the newest commit is delivered, not every \
         one. A failed delivery is tried again after its backoff. With --one-time \
         each is tried once, and a failure makes the exit code 1, though the commit is published. A pre-publish exechook \
         runs when something new is about to be published; with --pre-publish-exechook-required it decides.",
    ),
    (
        "HTTP",
        "With --http-bind: / answers 503 until the first success and 200 ever after, as git-sync does; /livez answers while \
         the process lives; /readyz answers 200 while the last success is younger than --stale-after; /status tells as JSON \
         what is published; /v1/changes?after=COMMIT answers with the commit, subject, committed_at and published_at of what is \
         published as soon as that is another than COMMIT (or anything, without after), waits up to 60 seconds for that \
         (timeout=SECONDS for less) and answers 204 then; of such requests 64 wait at once, others get 503; /metrics speaks \
         to Prometheus. 'syncline healthcheck [PATH]' asks such a server on the same \
         host, by default for /readyz, and exits with 0 or 1.",
    ),
    (
        "SYSTEMD",
        "With NOTIFY_SOCKET set, as a unit of Type=notify has it, the manager is told READY=1 after the first sync, STATUS= \
         with what goes on, and STOPPING=1; with WatchdogSec= also WATCHDOG=1 while the loop lives.",
    ),
    (
        "SIGNALS",
        "SIGTERM and SIGINT end the process within two seconds with exit code 0 and leave nothing that the next start does \
         not clear. The signal of --sync-on-signal starts a sync at once.",
    ),
    (
        "FILES",
        "ROOT/.git is a repository that stock git can read, ROOT/.worktrees/ID the tree of a commit. Half-made things have \
         names that begin with tmp- or .tmp- and are cleared at start. Nothing else under the root is touched.",
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
    for option in options().filter(|option| option.is_current()) {
        if option.topic != topic {
            topic = option.topic;
            text.push_str(&format!("\n{}\n", topic.to_uppercase()));
        }
        text.push_str(&entry(option));
    }
    text.push_str("\nOLDER NAMES\n");
    for option in options().filter(|option| !option.is_current()) {
        text.push_str(&entry(option));
    }
    for (heading, body) in SECTIONS {
        text.push_str(&format!("\n{heading}\n\n{}", paragraph(body, "")));
    }
    text
}

fn entry(option: &Opt) -> String {
    let form = match option.kind {
        Kind::Value(form) | Kind::List(form) => format!("--{}={form}", option.name),
        Kind::Secret => "(environment only)".into(),
        _ => format!("--{}", option.name),
    };
    let names = option.variables().join(", ");
    let default =
        if option.default.is_empty() { String::new() } else { format!(" Default: {}.", option.default) };
    let names = if names.is_empty() { String::new() } else { format!("    {names}\n") };
    format!("\n  {form}\n{names}{}", paragraph(&format!("{}.{default}", option.help), "    "))
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

/// `syncline generate WHAT`, for packagers: the man page, or the completions of a shell.
pub fn generate(what: &str) -> Result<Vec<u8>, String> {
    let mut output = Vec::new();
    let mut command = command();
    match what {
        "man" => {
            let man = clap_mangen::Man::new(command);
            let written = man.render(&mut output).and_then(|()| {
                SECTIONS.iter().try_for_each(|(heading, body)| writeln!(output, ".SH {heading}\n{body}"))
            });
            written.map_err(|err| err.to_string())?;
        }
        shell => {
            let shell: clap_complete::Shell = shell
                .parse()
                .map_err(|_| format!("generate: {what:?} is neither man, bash, zsh, fish nor elvish"))?;
            clap_complete::generate(shell, &mut command, "syncline", &mut output);
        }
    }
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
                option.kind == Kind::Secret || text.contains(&format!("  --{}", option.name)),
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
