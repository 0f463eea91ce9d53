//! One repository: from its configuration to its loop.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sync_core::{
    CommitId, Error, ErrorKind, Interrupt, Mirror, Publisher, Repack, Resources, Retention, Store,
};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::board::Entry;
use crate::clock::CLOCK;
use crate::config::{Config, FileReuse, Fsync, GitGc, Publishing};
use crate::gate::Gated;
use crate::groups::{Group, Shelf};
use crate::hooks::Hooks;
use crate::log;
use crate::login::{Http, Logins};
use crate::publish::{self, CopyOptions};
use crate::receive::Pushes;
use crate::run::{End, GRACE, Service, unless_stopped};
use crate::schedule::{Exit, Next, Schedule};
use crate::shared::Shared;
use crate::stop::Stop;
use crate::systemd::Ready;
use crate::touch_and_error_files::{Files, Writer};
use crate::verifier::CountedVerifier;
use crate::worker::Synced;

/// A repository and all that its loop needs.
pub struct Repository {
    pub config: Arc<Config>,
    pub entry: Entry,
    pub shared: Shared,
    pub ready: Ready,
    /// Starts a sync immediately.
    pub wake: Arc<Notify>,
    /// What push hooks announce, if they are taken.
    pub pushes: Option<Pushes>,
    /// What it is among others; `None` if it is the only one.
    pub place: Option<Place>,
}

/// A repository among others.
pub struct Place {
    pub name: String,
    /// The group that it appears with, if there is one.
    pub group: Option<Arc<Group>>,
    pub shelf: Shelf,
    /// How long to wait before the first sync.
    pub delay: Duration,
    /// The commit that the hooks were told of already.
    pub told: Option<CommitId>,
}

/// A store, its publisher, and whether a commit of the store is published already.
type Opened = (Store, Box<dyn Publisher>, bool);

impl Repository {
    /// Sync until the work is done, or an order to stop comes.
    pub async fn run(self, stop: Stop) -> End {
        let Publishing { touch_file: touch, error_file: error, .. } = self.config.publishing.clone();
        let files = Arc::new(Writer::start(Files { touch, error }));
        let end = self.work(&files, stop).await;
        if let Some(files) = Arc::into_inner(files) {
            files.finish(GRACE).await;
        }
        end
    }

    /// Alone, a repository that cannot be opened ends the process. Among others it is tried again.
    async fn work(self, files: &Arc<Writer>, mut stop: Stop) -> End {
        let is_alone = self.place.is_none();
        let policy = self.config.timing.policy;
        self.entry.status.syncs_every(policy.usual_period());
        let mut schedule = Schedule::new(policy, !is_alone);
        loop {
            let began = tokio::time::Instant::now();
            let opened = match unless_stopped(self.open(), &mut stop).await {
                Ok(opened) => opened,
                Err(end) => return end,
            };
            let err = match opened.and_then(|opened| self.service(opened, files)) {
                Ok(service) => return service.run(stop).await,
                Err(err) => err,
            };
            files.failed("cannot start", &err.to_string(), &json!({}));
            let next = schedule.next(false, None, fastrand::f64());
            let (Next::Wait(pause), false) = (next, is_alone) else {
                error!(error = %err, "cannot start");
                return End::Over(Exit::Failure);
            };
            self.entry.status.failed(err.to_string(), schedule.failures(), began.elapsed());
            self.entry.status.waiting(pause);
            let retry_in = humantime::format_duration(Duration::from_secs(pause.as_secs())).to_string();
            error!(error = %err, retry_in, "cannot start");
            tokio::select! {
                () = sleep(pause) => {}
                () = self.wake.notified() => {}
                _ = stop.ordered() => return End::Stopped,
            }
        }
    }

    async fn open(&self) -> Result<Opened, Error> {
        let Publishing { root, wait_for_lock, .. } = &self.config.publishing;
        let store = own(root, self.shared.pool.share(), *wait_for_lock).await?;
        if let Some(Place { group: Some(group), shelf, .. }) = &self.place {
            let (group, shelf) = (group.clone(), shelf.clone());
            let looked = spawn_blocking(move || group.look_again(&shelf)).await;
            let looked = looked.unwrap_or_else(|err| Err(err.into()));
            looked.map_err(|err| Error::io("look what the group shows", &err))?;
        }
        publisher(&self.config, store).await
    }

