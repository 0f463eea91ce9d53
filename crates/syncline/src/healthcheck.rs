//! `syncline healthcheck [PATH]`, for probes in an image without a shell: asks the HTTP server of the process
//! beside this one, by default whether it is ready.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use sync_core::{ConnectOptions, HttpRequest, Interrupt};

use crate::args::{self, Args, Parsed};
use crate::config::many;
use crate::environment::Environment;
use crate::options::HTTP_BIND;

/// Ask for the path that the command line names; the inner result is the server's answer.
///
/// # Errors
///
/// If the command line is wrong.
pub fn ask(argv: Vec<OsString>, environment: &Environment) -> Result<Result<(), String>, Vec<String>> {
    let path = argv.get(1).and_then(|word| word.to_str()).filter(|word| word.starts_with('/'));
    let path = path.unwrap_or("/readyz").to_owned();
    let bind = match args::parse(argv, environment)? {
        Parsed::Run(args) if args.errors.is_empty() => http_bind(&args, environment),
        Parsed::Run(args) => return Err(args.errors),
        Parsed::Show(_) | Parsed::Manual => None,
    };
    match bind {
        Some(bind) => Ok(request(&local_url(&bind, &path))),
        None => Err(vec![
            "healthcheck: needs --http-bind or GITSYNC_HTTP_BIND, as the process it asks has it".into(),
        ]),
    }
}

/// What was typed or set, or what the file of many repositories says.
fn http_bind(args: &Args, environment: &Environment) -> Option<String> {
    match args.get(&HTTP_BIND).filter(|_| args.has_value(&HTTP_BIND)) {
        Some(given) => given.values.last()?.to_str().map(ToOwned::to_owned),
        None => many::http_bind(args, environment),
    }
}

fn request(url: &str) -> Result<(), String> {
    let request = HttpRequest::new("GET", url, Duration::from_secs(5));
    match request.send(&ConnectOptions::default(), &Interrupt::new()) {
        Ok((200, _)) => Ok(()),
        Ok((status, _)) => Err(format!("{url} answered HTTP {status}")),
        Err(err) => Err(format!("{url}: {err}")),
    }
}

/// The URL at which the same host reaches a server bound to `bind`.
fn local_url(bind: &str, path: &str) -> String {
    let host = match bind.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_unspecified() => format!("127.0.0.1:{}", address.port()),
        _ if bind.starts_with(':') => format!("127.0.0.1{bind}"),
        _ => bind.to_owned(),
    };
    format!("http://{host}{path}")
}
