//! The life of the process, from the command line to the exit code.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use tracing::{error, info, warn};

use crate::args::{self, Parsed};
use crate::config::{self, Config, Http};
use crate::environment::Environment;
use crate::schedule::Exit;
use crate::status::Status;
use crate::systemd::Manager;
use crate::touch_and_error_files::Files;
use crate::{healthcheck, hooks, log, manual, serve, startup};

/// Do what the command line says, and return the exit code.
///
/// A command line that is wrong touches nothing: all its errors are printed together, and the exit code is 1.
pub fn main(mut argv: Vec<OsString>, environment: &Environment) -> ExitCode {
    let done = match argv.get(1).and_then(|word| word.to_str()) {
        Some("healthcheck") => {
            argv.remove(1);
            healthcheck(argv, environment)
        }
        Some("generate") => {
            let what = argv.get(2).map(|what| what.to_string_lossy().into_owned()).unwrap_or_default();
            manual::generate(&what).map(|output| print(&output)).map_err(|error| vec![error])
        }
        _ => start(argv, environment),
    };
    done.unwrap_or_else(|errors| refuse(&errors))
}

/// Sync, or print the text that the command line asks for.
fn start(argv: Vec<OsString>, environment: &Environment) -> Result<ExitCode, Vec<String>> {
    let args = match args::parse(argv, environment)? {
        Parsed::Run(args) => args,
        Parsed::Show(text) => return Ok(print(text.as_bytes())),
        Parsed::Manual => return Ok(print(manual::text().as_bytes())),
    };
    match Config::new(&args, environment) {
        Ok(config) => run(config, environment),
        Err(errors) => {
            let error = config::error_file(&args, environment);
            Files { error, ..Files::default() }.write(&errors.join("\n"));
            Err(errors)
        }
    }
}

fn healthcheck(argv: Vec<OsString>, environment: &Environment) -> Result<ExitCode, Vec<String>> {
    Ok(match healthcheck::ask(argv, environment)? {
        Ok(()) => ExitCode::SUCCESS,
        Err(answer) => {
            let _ = writeln!(std::io::stderr(), "{answer}");
            ExitCode::FAILURE
        }
    })
}

/// To stdout; it may be closed.
fn print(text: &[u8]) -> ExitCode {
    let _ = std::io::stdout().write_all(text);
    ExitCode::SUCCESS
}

/// Print everything that is wrong.
fn refuse(errors: &[String]) -> ExitCode {
    let mut text = String::new();
    for error in errors {
        text.push_str(&format!("syncline: {error}\n"));
    }
    text.push_str("Try 'syncline --help'.\n");
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::FAILURE
}

/// Sync until the work is done or a signal comes.
fn run(config: Config, environment: &Environment) -> Result<ExitCode, Vec<String>> {
    log::start(config.log);
    // As in git-sync: consumers with other user ids must be able to read.
    let umask = if config.publishing.group_write { 0o002 } else { 0o022 };
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|err| vec![format!("cannot start: {err}")])?;
    let exit = runtime.block_on(live(config, &Manager::new(environment)));
    // A thread that hangs in the system's resolver cannot be stopped, and no longer matters.
    runtime.shutdown_background();
    hooks::end_all();
    Ok(match exit {
        Exit::Success => ExitCode::SUCCESS,
        Exit::Failure => ExitCode::FAILURE,
    })
}

/// Work, and meanwhile answer probes and report to the service manager.
async fn live(config: Config, manager: &Manager) -> Exit {
    let resources = config.connect.resources;
    info!(
        version = env!("CARGO_PKG_VERSION"),
        repo = %config.source.url,
        reference = %config.source.reference,
        root = %config.publishing.root.display(),
        link = %config.publishing.link.display(),
        threads = resources.threads(),
        memory_limit = resources.memory,
        "starting"
    );
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let status = Status::new(config.source.url.to_string(), config.source.reference.to_string());
    let progress = status.progress();
    // Probes are answered while waiting for the root, too.
    let exit = tokio::select! {
        exit = startup::work(&config, &status, &progress, manager) => exit,
        err = answer(config.http.clone(), status.clone()) => {
            error!(error = %err, "cannot serve HTTP");
            Exit::Failure
        }
        () = hooks::orphans() => Exit::Failure,
        () = manager.report(&status, &progress) => Exit::Failure,
    };
    manager.stopping();
    exit
}

/// Serve HTTP, if asked to; returns only on an error.
async fn answer(http: Option<Http>, status: Status) -> std::io::Error {
    let Some(http) = http else { return std::future::pending().await };
    let served = match serve::bind(&http).await {
        Ok(listener) => serve::serve(listener, &http, status).await,
        Err(err) => Err(std::io::Error::new(err.kind(), format!("--http-bind {}: {err}", http.bind))),
    };
    served.err().unwrap_or_else(|| std::io::Error::other("the server ended"))
}
