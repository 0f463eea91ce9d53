//! Subcommands that ask the HTTP server of the process beside this one, in an image without a shell:
//! `syncline healthcheck [PATH]` for probes, `syncline status [NAME|URL]` for people.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use sync_core::{ConnectOptions, HttpRequest, Interrupt};

use crate::args::{self, Args, Parsed};
use crate::config::many;
use crate::environment::Environment;
use crate::options::HTTP_BIND;
use crate::serve::plain;

/// What `status` found.
pub enum Freshness {
    /// All that are required were synced lately.
    Fresh,
    /// They were not.
    Stale,
    /// Nobody answers.
    Unknown,
}

/// Ask for the path that the command line names; the inner result is the server's answer.
///
/// # Errors
///
/// If the command line is wrong.
pub fn healthcheck(
    mut argv: Vec<OsString>,
    environment: &Environment,
) -> Result<Result<(), String>, Vec<String>> {
    let path = operand(&mut argv, |word| word.starts_with('/')).unwrap_or_else(|| "/readyz".into());
    let url = format!("{}{path}", server("healthcheck", argv, environment)?);
    Ok(page(&url).map(|_| ()))
}

/// What the process says of itself, for people, and whether it is fresh. The operand is the name of one of many
/// repositories, or the URL of a server.
///
/// # Errors
///
/// If the command line is wrong.
pub fn status(
    mut argv: Vec<OsString>,
    environment: &Environment,
) -> Result<(Result<String, String>, Freshness), Vec<String>> {
    let operand = operand(&mut argv, |word| !word.starts_with('-')).unwrap_or_default();
    let (server, name) = match operand.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            (format!("{scheme}://{host}"), path.trim_start_matches("status").trim_matches('/').to_owned())
        }
        None => (server("status", argv, environment)?, operand),
    };
    let of = |page: &str| match name.as_str() {
        "" => format!("{server}/{page}"),
        name => format!("{server}/{page}/{name}"),
    };
    let shown = page(&format!("{}?format=text", of("status")));
    let shown = shown.map(|text| text.lines().map(|line| plain(line) + "\n").collect());
    let freshness = match (&shown, get(&of("readyz"))) {
        (Ok(_), Ok((200, _))) => Freshness::Fresh,
        (Ok(_), Ok(_)) => Freshness::Stale,
        _ => Freshness::Unknown,
    };
    Ok((shown, freshness))
}

/// Take the word after the name of the program, if it is one that is wanted.
fn operand(argv: &mut Vec<OsString>, is_wanted: impl Fn(&str) -> bool) -> Option<String> {
    let word = argv.get(1)?.to_str().filter(|word| is_wanted(word))?.to_owned();
    argv.remove(1);
    Some(word)
}

/// Where the process listens that has the same options.
fn server(command: &str, argv: Vec<OsString>, environment: &Environment) -> Result<String, Vec<String>> {
    let bind = match args::parse(argv, environment)? {
        Parsed::Run(args) if args.errors.is_empty() => http_bind(&args, environment),
        Parsed::Run(args) => return Err(args.errors),
        Parsed::Show(_) | Parsed::Manual => None,
    };
    let missing =
        || vec![format!("{command}: needs --http-bind or GITSYNC_HTTP_BIND, as the process it asks has it")];
    bind.map(|bind| local_url(&bind)).ok_or_else(missing)
}

/// What was typed or set, or what the file of many repositories says.
fn http_bind(args: &Args, environment: &Environment) -> Option<String> {
    match args.get(&HTTP_BIND).filter(|_| args.has_value(&HTTP_BIND)) {
        Some(given) => given.values.last()?.to_str().map(ToOwned::to_owned),
        None => many::http_bind(args, environment),
    }
}

/// The body of an answer; any status but 200 is an error.
fn page(url: &str) -> Result<String, String> {
    match get(url)? {
        (200, body) => Ok(body),
        (status, body) => Err(format!("{url} answered HTTP {status}: {}", plain(body.trim_end()))),
    }
}

/// The status and the body of an answer.
fn get(url: &str) -> Result<(u16, String), String> {
    let request = HttpRequest::new("GET", url, Duration::from_secs(5));
    match request.send(&ConnectOptions::default(), &Interrupt::new()) {
        Ok((status, body)) => Ok((status, String::from_utf8_lossy(&body).into_owned())),
        Err(err) => Err(format!("{url}: {err}")),
    }
}

/// The URL at which the same host reaches a server bound to `bind`.
fn local_url(bind: &str) -> String {
    let host = match bind.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_unspecified() => format!("127.0.0.1:{}", address.port()),
        _ if bind.starts_with(':') => format!("127.0.0.1{bind}"),
        _ => bind.to_owned(),
    };
    format!("http://{host}")
}
