//! From the configuration to the loop: signals, files, the store and what is published of it.

use std::path::Path;
use std::time::Duration;

use sync_core::{Error, ErrorKind, Interrupt, Progress, Resources, Store, Upstream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use crate::config::Config;
use crate::files::{Files, Writer};
use crate::hooks::Hooks;
use crate::log;
use crate::login::Logins;
use crate::pass::Syncer;
use crate::publish::{Manner, Publication};
use crate::run::{GRACE, Service};
use crate::schedule::{Exit, Schedule};
use crate::status::Status;
use crate::systemd::Manager;

/// Sync until the work is done or a signal comes.
pub async fn work(config: &Config, status: &Status, progress: &Progress, manager: &Manager) -> Exit {
    let shutdown = match listen() {
        Ok(shutdown) => shutdown,
        Err(err) => {
            error!(error = %err, "cannot listen for signals");
            return Exit::Failure;
        }
    };
    let touch = config.touch_file.as_ref().map(|path| config.root.join(path));
    let files = Writer::start(Files { touch, error: config.error_file.clone() });
    let told = Told { status, progress, manager, files: &files };
    let exit = tokio::select! {
        exit = sync(config, told, shutdown) => exit,
        () = log::show(progress.clone(), config.log.format) => Exit::Failure,
    };
    files.finish(GRACE).await;
    exit
}

/// Those who are told what happens.
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
        let store = own(&config.root, config.connect.resources, config.wait_for_lock).await?;
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
                    info!(root = %root.display(), owner = err.cause(), "waiting for another syncline to release the root");
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
    Told { status, progress, manager, files }: Told<'a>,
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
