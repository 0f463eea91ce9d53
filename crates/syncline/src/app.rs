//! The life of the process, from the command line to the exit code.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use sync_core::Pool;
use tracing::{error, info, warn};

use crate::args::{self, Args, Parsed};
use crate::ask::Freshness;
use crate::board::{Board, Entry};
use crate::clock::unix_time;
use crate::config::many::ManyConfig;
use crate::config::{self, Config, Http, LogConfig, LogFormat};
use crate::environment::Environment;
use crate::first_sync::FirstSync;
use crate::many::Loader;
use crate::receive::{Listener, ReceiveConfig, Targets};
use crate::repository::Repository;
use crate::run::End;
use crate::schedule::Exit;
use crate::shared::Shared;
use crate::signals::{Event, Signals};
use crate::status::Status;
use crate::stop::{Order, Stop};
use crate::systemd::{Manager, Readiness};
use crate::touch_and_error_files::Files;
use crate::{ask, hooks, listen, log, manual, many, progress_line, serve};

/// How long a thread without work is kept.
const IDLE_THREAD: Duration = Duration::from_secs(1);

/// Do what the command line says, and return the exit code.
///
/// A command line that is wrong touches nothing: all its errors are printed together, and the exit code is 1.
pub fn main(mut argv: Vec<OsString>, environment: Environment) -> ExitCode {
    let done = match argv.get(1).and_then(|word| word.to_str()) {
        Some("healthcheck") => {
            argv.remove(1);
            healthcheck(argv, &environment)
        }
        Some("status") => {
            argv.remove(1);
            status(argv, &environment)
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
fn start(argv: Vec<OsString>, environment: Environment) -> Result<ExitCode, Vec<String>> {
    let args = match args::parse(argv, &environment)? {
        Parsed::Run(args) => args,
        Parsed::Show(text) => return Ok(print(text.as_bytes())),
        Parsed::Manual => return Ok(print(manual::text().as_bytes())),
    };
    if ManyConfig::is_asked(&args) {
        return start_many(args, environment);
    }
    match Config::new(&args, &environment) {
        Ok(config) => run_one(config, &environment),
        Err(errors) => {
            let error = config::error_file(&args, &environment);
            Files { error, ..Files::default() }.write(&errors.join("\n"));
            Err(errors)
        }
    }
}

/// Sync the repositories of a file, or only judge it.
fn start_many(args: Args, environment: Environment) -> Result<ExitCode, Vec<String>> {
    let config = ManyConfig::load(&args, &environment)?;
    if ManyConfig::is_only_judged(&args) {
        for warning in &config.warnings {
            let _ = writeln!(std::io::stderr(), "syncline: {warning}");
        }
        let (path, repos, groups) = (config.path.display(), config.repos.len(), config.groups.len());
        return Ok(print(format!("{path}: repositories: {repos}, groups: {groups}\n").as_bytes()));
    }
    many::raise_open_files();
    begin(config.process.log, config.process.group_write);
    let loader = Arc::new(Loader { args, environment });
    let manager = Manager::new(&loader.environment);
    run(live_many(config, loader.clone(), &manager))
}

fn healthcheck(argv: Vec<OsString>, environment: &Environment) -> Result<ExitCode, Vec<String>> {
    Ok(match ask::healthcheck(argv, environment)? {
        Ok(()) => ExitCode::SUCCESS,
        Err(answer) => {
            let _ = writeln!(std::io::stderr(), "{answer}");
            ExitCode::FAILURE
        }
    })
}

/// Exit codes: 0 fresh, 1 stale, 2 no answer.
fn status(argv: Vec<OsString>, environment: &Environment) -> Result<ExitCode, Vec<String>> {
    let (shown, freshness) = ask::status(argv, environment)?;
    match shown {
        Ok(text) => _ = print(text.as_bytes()),
        Err(answer) => _ = writeln!(std::io::stderr(), "{answer}"),
    }
    Ok(match freshness {
        Freshness::Fresh => ExitCode::SUCCESS,
        Freshness::Stale => ExitCode::FAILURE,
        Freshness::Unknown => ExitCode::from(2),
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

/// Sync one repository until the work is done or a signal comes.
fn run_one(config: Config, environment: &Environment) -> Result<ExitCode, Vec<String>> {
    begin(config.log, config.publishing.group_write);
    run(live_one(config, &Manager::new(environment)))
}

/// Set up what is the process's.
fn begin(log: LogConfig, group_write: bool) {
    log::start(log);
    // As in git-sync: consumers with other user ids must be able to read.
    let umask = if group_write { 0o002 } else { 0o022 };
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
}

fn run(life: impl Future<Output = Exit>) -> Result<ExitCode, Vec<String>> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    // Idle threads of many repositories would each keep a stack.
    let runtime = builder.enable_all().thread_keep_alive(IDLE_THREAD).build();
    let runtime = runtime.map_err(|err| vec![format!("cannot start: {err}")])?;
    let exit = runtime.block_on(life);
    // A thread that hangs in the system's resolver cannot be stopped, and no longer matters.
    runtime.shutdown_background();
    hooks::end_all();
    Ok(match exit {
        Exit::Success => ExitCode::SUCCESS,
        Exit::Failure => ExitCode::FAILURE,
    })
}

async fn live_one(config: Config, manager: &Manager) -> Exit {
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
    warn_of(&config.warnings);
    let status = Status::new(config.source.url.to_string(), config.source.reference.to_string());
    let (http, format) = (config.http.clone(), config.log.format);
    let first = FirstSync::of(&config);
    let entry = Entry::new(status, true, http.as_ref().map_or(Duration::ZERO, |http| http.readyz_max_age));
    let board = Board::of_one(entry.clone());
    let targets = Targets::new(config.receive.is_some());
    let pushes = targets.set("", &config.pushes, &entry.status);
    let receiver = match receiver(config.receive.as_ref(), &targets, &entry.status) {
        Ok(receiver) => receiver,
        Err(exit) => return exit,
    };
    let repository = Repository {
        shared: Shared::new(Pool::new(resources, NonZeroUsize::MIN)),
        ready: Readiness::new(manager, BTreeSet::from([String::new()])).of(""),
        wake: Arc::default(),
        pushes,
        place: None,
        config: Arc::new(config),
        entry,
    };
    let status = repository.entry.status.clone();
    let exit = live((http, receiver), format, &board, manager, sync_one(repository)).await;
    if let Some(text) = first.and_then(|first| first.describe(&status.facts())) {
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
    exit
}

/// Sync until a signal comes.
async fn sync_one(repository: Repository) -> Exit {
    let (orders, stop) = Stop::channel();
    let (wake, number) = (repository.wake.clone(), repository.config.timing.sync_on_signal);
    let mut signals = match Signals::listen(number) {
        Ok(signals) => signals,
        Err(err) => {
            error!(error = %err, "cannot listen for signals");
            return Exit::Failure;
        }
    };
    let heed = async {
        loop {
            match signals.next().await {
                Event::Shutdown(signal) => _ = orders.send_replace(Order::Shutdown(signal)),
                Event::Wake => wake.notify_one(),
            }
        }
    };
    let end = tokio::select! {
        end = repository.run(stop) => end,
        () = heed => End::Stopped,
    };
    match end {
        End::Over(exit) => exit,
        End::Stopped => Exit::Success,
        End::Panicked => Exit::Failure,
    }
}

async fn live_many(config: ManyConfig, loader: Arc<Loader>, manager: &Manager) -> Exit {
    let resources = loader.environment.resources;
    let pool = many::pool(&config, resources);
    info!(
        version = env!("CARGO_PKG_VERSION"),
        config = %config.path.display(),
        repos = config.repos.len(),
        groups = config.groups.len(),
        root = %config.process.root.display(),
        parallel = pool.parallel(),
        threads = pool.share().threads(),
        memory_limit = resources.memory,
        "starting"
    );
    warn_of(&config.warnings);
    let board = Board::of_many(&pool);
    board.set_config(|facts| {
        (facts.path, facts.sha256) = (config.path.clone(), config.sha256.clone());
        facts.loaded_at = unix_time();
    });
    let (http, format) = (config.process.http.clone(), config.process.log.format);
    let receive = config.process.receive.clone();
    let targets = Targets::new(receive.is_some());
    let receiver = match receiver(receive.as_ref(), &targets, board.process()) {
        Ok(receiver) => receiver,
        Err(exit) => return exit,
    };
    let work = many::run(config, loader, &board, targets, manager);
    live((http, receiver), format, &board, manager, work).await
}

fn warn_of(warnings: &[String]) {
    for warning in warnings {
        warn!("{warning}");
    }
}

/// What takes push hooks, if they are wanted; its secrets must be there.
fn receiver(
    config: Option<&ReceiveConfig>,
    targets: &Targets,
    process: &Status,
) -> Result<Option<Listener>, Exit> {
    let opened = config.map(|config| Listener::new(config, targets, process)).transpose();
    opened.map_err(|error| {
        error!(error, "cannot start");
        Exit::Failure
    })
}

/// Work, and meanwhile answer probes and push hooks, and report to the service manager.
async fn live(
    (http, receiver): (Option<Http>, Option<Listener>),
    format: LogFormat,
    board: &Board,
    manager: &Manager,
    work: impl Future<Output = Exit>,
) -> Exit {
    // Probes are answered while waiting for the root, too.
    let exit = tokio::select! {
        exit = work => exit,
        err = answer(http, board.clone()) => {
            error!(error = %err, "cannot serve HTTP");
            Exit::Failure
        }
        err = receive(receiver, board.is_many()) => {
            error!(error = %err, "cannot take push hooks");
            Exit::Failure
        }
        () = hooks::orphans() => Exit::Failure,
        () = progress_line::show(board, format) => Exit::Failure,
        () = manager.report(board) => Exit::Failure,
    };
    manager.stopping();
    exit
}

/// Serve HTTP, if asked to; returns only on an error.
async fn answer(http: Option<Http>, board: Board) -> std::io::Error {
    let Some(http) = http else { return std::future::pending().await };
    let served = match listen::bind(&http.bind).await {
        Ok(listener) => serve::serve(listener, &http, board).await,
        Err(err) => Err(std::io::Error::new(err.kind(), format!("--http-bind {}: {err}", http.bind))),
    };
    served.err().unwrap_or_else(|| std::io::Error::other("the server ended"))
}

/// Take push hooks, if asked to; returns only on an error.
async fn receive(receiver: Option<Listener>, is_many: bool) -> std::io::Error {
    match receiver {
        Some(receiver) => receiver.run(is_many).await,
        None => std::future::pending().await,
    }
}
