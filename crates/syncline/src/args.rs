//! What was typed or set, as text: nothing is resolved or judged here but whether a name is known.
//!
//! Every option `--some-name` has a twin in the environment, `GITSYNC_SOME_NAME`; what is typed wins.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser};

/// Keep a directory in step with a Git reference and publish every new commit atomically through a symlink.
///
/// Takes the options, environment variables and directory layout of kubernetes/git-sync. Durations are written
/// as 10s, 1m30s or 100ms; 0 stands for none.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, args_override_self = true)]
#[command(after_help = "Every option can be set in the environment: --some-name is GITSYNC_SOME_NAME.")]
#[command(
    after_long_help = "Every option can be set in the environment: --some-name is GITSYNC_SOME_NAME.\n\n\
    Exit codes: 0 after --one-time succeeded or a signal; 1 for wrong options or too many failures.\n\n\
    Example:\n  syncline --repo=https://example.com/site.git --ref=main --root=/srv/site --period=30s\n\
    publishes the newest main under /srv/site/site.git."
)]
pub struct Args {
    /// The repository: an https, http, git or file URL, or a path
    #[arg(long, value_name = "URL", help_heading = "What to sync")]
    pub repo: Option<String>,

    /// The branch, tag, full reference or full commit id to publish [default: HEAD]
    #[arg(long = "ref", value_name = "REF", help_heading = "What to sync")]
    pub reference: Option<String>,

    /// How many commits of history to keep; 0 for all [default: 1]
    #[arg(long, value_name = "N", help_heading = "What to sync", allow_hyphen_values = true)]
    pub depth: Option<String>,

    /// The directory to work in; created if need be
    #[arg(long, value_name = "DIR", help_heading = "Where to publish")]
    pub root: Option<OsString>,

    /// The symlink to publish, absolute or relative to the root [default: the last part of the URL]
    #[arg(long, value_name = "PATH", help_heading = "Where to publish")]
    pub link: Option<OsString>,

    /// How long a tree is kept after it was replaced [default: 0: removed at once]
    #[arg(long, value_name = "DURATION", help_heading = "Where to publish", allow_hyphen_values = true)]
    pub stale_worktree_timeout: Option<String>,

    /// Wait for another process that owns the root instead of giving up
    #[arg(long, value_name = "BOOL", help_heading = "Where to publish", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub wait_for_lock: Option<String>,

    /// How long to wait between two syncs [default: 10s]
    #[arg(long, value_name = "DURATION", help_heading = "When to sync", allow_hyphen_values = true)]
    pub period: Option<String>,

    /// Exit after the first successful sync
    #[arg(long, value_name = "BOOL", help_heading = "When to sync", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub one_time: Option<String>,

    /// How long one sync may take before it is stopped and counts as failed [default: 2m]
    #[arg(long, value_name = "DURATION", help_heading = "When to sync", allow_hyphen_values = true)]
    pub sync_timeout: Option<String>,

    /// How many syncs in a row may fail before giving up; negative for any number
    ///
    /// When not given, the first sync must succeed unless an earlier one is still published; after that,
    /// failures are retried for ever, with growing pauses, while the last good tree stays published.
    #[arg(long, value_name = "N", help_heading = "When to sync", allow_hyphen_values = true)]
    pub max_failures: Option<String>,

    /// A file of PEM certificates to trust for https, besides the usual ones; may be repeated
    #[arg(long, value_name = "FILE", help_heading = "How to connect")]
    pub ca_file: Vec<OsString>,

    /// The form of the log: auto (text on a terminal, JSON lines otherwise), text or json [default: auto]
    #[arg(long, value_name = "FORM", help_heading = "What to log")]
    pub log_format: Option<String>,

    /// How much to log: 0 for changes and failures, 1 for every sync [default: 0]
    #[arg(short, long, value_name = "LEVEL", help_heading = "What to log", allow_hyphen_values = true)]
    pub verbose: Option<String>,

    /// git-sync passes over what is neither an option nor its value; so does this.
    #[arg(hide = true)]
    pub ignored: Vec<OsString>,
}

/// What a command line amounts to.
#[derive(Debug)]
pub enum Parsed {
    /// Options to run with, and the faults among them.
    Run(Box<Args>, Vec<String>),
    /// `--help` or `--version`: a text to print.
    Show(String),
}

