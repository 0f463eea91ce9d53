//! Hooks: what is run or notified when something is published.
//!
//! Each hook has a task of its own and room for one event: the newest commit is delivered, not every one, and a slow
//! hook never delays a sync. A failed delivery is retried until it succeeds or a newer commit comes.
//!
//! To add a hook, write a file with a type that implements [`Hook`] and add a line to [`HookConfig::read`].

mod delivery;
mod exec;
mod notify;
mod reap;
mod web;

use std::fmt::Debug;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sync_core::{CommitId, ConnectOptions, Interrupt, Source};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::options::PRE_PUBLISH_EXECHOOK_REQUIRED;
use crate::reader::OptionReader;
use crate::status::Status;

use delivery::Runner;
pub use exec::ExecHook;
pub(crate) use exec::exechook;
pub use reap::{end_all, orphans};

/// How often to check whether to stop waiting.
const INTERRUPT_CHECK: Duration = Duration::from_millis(50);

/// What is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A commit.
    Commit(CommitId),
    /// A set of trees of a group.
    Generation {
        /// The name of the group.
        group: String,
        /// Sixteen hexadecimal digits.
        id: String,
    },
}

/// What a hook is told.
#[derive(Clone, Debug)]
pub struct Event {
    /// What is published.
    pub what: What,
    /// The tree of the commit, or the directory of the set.
    pub tree: PathBuf,
    /// The name of the repository, if there are several.
    pub repo: Option<String>,
    /// The full name of the reference that was chosen.
    pub reference: Option<String>,
    /// Who signed it, if signatures are verified.
    pub signer: Option<String>,
}

impl What {
    /// The name of the group; `None` for a commit.
    fn group(&self) -> Option<&str> {
        match self {
            What::Commit(_) => None,
            What::Generation { group, .. } => Some(group),
        }
    }
}

impl Event {
    /// This is published in a directory; nothing else is known.
    pub fn new(what: What, tree: PathBuf) -> Event {
        Event { what, tree, repo: None, reference: None, signer: None }
    }

    /// The commit; `None` for a set of a group.
    pub fn commit(&self) -> Option<CommitId> {
        match self.what {
            What::Commit(commit) => Some(commit),
            What::Generation { .. } => None,
        }
    }
}

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// When something is about to be published.
    BeforePublishing,
    /// After it was published.
    Published,
}

/// The end of a delivery, with the reason if it failed.
pub type Delivery<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// Something to run or to notify.
pub trait Hook: Debug + Send + Sync + 'static {
    /// As logs and metrics name it.
    fn name(&self) -> &'static str;

    /// When it runs.
    fn moment(&self) -> Moment {
        Moment::Published
    }

    /// How long to wait before a failed delivery is retried.
    fn backoff(&self) -> Duration;

    /// Tell it once.
    fn deliver<'a>(&'a self, event: &'a Event) -> Delivery<'a>;
}

/// The hooks that the options ask for.
#[derive(Clone, Debug, Default)]
pub struct HookConfig {
    /// Those that run in tasks of their own.
    pub list: Vec<Arc<dyn Hook>>,
    /// A program that must succeed before anything is published. The sync itself runs it.
    pub gate: Option<ExecHook>,
}

impl HookConfig {
    /// Read the options of all hooks. A new hook is a line in here.
    pub fn read(r: &mut OptionReader, connect: &ConnectOptions, source: Option<&Source>) -> HookConfig {
        let pre_publish = exec::pre_publish(r);
        let (gate, pre_publish) =
            if r.get(&PRE_PUBLISH_EXECHOOK_REQUIRED) { (pre_publish, None) } else { (None, pre_publish) };
        let all = [
            shared(pre_publish),
            shared(exechook(r)),
            shared(web::webhook(r, connect, source)),
            shared(notify::notify(r)),
        ];
        HookConfig { list: all.into_iter().flatten().collect(), gate }
    }
}

fn shared(hook: Option<impl Hook>) -> Option<Arc<dyn Hook>> {
    hook.map(|hook| Arc::new(hook) as Arc<dyn Hook>)
}

/// All hooks with their tasks.
#[derive(Debug)]
pub struct Hooks {
    runners: Vec<Runner>,
    /// The name of the repository, if there are several.
    repo: Option<String>,
}

impl Hooks {
    /// Start a task for each hook; with `once`, it makes one attempt. `repo` is the name of the repository, if there are
    /// several.
    pub fn start(config: &HookConfig, once: bool, status: &Status, repo: Option<&str>) -> Hooks {
        let start = |hook: &Arc<dyn Hook>| Runner::start(hook.clone(), once, status.clone());
        Hooks { runners: config.list.iter().map(start).collect(), repo: repo.map(ToOwned::to_owned) }
    }

    /// The same for the hook of a group.
    pub fn of_group(hook: Option<ExecHook>, once: bool, status: &Status) -> Hooks {
        let list = shared(hook).into_iter().collect();
        Hooks::start(&HookConfig { list, gate: None }, once, status, None)
    }

    /// Where a sync says what it is about to publish.
    pub fn before_publishing(&self) -> Vec<watch::Sender<Option<Event>>> {
        self.of(Moment::BeforePublishing).map(|runner| runner.events.clone()).collect()
    }

    /// Something was published, or found published at the first sync.
    pub fn published(&self, event: &Event) {
        for runner in self.of(Moment::Published) {
            runner.events.send_replace(Some(Event { repo: self.repo.clone(), ..event.clone() }));
        }
    }

    fn of(&self, moment: Moment) -> impl Iterator<Item = &Runner> {
        self.runners.iter().filter(move |runner| runner.moment == moment)
    }

    /// Wait for the only delivery of each hook that had an event; whether all succeeded.
    pub async fn finish(self) -> bool {
        let mut succeeded = true;
        for runner in self.runners {
            succeeded &= runner.finish().await;
        }
        succeeded
    }
}

/// Run a program that decides whether `event` may be published; it is killed once the interrupt is set.
pub async fn ask(hook: &ExecHook, event: &Event, interrupt: &Interrupt) -> Result<(), String> {
    tokio::select! {
        answer = hook.deliver(event) => answer,
        () = stopped(interrupt) => Err(format!("{} was killed before it ended", hook.command().display())),
    }
}

async fn stopped(interrupt: &Interrupt) {
    while !interrupt.is_triggered() {
        sleep(INTERRUPT_CHECK).await;
    }
}
