//! The forms that values take: numbers, durations, signals, as git-sync (and so Go) writes them, and more.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::Uri;
use rustix::process::Signal;
use sync_core::{Depth, PathPatterns, RemoteUrl, SparsePatterns, SubmoduleMode, VerifyMode, is_loopback};

use super::choices::no_choice;

/// The shortest time that git-sync accepts for its periods.
const SHORTEST_PERIOD: Duration = Duration::from_millis(10);

/// The shortest time that git-sync accepts for its hooks.
const SHORTEST_HOOK_TIME: Duration = Duration::from_secs(1);

/// The longest time over which processes are spread that all hear of the same.
const LONGEST_SPREAD: Duration = Duration::from_secs(3600);

/// Any text.
pub fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

/// The words that git-sync takes.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(no_choice(text, &["true", "false"])),
    }
}

/// A whole number in Go's notation: `0x10`, `0o7`, `0b1`, `017` and `1_000` too.
pub fn integer(text: &str) -> Result<i64, String> {
    let error = || format!("{text:?} is not a whole number");
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.contains(['+', '-']) || digits.ends_with('_') {
        return Err(error());
    }
    i64::from_str_radix(&digits.replace('_', ""), radix).map(|number| sign * number).map_err(|_| error())
}

/// How many there may be at most; `0` and `none` stand for no limit.
pub fn count(text: &str) -> Result<u64, String> {
    match text {
        "none" => Ok(u64::MAX),
        text => match integer(text).map(u64::try_from) {
            Ok(Ok(0)) => Ok(u64::MAX),
            Ok(Ok(count)) => Ok(count),
            _ => Err(format!("must be a number or none, not {text:?}")),
        },
    }
}

/// How many bytes there may be at most: a number with or without a unit; `0` and `none` stand for no limit.
pub fn size(text: &str) -> Result<u64, String> {
    let error = || format!("must be a size such as 500MiB or 10GiB, or none, not {text:?}");
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let unit = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
    let (number, shift) = unit.unwrap_or((text, 0));
    match count(number).map_err(|_| error())? {
        u64::MAX => Ok(u64::MAX),
        count => count.checked_mul(1 << shift).ok_or_else(error),
    }
}

/// humantime's forms, and of Go's also `0` and fractions (`1.5h`).
pub fn duration(text: &str) -> Result<Duration, String> {
    if text.trim_start_matches('+') == "0" {
        return Ok(Duration::ZERO);
    }
    if text.parse::<f64>().is_ok() {
        return Err(format!("{text:?} has no unit; write {text}s, for example"));
    }
    if text.starts_with('-') {
        return Err(format!("must not be negative: {text:?}"));
    }
    humantime::parse_duration(text)
        .or_else(|err| go_duration(text).ok_or(err))
        .map_err(|err| format!("{text:?} is not a duration such as 10s, 1m30s or 100ms ({err})"))
}

/// The same, or `never`.
pub fn duration_or_never(text: &str) -> Result<Option<Duration>, String> {
    if text == "never" { Ok(None) } else { duration(text).map(Some) }
}

/// The same as [`size`], but `0` stands for nothing.
pub fn size_or_zero(text: &str) -> Result<u64, String> {
    if text == "0" { Ok(0) } else { size(text) }
}

/// One or more numbers, each with an optional fraction and a unit.
fn go_duration(text: &str) -> Option<Duration> {
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

/// At least as long as git-sync's periods.
pub fn period(text: &str) -> Result<Duration, String> {
    at_least(SHORTEST_PERIOD, text)
}

/// The same, or 0.
pub fn period_or_none(text: &str) -> Result<Duration, String> {
    if duration(text)?.is_zero() { Ok(Duration::ZERO) } else { period(text) }
}

/// No longer than an hour.
pub fn up_to_an_hour(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration > LONGEST_SPREAD { Err(format!("must be at most 1h, not {text:?}")) } else { Ok(duration) }
}

/// At least as long as git-sync's times for hooks.
pub fn hook_time(text: &str) -> Result<Duration, String> {
    at_least(SHORTEST_HOOK_TIME, text)
}

fn at_least(least: Duration, text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration < least { Err(format!("must be at least {least:?}, not {text:?}")) } else { Ok(duration) }
}

/// A number of seconds, perhaps with a fraction; 0 for none.
pub fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds == 0.0 || (0.01..1e9).contains(&seconds) => {
            Ok(Duration::from_millis((seconds * 1000.0) as u64))
        }
        _ => Err(format!("must be a number of seconds, at least 0.01, not {text:?}")),
    }
}