/// Parse a command line and the environment. Unknown names are gathered, so that they can be reported together
/// with whatever else is wrong.
pub fn parse(
    argv: impl IntoIterator<Item = OsString>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Parsed, Vec<String>> {
    let mut command = Args::command();
    let mut line: Vec<OsString> = vec![command.get_name().into()];
    line.extend(from_environment(&command, environment));
    line.extend(argv.into_iter().skip(1));
    let mut faults = Vec::new();
    loop {
        let err = match command.try_get_matches_from_mut(&line) {
            Ok(matches) => {
                let args = Args::from_arg_matches(&matches).map_err(|err| vec![first_line(&err)])?;
                return Ok(Parsed::Run(Box::new(args), faults));
            }
            Err(err) => err,
        };
        if matches!(err.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            return Ok(Parsed::Show(err.render().to_string()));
        }
        faults.push(describe(&err));
        // clap stops at the first fault: go on without it to find the others.
        let Some(at) = culprit(&err).and_then(|name| line.iter().rposition(|arg| is_culprit(arg, &name)))
        else {
            return Err(faults);
        };
        line.remove(at);
    }
}

/// The environment's options in the form of arguments, to stand before the typed ones.
fn from_environment(
    command: &clap::Command,
    environment: impl Fn(&str) -> Option<OsString>,
) -> impl Iterator<Item = OsString> {
    command
        .get_arguments()
        .filter_map(|arg| arg.get_long())
        .filter(|name| !matches!(*name, "help" | "version"))
        .filter_map(move |name| {
            let mut argument = OsString::from(format!("--{name}="));
            argument.push(environment(&variable(name))?);
            Some(argument)
        })
        .collect::<Vec<_>>()
        .into_iter()
}

/// The environment's twin of an option.
fn variable(option: &str) -> String {
    format!("GITSYNC_{}", option.replace('-', "_").to_uppercase())
}

fn culprit(err: &clap::Error) -> Option<String> {
    match err.get(ContextKind::InvalidArg)? {
        ContextValue::String(name) => Some(name.split([' ', '=']).next().unwrap_or(name).to_owned()),
        _ => None,
    }
}

fn is_culprit(argument: &OsString, name: &str) -> bool {
    let text = argument.to_string_lossy();
    text == name
        || text.strip_prefix(name).is_some_and(|rest| rest.starts_with('='))
        || (!name.starts_with("--") && text.starts_with(name))
}

fn describe(err: &clap::Error) -> String {
    let Some(name) = culprit(err) else { return first_line(err) };
    match (err.kind(), err.get(ContextKind::SuggestedArg)) {
        (ErrorKind::UnknownArgument, Some(ContextValue::String(meant))) => {
            format!("{name}: unknown option; did you mean {meant}?")
        }
        (ErrorKind::UnknownArgument, _) => format!("{name}: unknown option"),
        (ErrorKind::InvalidValue | ErrorKind::NoEquals, _) => format!("{name}: needs a value"),
        _ => first_line(err),
    }
}

fn first_line(err: &clap::Error) -> String {
    let text = err.render().to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(argv: &[&str], environment: &[(&str, &str)]) -> Result<Parsed, Vec<String>> {
        let argv = std::iter::once("syncline").chain(argv.iter().copied()).map(Into::into);
        parse(argv, |name| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        })
    }

    fn args(argv: &[&str], environment: &[(&str, &str)]) -> Args {
        match run(argv, environment) {
            Ok(Parsed::Run(args, faults)) if faults.is_empty() => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_is_typed_beats_the_environment() {
        let environment =
            [("GITSYNC_REF", "env"), ("GITSYNC_MAX_FAILURES", "-1"), ("GITSYNC_ONE_TIME", "false")];
        let args = args(&["--ref", "typed", "--one-time"], &environment);
        assert_eq!(args.reference.as_deref(), Some("typed"));
        assert_eq!(args.max_failures.as_deref(), Some("-1"));
        assert_eq!(args.one_time.as_deref(), Some("true"));
    }

    #[test]
    fn the_last_of_a_repeated_option_wins_and_stray_words_are_passed_over() {
        let args = args(&["--period=1s", "--period", "2s", "--one-time", "true", "-v1"], &[]);
        assert_eq!(args.period.as_deref(), Some("2s"));
        assert_eq!(args.verbose.as_deref(), Some("1"));
        assert_eq!(args.ignored, ["true"]);
    }

    #[test]
    fn all_unknown_options_are_gathered() {
        let Ok(Parsed::Run(args, faults)) = run(&["--perido=5s", "--one-time", "--bogus", "x", "-q"], &[])
        else {
            panic!();
        };
        assert!(args.one_time.is_some());
        assert_eq!(
            faults,
            [
                "--perido: unknown option; did you mean --period?",
                "--bogus: unknown option",
                "-q: unknown option",
            ]
        );
    }

    #[test]
    fn an_option_without_its_value_is_named() {
        let Ok(Parsed::Run(_, faults)) = run(&["--repo"], &[]) else { panic!() };
        assert_eq!(faults, ["--repo: needs a value"]);
    }

    #[test]
    fn help_and_version_are_shown_whatever_else_is_wrong() {
        assert!(
            matches!(run(&["--help"], &[]), Ok(Parsed::Show(text)) if text.contains("--stale-worktree-timeout"))
        );
        assert!(matches!(run(&["--version"], &[]), Ok(Parsed::Show(text)) if text.starts_with("syncline ")));
    }
}
