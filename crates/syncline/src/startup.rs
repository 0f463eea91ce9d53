//! From the configuration to the loop: signals, files, the store, and what it publishes.

use std::path::Path;
use std::time::Duration;

use sync_core::{
    Error, ErrorKind, Interrupt, Mirror, Progress, Publisher, Repack, Resources, Retention, Store,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use crate::clock::CLOCK;
use crate::config::{Config, FileReuse, Fsync, GitGc, Publishing};
use crate::hooks::{Gated, Hooks};
use crate::log;
use crate::login::{Http, Logins};
use crate::publish::{self, CopyOptions};
use crate::run::{GRACE, Service};
use crate::schedule::{Exit, Schedule};
use crate::status::Status;
use crate::systemd::Manager;
use crate::touch_and_error_files::{Files, Writer};
use crate::verifier::CountedVerifier;

/// Sync until the work is done or a signal comes.
pub async fn work(config: &Config, status: &Status, progress: &Progress, manager: &Manager) -> Exit {
    let shutdown = match listen() {
        Ok(shutdown) => shutdown,
        Err(err) => {
            error!(error = %err, "cannot listen for signals");
            return Exit::Failure;
        }
    };
    let Publishing { touch_file: touch, error_file: error, .. } = config.publishing.clone();
    let files = Writer::start(Files { touch, error });
    let told = Told { status, progress, manager, files: &files };
    let exit = tokio::select! {
        exit = sync(config, told, shutdown) => exit,
        () = log::show(progress.clone(), config.log.format) => Exit::Failure,
    };
    files.finish(GRACE).await;
    exit
}

/// The receivers of events.
#[derive(Clone, Copy)]
struct Told<'a> {
    status: &'a Status,
    progress: &'a Progress,
    manager: &'a Manager,
    files: &'a Writer,
}

async fn sync(config: &Config, told: Told<'_>, shutdown: impl Future<Output = &'static str>) -> Exit {
    tokio::pin!(shutdown);
    let prepared = async {
        let Publishing { root, wait_for_lock, .. } = &config.publishing;
        let store = own(root, config.connect.resources, *wait_for_lock).await?;
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
            told.files.failed("cannot start", &err.to_string(), &serde_json::json!({}));
            Exit::Failure
        }
    }
}

/// Open the store; with `wait`, wait until its owner releases it.
async fn own(root: &Path, resources: Resources, wait: bool) -> Result<Store, Error> {
    let mut said = false;
    loop {
        // Opening may have to remove an incomplete tree of many files.
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
                    info!(root = %root.display(), owner = err.cause(), "waiting for another syncline to release the root");
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// A store, its publisher, and whether a commit of the store is published already.
type Prepared = (Store, Box<dyn Publisher>, bool);

/// Find out what is published. That may be on another file system, and block.
async fn open(config: &Config, store: Store) -> Result<Prepared, Error> {
    let Publishing { mode, link, .. } = config.publishing.clone();
    let options = CopyOptions { shares_files: shares_files(config), is_durable: is_durable(config) };
    let subdirectory = config.source.selection.subdirectory.clone();
    let step = format!("prepare to publish at {}", store.root().join(&link).display());
    let opened = spawn_blocking(move || {
        let publisher = publish::open(&store, mode, &link, subdirectory, options)?;
        let serves = publisher.current(&store).is_ok_and(|current| current.is_some());
        Ok((store, publisher, serves))
    });
    opened.await.unwrap_or_else(|err| Err(err.into())).map_err(|err: std::io::Error| Error::io(step, &err))
}

/// Whether trees may have files in common, as hard links.
fn shares_files(config: &Config) -> bool {
    config.publishing.file_reuse == FileReuse::HardLink
}

/// Whether everything is on disk before it is published.
fn is_durable(config: &Config) -> bool {
    config.publishing.fsync == Fsync::All
}

fn prepare<'a>(
    config: &Config,
    (store, publisher, serving): Prepared,
    Told { status, progress, manager, files }: Told<'a>,
) -> Result<Service<'a, Mirror>, Error> {
    for warning in store.warnings() {
        warn!(error = %warning, "leftovers stay; remove them by hand");
    }
    let wake = config.timing.sync_on_signal.map(|number| signal(SignalKind::from_raw(number))).transpose();
    let wake = wake.map_err(|err| Error::io("listen for the signal of --sync-on-signal", &err))?;
    let hooks = Hooks::start(&config.hooks, config.timing.policy.one_time, status);
    let interrupt = Interrupt::new();
    let http = Http::new(&config.connect, config.timing.sync_timeout, &interrupt);
    let logins = Logins::new(&config.login, config.source.url.origin(), http, status, progress)?;
    let publisher = Gated {
        inner: publisher,
        told: hooks.before_publishing(),
        gate: config.hooks.gate.clone(),
        progress: progress.clone(),
    };
    let mut retention = Retention::new(CLOCK);
    retention.keep = config.publishing.stale_worktree_timeout;
    retention.reuse_delay = config.publishing.worktree_reuse_delay;
    let mirror = Mirror::builder(config.source.clone())
        .connect(config.connect.clone())
        .resources(config.connect.resources)
        .publisher(publisher)
        .credentials(logins)
        .observer(log::notice)
        .interrupt(interrupt)
        .progress(progress.clone())
        .shares_files(shares_files(config))
        .reuses_trees(!config.timing.policy.one_time)
        .flushes(is_durable(config))
        .repack(match config.publishing.git_gc {
            GitGc::Off => Repack::Never,
            GitGc::Auto => Repack::WhenNeeded,
            GitGc::Aggressive => Repack::Always,
        })
        .retention(retention)
        .rules(config.rules.clone())
        .lists_changes(false);
    let mirror = match &config.sparse_file {
        Some(path) => mirror.sparse_file(path),
        None => mirror,
    };
    let mirror = match &config.signatures {
        Some(policy) => mirror.verifier(CountedVerifier::new(policy, status)),
        None => mirror,
    };
    Ok(Service {
        worker: mirror.build(store),
        schedule: Schedule::new(config.timing.policy, serving),
        hooks,
        files,
        manager: manager.clone(),
        status: status.clone(),
        sync_timeout: config.timing.sync_timeout,
        worktree_check_period: config.timing.worktree_check_period,
        wake,
    })
}

/// Listen from now on; the future completes at SIGTERM (Kubernetes, systemd) or SIGINT (a terminal), with the signal's
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