/// A whole number of seconds.
pub fn whole_seconds(text: &str) -> Result<Duration, String> {
    id(text).map(Duration::from_secs)
}

/// A number that is not negative.
pub fn id(text: &str) -> Result<u64, String> {
    u64::try_from(integer(text)?).map_err(|_| format!("must not be negative: {text:?}"))
}

/// How many commits of history to keep; 0 for all.
pub fn depth(text: &str) -> Result<Depth, String> {
    let number = u32::try_from(integer(text)?);
    number.map(Depth::new).map_err(|_| format!("must be between 0 and {}, not {text:?}", u32::MAX))
}

/// Which submodules to sync.
pub fn submodules(text: &str) -> Result<SubmoduleMode, String> {
    match text {
        "recursive" => Ok(SubmoduleMode::Recursive),
        "shallow" => Ok(SubmoduleMode::Shallow),
        "off" => Ok(SubmoduleMode::Off),
        _ => Err(no_choice(text, &["recursive", "shallow", "off"])),
    }
}

/// Which signatures a commit must have; `None` for none.
pub fn verify_mode(text: &str) -> Result<Option<VerifyMode>, String> {
    if text == "off" { Ok(None) } else { text.parse().map(Some).map_err(String::from) }
}

/// A switch.
pub fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(no_choice(text, &["on", "off"])),
    }
}

/// How many things may be done at once.
pub fn up_to_64(text: &str) -> Result<NonZeroUsize, String> {
    let number = text.parse().ok().filter(|number: &NonZeroUsize| number.get() <= 64);
    number.ok_or_else(|| format!("must be a number from 1 to 64, not {text:?}"))
}

/// A list of patterns of paths, separated by commas.
pub fn path_patterns(text: &str) -> Result<PathPatterns, String> {
    PathPatterns::new(list(text)?.iter().map(String::as_str)).map_err(String::from)
}

/// A list of texts, separated by commas.
pub fn list(text: &str) -> Result<Vec<String>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    Ok(parts.map(ToOwned::to_owned).collect())
}

/// A list of directories; `None` for an empty one.
pub fn sparse_directories(text: &str) -> Result<Option<SparsePatterns>, String> {
    let directories = list(text)?;
    match directories.iter().find(|directory| directory.contains(['*', '?', '[', '!', '\\'])) {
        Some(pattern) => Err(format!(
            "{pattern:?} is a pattern, not a directory; write patterns to a file for --sparse-checkout-file"
        )),
        None => Ok((!directories.is_empty())
            .then(|| SparsePatterns::directories(directories.iter().map(String::as_str)))),
    }
}

/// The HTTP status that means success; 0 for any.
pub fn success_status(text: &str) -> Result<u16, String> {
    match integer(text)? {
        -1 => Ok(0),
        code => u16::try_from(code).map_err(|_| format!("must be an HTTP status, not {text:?}")),
    }
}

/// `HOST:PORT` or `:PORT`.
pub fn bind_address(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        _ => Err(format!("must be an address and port, such as :8080, not {text:?}")),
    }
}

/// The path of a URL, without what has to be encoded there.
pub fn url_path(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    if text.len() > 1 && text.starts_with('/') && !text.ends_with('/') && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err(format!("must be a path such as /push, of letters, digits, -, ., _, ~ and /, not {text:?}"))
    }
}

/// The file of cookies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CookieFile {
    /// Cookies are not used.
    None,
    /// git-sync's only place.
    Standard,
    /// A file of the user's.
    Path(PathBuf),
}

/// git-sync knows it as a switch.
pub fn cookie_file(text: &str) -> Result<CookieFile, String> {
    match boolean(text) {
        Ok(true) => Ok(CookieFile::Standard),
        Ok(false) => Ok(CookieFile::None),
        Err(error) if text.is_empty() => Err(error),
        Err(_) => Ok(CookieFile::Path(text.into())),
    }
}

