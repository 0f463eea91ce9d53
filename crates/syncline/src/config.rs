//! What the options mean. Made in one step that reports every fault; nothing is touched and nobody asks
//! afterwards whether an option was given.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sync_core::{ConnectOptions, Depth, Reference, RemoteUrl, Source};

use crate::args::Args;
use crate::schedule::Policy;

/// Everything the program runs by.
#[derive(Clone, Debug)]
pub struct Config {
    pub source: Source,
    pub connect: ConnectOptions,
    /// Absolute.
    pub root: PathBuf,
    /// Absolute, or relative to the root once its symbolic links are resolved.
    pub link: PathBuf,
    pub stale_worktree_timeout: Duration,
    pub wait_for_lock: bool,
    pub policy: Policy,
    pub sync_timeout: Duration,
    pub log: LogConfig,
}

/// How to log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    pub format: LogFormat,
    pub verbosity: u8,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON lines otherwise.
    #[default]
    Auto,
    Text,
    Json,
}

/// The shortest time that git-sync accepts for its periods.
const SHORTEST: Duration = Duration::from_millis(10);

impl Config {
    /// Judge what was typed, `faults` being what is known to be wrong already. Relative paths are taken from
    /// `cwd`.
    pub fn new(args: &Args, faults: Vec<String>, cwd: &Path) -> Result<Config, Vec<String>> {
        let mut faults = Faults(faults);
        let url = faults
            .required("--repo", args.repo.as_deref(), RemoteUrl::from_str)
            .map(|url| url.relative_to(cwd));
        let reference =
            faults
                .or("--ref", args.reference.as_deref(), Reference::Name("HEAD".into()), |text| text.parse());
        let depth = faults.or("--depth", args.depth.as_deref(), Depth::default(), parse_depth);
        let root = faults.required("--root", args.root.as_deref().and_then(|root| root.to_str()), |text| {
            if text.is_empty() { Err("is empty") } else { Ok(cwd.join(text)) }
        });
        let link = faults.link(args.link.as_ref(), url.as_ref());
        let period = faults.at_least(SHORTEST, "--period", args.period.as_deref(), Duration::from_secs(10));
        let sync_timeout = faults.at_least(
            SHORTEST,
            "--sync-timeout",
            args.sync_timeout.as_deref(),
            Duration::from_secs(120),
        );
        let stale = args.stale_worktree_timeout.as_deref();
        let stale_worktree_timeout =
            faults.or("--stale-worktree-timeout", stale, Duration::ZERO, parse_duration);
        let max_failures = faults.or("--max-failures", args.max_failures.as_deref(), None, |text| {
            text.parse::<i64>().map(Some).map_err(|_| format!("{text:?} is not a whole number"))
        });
        let one_time = faults.or("--one-time", args.one_time.as_deref(), false, parse_bool);
        let wait_for_lock = faults.or("--wait-for-lock", args.wait_for_lock.as_deref(), false, parse_bool);
        let format =
            faults.or("--log-format", args.log_format.as_deref(), LogFormat::Auto, |text| match text {
                "auto" => Ok(LogFormat::Auto),
                "text" => Ok(LogFormat::Text),
                "json" => Ok(LogFormat::Json),
                _ => Err(format!("{text:?} is neither auto, text nor json")),
            });
        let verbosity = faults.or("--verbose", args.verbose.as_deref(), 0, |text| {
            text.parse::<i64>()
                .map(|level| level.clamp(0, 9) as u8)
                .map_err(|_| format!("{text:?} is not a whole number"))
        });
        let (Some(url), Some(root), true) = (url, root, faults.0.is_empty()) else { return Err(faults.0) };
        Ok(Config {
            source: Source { url, reference, depth },
            connect: ConnectOptions { ca_files: args.ca_file.iter().map(|file| cwd.join(file)).collect() },
            root,
            link,
            stale_worktree_timeout,
            wait_for_lock,
            policy: Policy { period, one_time, max_failures },
            sync_timeout,
            log: LogConfig { format, verbosity },
        })
    }
}

/// Gathers what is wrong and goes on with stand-ins.
struct Faults(Vec<String>);

