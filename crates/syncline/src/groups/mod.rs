//! Groups: repositories whose trees appear together, by one rename.
//!
//! Each member offers its newest finished tree. The group decides when a new set is shown ([`window`]), writes it to disk
//! as a [generation](generations), and flips its link to it. Then the members publish their own trees.

mod coordinator;
pub mod generations;
mod pins;
mod window;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sync_core::{CommitId, Decision, Subdirectory, SyncOutcome};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::config::many::GroupConfig;
use crate::publish::shown_part;
use crate::schedule::Exit;

pub use coordinator::{Coordinator, Manner};
pub use generations::{Generation, Generations, Shelf};

use generations::{Offer, Offers};
use window::{MemberState, Members, Window};

/// A group, shared by its members and its coordinator.
#[derive(Debug)]
pub struct Group {
    generations: Generations,
    state: Mutex<State>,
    /// Something happened that the coordinator should look at.
    news: Notify,
    /// Something happened that members should look at.
    changes: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    members: Members,
    window: Option<Window>,
    shown: Option<Generation>,
    /// Whether another process has shown it, and nobody was told yet.
    is_news: bool,
    /// Of a one-time run, once it is over for the group.
    verdict: Option<Exit>,
    /// The member that pins the others, if there is one.
    lead: Option<String>,
}

/// What the group wants of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing special.
    Usual,
    /// Look now.
    Now,
    /// Do nothing before something changes.
    Wait,
    /// Publish this commit.
    Publish(CommitId),
    /// The one-time run is over.
    Over(Exit),
}

impl Group {
    fn new(
        config: &GroupConfig,
        required: impl Fn(&str) -> bool,
        generations: Generations,
        shown: Option<Generation>,
    ) -> Group {
        let offers = shown.iter().flat_map(|shown| &shown.members);
        let offered = |(name, offer): (&String, &Offer)| {
            (name.clone(), MemberState { offer: Some(offer.clone()), ..MemberState::default() })
        };
        let state = State {
            // A member that cannot be synced keeps the tree that an earlier process showed.
            members: members(config, required, offers.map(offered).collect()),
            window: None,
            shown,
            is_news: false,
            verdict: None,
            lead: config.pins.as_ref().map(|pins| pins.from.clone()),
        };
        Group { generations, state: Mutex::new(state), news: Notify::new(), changes: watch::Sender::new(()) }
    }

    /// The part of a member, whose store has this root, and of whose trees consumers read this directory.
    pub fn member(
        self: &Arc<Self>,
        name: &str,
        (root, subdirectory): (PathBuf, Option<Subdirectory>),
    ) -> Member {
        if let Some(member) = self.lock().members.get_mut(name) {
            member.has_ended = false;
        }
        let (name, changes) = (name.to_owned(), self.changes.subscribe());
        Member { group: self.clone(), name, root, subdirectory, changes }
    }

    /// A member has its store now. While it waited for that, another process may have shown something else.
    pub fn look_again(&self, shelf: &Shelf) -> io::Result<()> {
        let _lock = shelf.lock();
        let shown = self.generations.shown()?;
        let mut state = self.lock();
        let id = |shown: &Option<Generation>| shown.as_ref().map(|shown| shown.id.clone());
        if id(&state.shown) == id(&shown) {
            return Ok(());
        }
        for (name, member) in state.members.iter_mut().filter(|(_, member)| member.began.is_none()) {
            member.offer = shown.as_ref().and_then(|shown| shown.members.get(name).cloned());
        }
        state.shown = shown;
        state.is_news = true;
        drop(state);
        self.news.notify_one();
        Ok(())
    }

    /// Go on with another configuration.
    fn configure(&self, config: &GroupConfig, required: impl Fn(&str) -> bool) {
        let mut state = self.lock();
        let known = std::mem::take(&mut state.members);
        state.members = members(config, required, known);
        state.lead = config.pins.as_ref().map(|pins| pins.from.clone());
        drop(state);
        self.news.notify_one();
    }

    /// Nobody is pinned until a lead says so.
    pub fn forget_pins(&self) {
        for member in self.lock().members.values_mut() {
            member.pin = None;
        }
    }

    /// A member does not work any more.
    pub fn ended(&self, name: &str) {
        if let Some(member) = self.lock().members.get_mut(name) {
            member.has_ended = true;
        }
        self.news.notify_one();
    }