    fn service(
        &self,
        (store, publisher, is_serving): Opened,
        files: &Arc<Writer>,
    ) -> Result<Service<Synced>, Error> {
        for warning in store.warnings() {
            warn!(error = %warning, "leftovers stay; remove them by hand");
        }
        let Repository { config, entry, shared, .. } = self;
        let policy = config.timing.policy;
        let name = self.place.as_ref().map(|place| place.name.as_str());
        let hooks = Hooks::start(&config.hooks, policy.one_time, &entry.status, name);
        let member = self.place.as_ref().and_then(|place| {
            let directory = (store.root().to_owned(), config.source.selection.subdirectory.clone());
            Some(place.group.as_ref()?.member(&place.name, directory))
        });
        let publisher = Gated {
            inner: publisher,
            told: hooks.before_publishing(),
            gate: config.hooks.gate.clone(),
            progress: entry.progress.clone(),
            repo: name.map(ToOwned::to_owned),
            member: member.clone(),
            shelf: self.place.as_ref().map(|place| place.shelf.clone()),
        };
        let mut mirror = self.mirror(publisher)?;
        let mut feeding = None;
        if let Some(relay) = &config.relay {
            let relay = relay.counted(entry.status.requests("relay"));
            let facts = relay.facts();
            entry.status.uses_relay(facts.view());
            feeding = relay.feeding(&shared.relays, &facts);
            if let Some(follower) = relay.follower(store.relay_file(), &shared.relays, &self.wake, &facts) {
                mirror = mirror.relay(follower);
            }
        }
        let server = format!("{} {:?}", config.source.url.server(), config.login);
        Ok(Service {
            worker: Some(Box::new(Synced { mirror: mirror.build(store), feeding })),
            schedule: Schedule::new(policy, is_serving || self.place.is_some()),
            hooks,
            files: files.clone(),
            status: entry.status.clone(),
            sync_timeout: config.timing.sync_timeout,
            worktree_check_period: config.timing.worktree_check_period,
            delay: self.place.as_ref().map_or(Duration::ZERO, |place| place.delay),
            wake: self.wake.clone(),
            pushes: self.pushes.clone(),
            pool: shared.pool.clone(),
            server: shared.server(server),
            member,
            ready: self.ready.clone(),
            told: self.place.as_ref().and_then(|place| place.told),
        })
    }

    fn mirror(&self, publisher: Gated) -> Result<sync_core::MirrorBuilder, Error> {
        let Repository { config, entry, shared, .. } = self;
        let interrupt = Interrupt::new();
        let counted = |to| {
            let mut connect = config.connect.clone();
            connect.requests = entry.status.requests(to);
            connect
        };
        let http = Http::new(&counted("token"), config.timing.sync_timeout, &interrupt);
        let origin = config.source.url.origin();
        let logins =
            Logins::new(&config.login, origin, http, &shared.tokens, (&entry.status, &entry.progress))?;
        let mut retention = Retention::new(CLOCK);
        retention.keep = config.publishing.stale_worktree_timeout;
        retention.reuse_delay = config.publishing.worktree_reuse_delay;
        let mirror = Mirror::builder(config.source.clone())
            .connect(counted("git"))
            .pool(&shared.pool)
            .publisher(publisher)
            .credentials(logins)
            .observer(log::notice)
            .interrupt(interrupt)
            .progress(entry.progress.clone())
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
        Ok(match &config.signatures {
            Some(policy) => mirror.verifier(CountedVerifier::new(policy, &entry.status)),
            None => mirror,
        })
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
                sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// Find out what is published. That may be on another file system, and block.
async fn publisher(config: &Config, store: Store) -> Result<Opened, Error> {
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
pub fn is_durable(config: &Config) -> bool {
    config.publishing.fsync == Fsync::All
}
