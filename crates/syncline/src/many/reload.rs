//! Looking whether the file of the repositories has changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::args::Args;
use crate::config::many::{ManyConfig, digest};
use crate::environment::Environment;

/// How often to look.
const LOOK: Duration = Duration::from_secs(5);

/// What a configuration is made from, besides the file.
#[derive(Debug)]
pub struct Loader {
    pub args: Args,
    pub environment: Environment,
}

/// A configuration, or everything that is wrong with the file.
type Loaded = Result<ManyConfig, Vec<String>>;

/// The digest of a file, or why there is none.
type Seen = Result<String, String>;

/// What a look found.
type Looked = (Seen, Loaded);

/// Looks at the file again and again.
pub(super) struct Watch {
    loader: Arc<Loader>,
    path: PathBuf,
    /// At the last look.
    seen: Seen,
    looks: Interval,
    hangups: Signal,
    /// A look that has begun. Its file system may hang.
    look: Option<JoinHandle<Option<Looked>>>,
}

impl Watch {
    /// `hangups` are signals to load the file whether it has changed or not.
    pub(super) fn new(loader: Arc<Loader>, config: &ManyConfig, hangups: Signal) -> Watch {
        let (path, seen) = (config.path.clone(), Ok(config.sha256.clone()));
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Watch { loader, path, seen, looks, hangups, look: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says, as soon as it has changed. Nothing is lost if this is dropped and called again.
    pub(super) async fn changed(&mut self) -> Loaded {
        loop {
            let look = match &mut self.look {
                Some(look) => look,
                None => {
                    let always = tokio::select! {
                        _ = self.looks.tick() => false,
                        _ = self.hangups.recv() => true,
                    };
                    self.look.insert(self.begin(always))
                }
            };
            let looked = look.await;
            self.look = None;
            if let Ok(Some((now, loaded))) = looked {
                self.seen = loaded.as_ref().map_or(now, |config| Ok(config.sha256.clone()));
                return loaded;
            }
        }
    }

    /// The content counts, not its time: a ConfigMap is a link that is led elsewhere.
    fn begin(&self, always: bool) -> JoinHandle<Option<Looked>> {
        let (loader, path) = (self.loader.clone(), self.path.clone());
        let seen = (!always).then(|| self.seen.clone());
        spawn_blocking(move || {
            let now = digest(&path).map_err(|err| err.to_string());
            let is_same = seen.as_ref() == Some(&now);
            (!is_same).then(|| (now, ManyConfig::load(&loader.args, &loader.environment)))
        })
    }
}
