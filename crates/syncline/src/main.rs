//! syncline keeps a directory in step with a Git reference and publishes every new commit atomically.
//!
//! The life of the process. Reading order: `options` (the table), `args` (what was typed), `config` (what it
//! means), `run` (the loop), `pass` (one sync), `publish` (the link), `hooks` and `files` (whom to tell),
//! `schedule` (when next), `log`, `systemd`, `machine` (how much of it to use).

mod args;
mod clock;
mod config;
mod files;
mod hooks;
mod log;
mod login;
mod machine;
mod manual;
mod options;
mod pass;
mod publish;
mod run;
mod schedule;
mod serve;
mod status;
mod systemd;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use sync_core::{Error, ErrorKind, Interrupt, Progress, Resources, Store, Upstream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use crate::args::Parsed;
use crate::config::{Config, Http, Netrc};
use crate::files::{Files, Writer};
use crate::hooks::Hooks;
use crate::login::Logins;
use crate::options::hints;
use crate::pass::Syncer;
use crate::publish::{Manner, Publication};
use crate::run::{GRACE, Service};
use crate::schedule::{Exit, Schedule};
use crate::status::Status;
use crate::systemd::Manager;

fn main() -> ExitCode {
    let mut argv: Vec<OsString> = std::env::args_os().collect();
    match argv.get(1).and_then(|word| word.to_str()) {
        Some("healthcheck") => {
            argv.remove(1);
            return healthcheck(argv);
        }
        Some("generate") => {
            let what = argv.get(2).map(|what| what.to_string_lossy().into_owned()).unwrap_or_default();
            return manual::generate(&what).map_or_else(|fault| refuse(&[fault]), |output| print(&output));
        }
        _ => {}
    }
    let config = match configure(argv) {
        Ok(Some(config)) => config,
        Ok(None) => return ExitCode::SUCCESS,
        Err(faults) => return refuse(&faults),
    };
    log::start(config.log);
    // git-sync's; consumers with other user ids must be able to read.
    let umask = if config.group_write { 0o002 } else { 0o022 };
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(err) => return refuse(&[format!("cannot start: {err}")]),
    };
    let exit = runtime.block_on(serve(config, Manager::new(environment)));
    // A thread that hangs in the system's resolver cannot be stopped; it does not matter any more.
    runtime.shutdown_background();
    hooks::end_all();
    match exit {
        Exit::Success => ExitCode::SUCCESS,
        Exit::Failure => ExitCode::FAILURE,
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn variables() -> impl Iterator<Item = String> {
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())
}

/// From the command line and the environment, which nobody reads afterwards.
fn configure(argv: Vec<OsString>) -> Result<Option<Config>, Vec<String>> {
    let (args, faults) = match args::parse(argv, environment)? {
        Parsed::Run(args, faults) => (args, faults),
        Parsed::Show(text) => {
            print(text.as_bytes());
            return Ok(None);
        }
    };
    let cwd =
        std::env::current_dir().map_err(|err| vec![format!("cannot tell the current directory: {err}")])?;
    let strays = hints::strays(variables());
    let config = Config::new(&args, faults, &cwd).inspect_err(|faults| {
        Files { error: config::error_file(&args, &cwd), ..Files::default() }.write(&faults.join("\n"));
    });
    let mut config = config.map_err(|faults| [faults, strays.clone()].concat())?;
    config.warnings.extend(strays);
    let home = environment("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    config.login.netrc = config.login.netrc.or_else(|| Some(Netrc::Usual(home?.join(".netrc"))));
    if environment("SSL_CERT_FILE").is_none_or(|file| file.is_empty()) {
        config.warnings.extend(config.connect.trust_system_certificates());
    }
    config.connect.ssh.agent =
        environment("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from);
    Ok(Some(config))
}

/// `syncline healthcheck [PATH]`, for probes in an image without a shell: asks the server of the process beside
/// this one, by default whether it is ready.
fn healthcheck(argv: Vec<OsString>) -> ExitCode {
    let path = argv
        .get(1)
        .and_then(|word| word.to_str())
        .filter(|word| word.starts_with('/'))
        .unwrap_or("/readyz")
        .to_owned();
    let bind = match args::parse(argv, environment) {
        Ok(Parsed::Run(args, faults)) if faults.is_empty() => {
            args.get("http-bind").and_then(|given| given.values.last().cloned())
        }
        Ok(Parsed::Run(_, faults)) | Err(faults) => return refuse(&faults),
        Ok(Parsed::Show(_)) => None,
    };
    let Some(bind) = bind.as_ref().and_then(|bind| bind.to_str()) else {
        return refuse(&[
            "healthcheck: needs --http-bind or GITSYNC_HTTP_BIND, as the process it asks".into()
        ]);
    };
    match serve::healthcheck(&serve::local_url(bind, &path)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let _ = writeln!(std::io::stderr(), "{fault}");
            ExitCode::FAILURE
        }
    }
}

/// To stdout; nobody may be reading it.
fn print(text: &[u8]) -> ExitCode {
    let _ = std::io::stdout().write_all(text);
    ExitCode::SUCCESS
}

/// Say everything that is wrong, before anything is touched.
fn refuse(faults: &[String]) -> ExitCode {
    let mut text = String::new();
    for fault in faults {
        text.push_str(&format!("syncline: {fault}\n"));
    }
    text.push_str("Try 'syncline --help'.\n");
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::FAILURE
}

async fn serve(mut config: Config, manager: Manager) -> Exit {
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
    // Probes are answered while the root is waited for, too.
    let exit = tokio::select! {
        exit = work(&config, &status, &progress, &manager, resources) => exit,
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

async fn work(
    config: &Config,
    status: &Status,
    progress: &Progress,
    manager: &Manager,
    resources: Resources,
) -> Exit {
    let shutdown = match listen() {
        Ok(shutdown) => shutdown,
        Err(err) => {
            error!(error = %err, "cannot listen for signals");
            return Exit::Failure;
        }
    };
    let touch = config.touch_file.as_ref().map(|path| config.root.join(path));
    let files = Writer::start(Files { touch, error: config.error_file.clone() });
    let told = (status, progress, manager, &files);
    let exit = tokio::select! {
        exit = sync(config, told, resources, shutdown) => exit,
        () = log::show(progress.clone(), config.log.format) => Exit::Failure,
    };
    files.finish(GRACE).await;
    exit
}

/// Those who are told of what happens.
type Told<'a> = (&'a Status, &'a Progress, &'a Manager, &'a Writer);

async fn sync(
    config: &Config,
    told: Told<'_>,
    resources: Resources,
    shutdown: impl Future<Output = &'static str>,
) -> Exit {
    tokio::pin!(shutdown);
    let prepared = async {
        let store = own(&config.root, resources, config.wait_for_lock).await?;
        open(config, store).await
    };
    let prepared = tokio::select! {
        prepared = prepared => prepared,
        _ = &mut shutdown => return Exit::Success,
    };
    match prepared.and_then(|prepared| prepare(config, prepared, told)) {
        Ok(service) => service.run(shutdown).await,
        Err(err) => {
            error!(error = %err, "cannot start");
            told.3.failed("cannot start", &err.to_string(), &serde_json::json!({}));
            Exit::Failure
        }
    }
}

/// Serve HTTP, if wished; only an error ends it.
async fn answer(http: Option<Http>, status: Status) -> std::io::Error {
    let Some(http) = http else { return std::future::pending().await };
    let served = match serve::bind(&http).await {
        Ok(listener) => serve::serve(listener, &http, status).await,
        Err(err) => Err(std::io::Error::new(err.kind(), format!("--http-bind {}: {err}", http.bind))),
    };
    served.err().unwrap_or_else(|| std::io::Error::other("the server ended"))
}

/// Open the store; wait for its owner if so wished.
async fn own(root: &Path, resources: Resources, wait: bool) -> Result<Store, Error> {
    let mut said = false;
    loop {
        // Opening may have to remove a half-made tree of many files.
        let path = root.to_owned();
        let opened = spawn_blocking(move || Store::open(&path, resources)).await;
        match opened.unwrap_or_else(|err| Err(Error::io("open the store", &err))) {
            Ok(store) => return Ok(store),
            Err(err) if err.kind() != ErrorKind::Busy => return Err(err),
            Err(err) if !wait => {
                let text = format!("{}; stop it, choose another root, or give --wait-for-lock", err.cause());
                return Err(Error::new(ErrorKind::Busy, err.step(), text));
            }
            Err(err) => {
                if !std::mem::replace(&mut said, true) {
                    info!(root = %root.display(), owner = err.cause(), "waiting for another syncline to let go of the root");
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// A store, what is published of it, and whether that is a commit of it.
type Prepared = (Store, Publication, bool);

/// Look at what is published, which may be on another file system.
async fn open(config: &Config, store: Store) -> Result<Prepared, Error> {
    let manner = Manner { shares_files: config.shares_files, is_durable: config.is_durable };
    let (publish, link) = (config.publish, config.link.clone());
    let step = format!("prepare to publish at {}", store.root().join(&link).display());
    let opened = spawn_blocking(move || {
        let publication = Publication::open(&store, publish, &link, manner)?;
        let serves = publication.current(&store).is_ok_and(|current| current.is_some());
        Ok((store, publication, serves))
    });
    opened.await.unwrap_or_else(|err| Err(err.into())).map_err(|err: std::io::Error| Error::io(step, &err))
}

fn prepare<'a>(
    config: &Config,
    (store, publication, serving): Prepared,
    (status, progress, manager, files): Told<'a>,
) -> Result<Service<'a>, Error> {
    for warning in store.warnings() {
        warn!(error = %warning, "leftovers stay; remove them by hand");
    }
    let interrupt = Interrupt::new();
    let upstream =
        Upstream::new(config.source.clone(), config.connect.clone(), interrupt.clone(), progress.clone());
    let wake = config.sync_on_signal.map(|number| signal(SignalKind::from_raw(number))).transpose();
    let wake = wake.map_err(|err| Error::io("listen for the signal of --sync-on-signal", &err))?;
    let hooks = Hooks::start(config, status);
    let syncer = Syncer {
        store,
        upstream,
        publication,
        logins: Logins::new(config, status, progress, &interrupt)?,
        shares_files: config.shares_files,
        reuses_trees: config.shares_files && !config.policy.one_time,
        reuse_delay: config.worktree_reuse_delay,
        retired_at: None,
        keeps_spare: false,
        is_durable: config.is_durable,
        folding: config.folding,
        sparse_file: config.sparse_file.clone(),
        stale_worktree_timeout: config.stale_worktree_timeout,
        pre_publish: hooks.pre_publish(),
        gate: config.pre_publish.clone().filter(|_| config.pre_publish_required),
        interrupt,
        progress: progress.clone(),
        verified: false,
        has_excess_history: false,
        tree_size: 0,
        has_leftovers: false,
    };
    Ok(Service {
        syncer,
        schedule: Schedule::new(config.policy, serving),
        hooks,
        files,
        manager: manager.clone(),
        status: status.clone(),
        sync_timeout: config.sync_timeout,
        worktree_check_period: config.worktree_check_period,
        wake,
    })
}

/// Listen from now on; the future completes at SIGTERM (Kubernetes, systemd) or SIGINT (a terminal), with its
/// name.
fn listen() -> std::io::Result<impl Future<Output = &'static str>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}
