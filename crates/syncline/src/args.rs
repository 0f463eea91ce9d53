//! The command line and the environment as text: nothing is interpreted here, except whether a name is known.
//!
//! The command line beats the environment. Of several names in the environment the oldest that is set wins, as in
//! git-sync; but our own names beat those that other programs share.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::environment::Environment;
use crate::options::{self, Kind, Row, hints, is_echo, is_older, options};
use crate::origin::{Origin, Place};

/// The options that were given.
#[derive(Clone, Debug, Default)]
pub struct Args {
    given: HashMap<&'static str, Given>,
    /// The entry of a file that they are of, if they are of one.
    entry: Option<Place>,
    /// Unknown options and missing values.
    pub errors: Vec<String>,
    /// What works, but should be changed.
    pub warnings: Vec<String>,
}

/// The values of one option and where they came from.
#[derive(Clone, Debug)]
pub struct Given {
    /// All of them, in order.
    pub values: Vec<OsString>,
    /// The name that was used.
    pub origin: Origin,
}

impl Args {
    /// The values of an option, if it was given.
    pub fn get(&self, option: &Row) -> Option<&Given> {
        self.given.get(option.name)
    }

    /// How the user wrote an option, or would.
    pub fn origin(&self, option: &Row) -> Origin {
        match (self.get(option), &self.entry) {
            (Some(given), _) => given.origin.clone(),
            (None, Some(entry)) => Origin::File(entry.clone(), option.name.into()),
            (None, None) => Origin::CommandLine(format!("--{}", option.name)),
        }
    }

    /// Whether an option was given with a value, under today's name or an older one. A manifest may set a variable that
    /// it has nothing for.
    pub(crate) fn has_value(&self, option: &Row) -> bool {
        let has_value = |option: &Row| {
            self.get(option).is_some_and(|given| {
                matches!(given.origin, Origin::CommandLine(_))
                    || given.values.iter().any(|value| !value.is_empty())
            })
        };
        has_value(option) || options().filter(|older| older.replaces(option)).any(has_value)
    }

    /// The same options, without errors and warnings, as those of an entry of a file.
    pub(crate) fn of_entry(&self, entry: Place) -> Args {
        Args { given: self.given.clone(), entry: Some(entry), ..Args::default() }
    }

    /// Give an option, in place of what was given for it and for its older names.
    pub(crate) fn give(&mut self, option: &Row, given: Given) {
        self.forget(option);
        self.given.insert(option.name, given);
    }

    /// Take back what was given for an option and for its older names.
    pub(crate) fn forget(&mut self, option: &Row) {
        self.given.remove(option.name);
        let older = options().filter(|older| older.replaces(option));
        older.for_each(|older| _ = self.given.remove(older.name));
    }

    /// All that was given, by the names of the options.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, &Given)> {
        self.given.iter().map(|(name, given)| (*name, given))
    }
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Parsed {
    /// To run with these options.
    Run(Args),
    /// `--help` or `--version`: to print a text.
    Show(String),
    /// `--man`: to print the manual.
    Manual,
}

/// Parse a command line and the environment. Unknown names are collected, so that they can be reported together with
/// all other errors.
pub fn parse(
    argv: impl IntoIterator<Item = OsString>,
    environment: &Environment,
) -> Result<Parsed, Vec<String>> {
    let mut command = command();
    let mut line: Vec<OsString> = argv.into_iter().collect();
    let mut errors = Vec::new();
    loop {
        let err = match command.try_get_matches_from_mut(&line) {
            Ok(matches) if matches.get_flag("man") => return Ok(Parsed::Manual),
            Ok(matches) => return Ok(Parsed::Run(Args { errors, ..gather(&matches, environment) })),
            Err(err) => err,
        };
        if matches!(err.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            return Ok(Parsed::Show(err.render().to_string()));
        }
        errors.push(describe(&err));
        // clap stops at the first error: remove it to find the others.
        let Some(at) = culprit(&err).and_then(|name| line.iter().rposition(|arg| is_culprit(arg, &name)))
        else {
            return Err(errors);
        };
        line.remove(at);
    }
}

/// The command line as clap sees it.
pub fn command() -> Command {
    let note = "Every option can be set in the environment: --some-name is GITSYNC_SOME_NAME.";
    let about = "Keep a directory in step with a Git reference and publish every new commit atomically through a symlink.";
    let command = Command::new("syncline")
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        .long_about(format!(
            "{about}\n\n\
             It accepts the options, environment variables and directory layout of kubernetes/git-sync. Write durations as \
             10s, 1m30s or 100ms, or 0 for none."
        ))
        .after_help(note)
        .after_long_help(format!(
            "{note} GITSYNC_PASSWORD, GITSYNC_BEARER_TOKEN and GITSYNC_GITHUB_APP_PRIVATE_KEY can only be set there.\n\n\
             Exit codes: 0 after --one-time succeeded or a signal; 1 for wrong options or too many failures.\n\n\
             'syncline status' prints what a running syncline does, if that has --http-bind.\n\n\
             Example:\n  syncline --repo=https://example.com/site.git --ref=main --root=/srv/site --period=30s\n\
             publishes the newest main under /srv/site/site.git."
        ))
        .max_term_width(100)
        .arg(Arg::new("man").long("man").action(ArgAction::SetTrue).help("Print the manual"))
        // git-sync ignores words that are neither an option nor its value.
        .arg(Arg::new("ignored").hide(true).num_args(0..).value_parser(clap::value_parser!(OsString)));
    let all = options().flat_map(|option| option.names().map(move |name| argument(option, name)));
    all.fold(command, Command::arg)
}