/// A URL to make requests to. Errors do not quote it: it may hold a secret.
pub fn http_url(text: &str) -> Result<String, String> {
    match text.split_once("://") {
        Some(("http" | "https", _)) => {
            let url = text.split(['?', '#']).next().unwrap_or(text);
            Ok(url.parse::<RemoteUrl>().map(|_| text.to_owned())?)
        }
        _ => Err("must be an http or https URL".into()),
    }
}

/// A URL to send secrets to. Only https keeps them from others on the network.
pub fn private_url(text: &str) -> Result<String, String> {
    let uri: Uri = text.parse().map_err(|_| "is not a URL")?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    if host.is_empty() {
        return Err("has no host".into());
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("must not contain a login".into());
    }
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if is_loopback(host) => {}
        _ => {
            return Err("must be an https URL, since secrets are sent to it (http only to this host)".into());
        }
    }
    Ok(text.to_owned())
}

/// A signal that has a name.
pub fn named_signal(text: &str) -> Result<Signal, String> {
    Signal::from_named_raw(signal(text)?).ok_or_else(|| format!("{text:?} is a real-time signal"))
}

/// A signal by number, or by upper-case name with or without `SIG`.
pub fn signal(text: &str) -> Result<i32, String> {
    // The names of Linux on most machines, in the order of their numbers; MIPS and SPARC have other numbers.
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let name = text.strip_prefix("SIG").unwrap_or(text);
    let number = match integer(text) {
        Ok(number) => i32::try_from(number).unwrap_or(0),
        Err(_) => NAMES.iter().position(|known| *known == name).map_or(0, |at| at as i32 + 1),
    };
    match number {
        4 | 8 | 9 | 11 | 19 => Err(format!("{text:?} cannot be caught")),
        1..=64 => Ok(number),
        _ => Err(format!("must be a signal, such as SIGHUP or 1, not {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "10", "-1s", "abc", "1x", "s", "1.2.3s"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn integers_are_gos() {
        for (text, number) in
            [("10", 10), ("-1", -1), ("0x10", 16), ("0o7", 7), ("010", 8), ("1_000", 1000), ("0", 0)]
        {
            assert_eq!(integer(text), Ok(number), "{text}");
        }
        for text in ["", "-", "--1", "-_-1", "0x_-1", "1.5", "x", "0x", "9999999999999999999"] {
            assert!(integer(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn limits_have_units_or_are_none() {
        for (text, bytes) in
            [("1", 1), ("5KiB", 5 << 10), ("10GiB", 10 << 30), ("0", u64::MAX), ("none", u64::MAX)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "-1", "1G", "10gib", "GiB", "1.5GiB", "1 GiB", "nonsense", "99999999TiB"] {
            assert!(size(text).is_err(), "{text:?}");
        }
        assert_eq!((count("1_000"), count("none"), count("0")), (Ok(1000), Ok(u64::MAX), Ok(u64::MAX)));
        assert!(count("1KiB").is_err() && count("-1").is_err());
    }

    #[test]
    fn paths_of_urls_need_no_encoding() {
        for text in ["/push", "/a/b.c-d_e~f", "/0123456789abcdef"] {
            assert_eq!(url_path(text), Ok(text.to_owned()));
        }
        for text in ["", "/", "push", "/push/", "/{name}", "/a b", "/a?b", "/a#b", "/%20", "/\u{e4}"] {
            assert!(url_path(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in
            [("SIGHUP", 1), ("HUP", 1), ("1", 1), ("SIGUSR1", 10), ("TERM", 15), ("0x0a", 10)]
        {
            assert_eq!(signal(text), Ok(number), "{text}");
        }
        for text in ["0", "-1", "sighup", "SIGNOPE", "", "99", "KILL", "STOP"] {
            assert!(signal(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn secrets_are_sent_over_https_or_within_the_machine() {
        for url in ["https://h/x", "http://localhost:1/x", "http://127.0.0.9/x", "http://[::1]:8/x"] {
            assert_eq!(private_url(url), Ok(url.to_owned()));
        }
        for url in
            ["http://h/x", "ftp://h/x", "h/x", "", "https://canary:canary@h/x", "http://localhost.evil/"]
        {
            let error = private_url(url).unwrap_err();
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