impl Faults {
    fn or<T, E: Display>(
        &mut self,
        option: &str,
        text: Option<&str>,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> T {
        match text.map(parse) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(err)) => {
                self.0.push(format!("{option}: {err}"));
                default
            }
        }
    }

    fn required<T, E: Display>(
        &mut self,
        option: &str,
        text: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if text.is_none() {
            self.0.push(format!("{option}: must be given"));
        }
        self.or(option, text, None, |text| parse(text).map(Some))
    }

    fn at_least(&mut self, least: Duration, option: &str, text: Option<&str>, default: Duration) -> Duration {
        self.or(option, text, default, |text| {
            let duration = parse_duration(text)?;
            if duration < least { Err(format!("{text:?} is shorter than {least:?}")) } else { Ok(duration) }
        })
    }

    fn link(&mut self, given: Option<&OsString>, url: Option<&RemoteUrl>) -> PathBuf {
        let link = match (given.filter(|link| !link.is_empty()), url) {
            (Some(link), _) => PathBuf::from(link),
            (None, Some(url)) => PathBuf::from(url.last_component()),
            (None, None) => return PathBuf::new(),
        };
        let first = link.components().next().map(|part| part.as_os_str().to_owned());
        if link.file_name().is_none() {
            self.0.push("--link: must be given, since the URL ends in no name".into());
        } else if first.is_some_and(|first| first == ".git" || first == ".worktrees") {
            self.0.push(format!("--link: {} is where syncline keeps its own files", link.display()));
        }
        link
    }
}

fn parse_depth(text: &str) -> Result<Depth, String> {
    match text.parse::<i64>() {
        Ok(depth) => u32::try_from(depth)
            .map(Depth::new)
            .map_err(|_| format!("{text:?} is not between 0 and {}", u32::MAX)),
        Err(_) => Err(format!("{text:?} is not a whole number")),
    }
}

/// The words that git-sync takes.
fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

/// humantime's forms, and of Go's also `0` and fractions (`1.5h`).
fn parse_duration(text: &str) -> Result<Duration, String> {
    if text.trim_start_matches('+') == "0" {
        return Ok(Duration::ZERO);
    }
    if text.parse::<f64>().is_ok() {
        return Err(format!("{text:?} has no unit; write for example {text}s"));
    }
    if text.starts_with('-') {
        return Err(format!("{text:?} is negative"));
    }
    humantime::parse_duration(text)
        .or_else(|err| parse_go_duration(text).ok_or(err))
        .map_err(|err| format!("{text:?} is not a duration such as 10s, 1m30s or 100ms ({err})"))
}

/// One or more numbers, each with an optional fraction and a unit.
fn parse_go_duration(text: &str) -> Option<Duration> {
    if text.is_empty() {
        return None;
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, tail) =
            tail.split_at(tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len()));
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        total = total.checked_add(part)?;
        rest = tail;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Parsed, parse};

    fn config(argv: &[&str]) -> Result<Config, Vec<String>> {
        let argv = std::iter::once("syncline").chain(argv.iter().copied()).map(Into::into);
        match parse(argv, |_| None) {
            Ok(Parsed::Run(args, faults)) => Config::new(&args, faults, "/cwd".as_ref()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_are_git_syncs() {
        let config = config(&["--repo=https://host/x.git", "--root=r"]).unwrap();
        assert_eq!(config.root, Path::new("/cwd/r"));
        assert_eq!(config.link, Path::new("x.git"));
        assert_eq!(config.source.reference.to_string(), "HEAD");
        assert_eq!(config.source.depth, Depth::new(1));
        assert_eq!(
            config.policy,
            Policy { period: Duration::from_secs(10), one_time: false, max_failures: None }
        );
        assert_eq!(config.sync_timeout, Duration::from_secs(120));
        assert_eq!(config.stale_worktree_timeout, Duration::ZERO);
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let faults = config(&[
            "--repo=https://user:secret@good?@evil/x",
            "--ref=a..b",
            "--depth=-1",
            "--period=10",
            "--sync-timeout=1ms",
            "--max-failures=many",
            "--one-time=maybe",
            "--log-format=xml",
            "--perido=1s",
        ])
        .unwrap_err();
        let options: Vec<&str> = faults.iter().filter_map(|fault| fault.split(':').next()).collect();
        let judged =
            "--repo --ref --depth --root --period --sync-timeout --max-failures --one-time --log-format";
        assert_eq!(options.join(" "), format!("--perido {judged}"));
        assert!(!faults.concat().contains("secret"), "{faults:?}");
        assert!(faults[5].contains("10s"), "{}", faults[5]);
    }

    #[test]
    fn links_keep_clear_of_the_store() {
        for link in [".git", ".git/x", ".worktrees/current", "/"] {
            assert!(config(&["--repo=/x", "--root=/r", "--link", link]).is_err(), "{link}");
        }
        assert_eq!(config(&["--repo=/x", "--root=/r", "--link=/a/b"]).unwrap().link, Path::new("/a/b"));
        assert_eq!(config(&["--repo=.", "--root=/r"]).unwrap().link, Path::new("cwd"));
        assert_eq!(config(&["--repo=/", "--root=/r"]).unwrap_err().len(), 1);
    }

    #[test]
    fn durations_take_both_notations() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("100ms", 100),
            ("1.5h", 5_400_000),
            ("2h 30min", 9_000_000),
            ("1h2m3.5s", 3_723_500),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "10", "-1s", "abc", "1x", "s", "1.2.3s"] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }
}
