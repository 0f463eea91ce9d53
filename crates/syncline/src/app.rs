//! The life of the process, from the command line to the exit code.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use tracing::{error, info, warn};

use crate::args::{self, Parsed};
use crate::config::{self, Config, Http, Netrc};
use crate::environment::Environment;
use crate::files::Files;
use crate::options::hints;
use crate::schedule::Exit;
use crate::status::Status;
use crate::systemd::Manager;
use crate::{healthcheck, hooks, log, machine, manual, serve, startup};

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
        _ => match configure(argv, environment) {
            Ok(Some(config)) => run(config, environment),
            Ok(None) => Ok(ExitCode::SUCCESS),
            Err(errors) => Err(errors),
        },
    };
    done.unwrap_or_else(|errors| refuse(&errors))
}

/// The configuration; `None` if the command line only asked for a text, which is printed.
fn configure(argv: Vec<OsString>, environment: &Environment) -> Result<Option<Config>, Vec<String>> {
    let (args, faults) = match args::parse(argv, |name| environment.get(name).map(OsString::from))? {
        Parsed::Run(args, faults) => (args, faults),
        Parsed::Show(text) => {
            print(text.as_bytes());
            return Ok(None);
        }
    };
    let cwd = environment.directory().map_err(|error| vec![error])?;
    let strays = hints::strays(environment.names().map(ToOwned::to_owned));
    let config = Config::new(&args, faults, cwd).inspect_err(|faults| {
        Files { error: config::error_file(&args, cwd), ..Files::default() }.write(&faults.join("\n"));
    });
    let mut config = config.map_err(|faults| [faults, strays.clone()].concat())?;
    config.warnings.extend(strays);
    let home = environment.path("HOME");
    config.login.netrc = config.login.netrc.or_else(|| Some(Netrc::Usual(home?.join(".netrc"))));
    if environment.path("SSL_CERT_FILE").is_none() {
        config.warnings.extend(config.connect.trust_system_certificates());
    }
    config.connect.ssh.agent = environment.path("SSH_AUTH_SOCK");
    Ok(Some(config))
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
    let umask = if config.group_write { 0o002 } else { 0o022 };
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
async fn live(mut config: Config, manager: &Manager) -> Exit {
    let resources = machine::resources();
    config.connect.resources = resources;
    info!(
        version = env!("CARGO_PKG_VERSION"),
        repo = %config.source.url,
        reference = %config.source.reference,
        root = %config.root.display(),
        link = %config.link.display(),
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