    /// The newest finished trees.
    fn offers(&self) -> Offers {
        self.lock().offers()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The members that the configuration names; what is known of them stays.
fn members(config: &GroupConfig, required: impl Fn(&str) -> bool, mut known: Members) -> Members {
    let state = |name: &String| {
        let is_required = required(name);
        (name.clone(), MemberState { is_required, ..known.remove(name).unwrap_or_default() })
    };
    config.members.iter().map(state).collect()
}

impl State {
    fn offers(&self) -> Offers {
        let offer = |(name, member): (&String, &MemberState)| Some((name.clone(), member.offer.clone()?));
        self.members.iter().filter_map(offer).collect()
    }

    /// This is the newest finished tree of a member.
    fn offer(&mut self, name: &str, offer: Offer) {
        let Some(member) = self.members.get_mut(name) else { return };
        if member.offer.as_ref() != Some(&offer) {
            member.offer = Some(offer);
            if let Some(window) = &mut self.window {
                window.prolong(Instant::now());
            }
        }
    }

    fn shown_of(&self, name: &str) -> Option<CommitId> {
        self.shown.as_ref()?.members.get(name).map(|offer| offer.commit)
    }
}

/// The part of a repository in its group.
#[derive(Clone, Debug)]
pub struct Member {
    group: Arc<Group>,
    name: String,
    /// Of the store.
    root: PathBuf,
    subdirectory: Option<Subdirectory>,
    changes: watch::Receiver<()>,
}

impl Member {
    /// What to do next.
    pub fn turn(&self) -> Turn {
        let state = self.group.lock();
        let Some(member) = state.members.get(&self.name) else { return Turn::Usual };
        match state.shown_of(&self.name) {
            Some(shown) if member.followed != Some(shown) => return Turn::Publish(shown),
            _ => {}
        }
        if let Some(verdict) = state.verdict {
            return Turn::Over(verdict);
        }
        let is_pinned = state.lead.as_ref().is_some_and(|lead| *lead != self.name);
        match member.look_now {
            true => Turn::Now,
            false if is_pinned && member.pin.is_none() => Turn::Wait,
            false => Turn::Usual,
        }
    }

    /// Completes when the group wants something.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// A sync begins. The answer is the commit to sync, if the lead pins one.
    pub fn begin(&self) -> Option<CommitId> {
        let mut state = self.group.lock();
        let member = state.members.get_mut(&self.name)?;
        (member.began, member.look_now) = (Some(Instant::now()), false);
        member.pin
    }

    /// A tree is finished; it is published with the group, unless the group shows it already.
    ///
    /// # Errors
    ///
    /// If the directory that consumers read is not in the tree.
    pub fn offer(&self, commit: CommitId) -> io::Result<Decision> {
        let directory = self.directory(commit)?;
        let mut state = self.group.lock();
        if !state.members.contains_key(&self.name) {
            return Ok(Decision::Publish);
        }
        let is_shown = state.shown_of(&self.name) == Some(commit);
        state.offer(&self.name, Offer { commit, directory });
        drop(state);
        self.group.news.notify_one();
        Ok(if is_shown { Decision::Publish } else { Decision::Defer })
    }

    /// What consumers read of a commit.
    fn directory(&self, commit: CommitId) -> io::Result<PathBuf> {
        let tree = self.root.join(".worktrees").join(commit.to_string());
        shown_part(&tree, self.subdirectory.as_ref())
    }

    /// A sync succeeded. A tree that is published is the newest one.
    pub fn synced(&self, outcome: &SyncOutcome) {
        let (published, newest) = match outcome {
            SyncOutcome::Ready { published, .. } => (*published, None),
            outcome => (Some(outcome.commit()), Some(outcome.commit())),
        };
        let newest =
            newest.and_then(|commit| Some(Offer { commit, directory: self.directory(commit).ok()? }));
        let mut state = self.group.lock();
        if let Some(newest) = newest {
            state.offer(&self.name, newest);
        }
        if let Some(member) = state.members.get_mut(&self.name) {
            member.looked = member.began;
            member.followed = published;
        }
        drop(state);
        self.group.news.notify_one();
    }

    /// It tried to publish a commit that the group shows. If that failed, it tries again after the next sync.
    pub fn followed(&self, commit: CommitId) {
        if let Some(member) = self.group.lock().members.get_mut(&self.name) {
            member.followed = Some(commit);
        }
    }
}