fn argument(option: &Row, name: &'static str) -> Arg {
    let arg = Arg::new(name)
        .long(name)
        .help_heading(option.topic)
        .hide(name != option.name)
        .action(ArgAction::Append)
        .value_parser(clap::value_parser!(OsString));
    let arg = if name == options::VERBOSE.name { arg.short('v') } else { arg };
    let arg = match option.kind {
        Kind::Value(form) | Kind::List(form) => arg.value_name(form).allow_hyphen_values(true),
        Kind::Switch => optional_value(arg).value_name("BOOL"),
        Kind::Ignored(_) => optional_value(arg),
        Kind::Secret => arg.hide(true).allow_hyphen_values(true),
        Kind::Deprecated(..) => {
            arg.hide(true).num_args(0..=1).default_missing_value("true").allow_negative_numbers(true)
        }
    };
    let default =
        if option.default.is_empty() { String::new() } else { format!(" [default: {}]", option.default) };
    arg.help(format!("{}{default}", option.help))
}

fn optional_value(arg: Arg) -> Arg {
    arg.num_args(0..=1).require_equals(true).default_missing_value("true")
}

fn gather(matches: &ArgMatches, environment: &Environment) -> Args {
    let mut args = Args::default();
    let mut older = OlderNames::default();
    for option in options() {
        let set = from_environment(option, environment);
        if let Some(set) = &set {
            older.note(option, set, environment);
        }
        // git-sync adds typed credentials to those of the environment; otherwise the command line wins.
        let given = match (from_command_line(option, matches), set) {
            (Some(typed), Some(mut set)) if option.name == options::CREDENTIAL.name => {
                set.values.extend(typed.values);
                Some(Given { values: set.values, origin: typed.origin })
            }
            (typed, set) => typed.or(set),
        };
        let Some(given) = given else { continue };
        match option.kind {
            Kind::Deprecated(Some(today), _) if matches!(given.origin, Origin::CommandLine(_)) => {
                args.warnings.push(format!("{}: an older name; use --{}", given.origin, today.name));
            }
            Kind::Deprecated(None, why) => {
                args.warnings.push(format!("{}: an older name; {why}", given.origin));
            }
            Kind::Ignored(why) => args.warnings.push(format!("{} does nothing: {why}", given.origin)),
            _ => {}
        }
        args.given.insert(option.name, given);
    }
    args.warnings.extend(older.warnings());
    args
}

/// Older names in the environment. Manifests of git-sync v3 have nothing else, and charts set both generations: so
/// there is one line for each kind, not for each name.
#[derive(Default)]
struct OlderNames {
    /// With the names to use today.
    renamed: Vec<(String, String)>,
    /// Those that only repeat what today's say.
    echoes: Vec<String>,
}

impl OlderNames {
    fn note(&mut self, option: &'static Row, set: &Given, environment: &Environment) {
        let name = set.origin.name();
        // Of options that do nothing there is a line anyway.
        let Some(today) = option.today().filter(|_| is_older(option, name)) else { return };
        if is_echo(option, &set.values[0], environment) {
            self.echoes.push(name.to_owned());
        } else {
            self.renamed.push((name.to_owned(), today.variables().swap_remove(0)));
        }
    }

    fn warnings(self) -> Vec<String> {
        let (names, today): (Vec<String>, Vec<String>) = self.renamed.into_iter().unzip();
        let (renamed, echoes) = (names.join(", "), self.echoes.join(", "));
        let renamed = match names.len() {
            0 => None,
            1 => Some(format!("{renamed}: an older name; use {}", today[0])),
            _ => Some(format!("{renamed}: older names; use {}", today.join(", "))),
        };
        let echoes = match self.echoes.len() {
            0 => None,
            1 => Some(format!("{echoes}: an older name that repeats today's")),
            _ => Some(format!("{echoes}: older names that repeat today's")),
        };
        renamed.into_iter().chain(echoes).collect()
    }
}

/// By the name that was typed last.
fn from_command_line(option: &Row, matches: &ArgMatches) -> Option<Given> {
    let typed = option.names().filter(|name| matches.contains_id(name));
    let name = typed.max_by_key(|name| matches.indices_of(name).and_then(Iterator::max))?;
    let values = matches.get_many::<OsString>(name)?.cloned().collect();
    Some(Given { values, origin: Origin::CommandLine(format!("--{name}")) })
}

fn from_environment(option: &Row, environment: &Environment) -> Option<Given> {
    // A manifest may set a list that it has nothing for.
    let is_given = |value: &&OsStr| !(option.is_list() && value.is_empty());
    let get = |name: String| Some((environment.value(&name).filter(is_given)?, name));
    let (value, origin) = option.variables_by_rank().into_iter().find_map(get)?;
    Some(Given { values: vec![value.to_owned()], origin: Origin::Environment(origin) })
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
    let meant = hints::meant(name.trim_start_matches('-')).map(|option| format!("--{}", option.name));
    match (err.kind(), meant, err.get(ContextKind::SuggestedArg)) {
        (ErrorKind::UnknownArgument, Some(meant), _) => {
            format!("{name}: unknown option; did you mean {meant}?")
        }
        (ErrorKind::UnknownArgument, None, Some(ContextValue::String(meant))) => {
            format!("{name}: unknown option; did you mean {meant}?")
        }
        (ErrorKind::UnknownArgument, ..) => format!("{name}: unknown option"),
        (ErrorKind::InvalidValue | ErrorKind::NoEquals, ..) => format!("{name}: needs a value"),
        _ => first_line(err),
    }
}

fn first_line(err: &clap::Error) -> String {
    let text = err.render().to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests;
