//! A feeder: writes what a mirror has published to an engine.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use sync_core::{Clock, CommitId, Depth, Error, ErrorKind, Interrupt, RelayLink, RelayPack, RelayTip, Store};
use tracing::{debug, info, warn};

use crate::engine::{Engine, PackName, Revision, Swap};
use crate::facts::{Facts, PackKind};
use crate::keys::SigningKey;
use crate::looks::{Looks, Published, Seen};
use crate::name::RelayName;
use crate::pack_file::PackFile;
use crate::refusal::Reason;
use crate::tip::Tip;

/// How often a tip is written again although nothing changed, so that its age says whether feeders live.
const HEARTBEAT: Duration = Duration::from_secs(45);

/// With more steps after the full pack, a new full pack is written before the tip.
const MOST_STEPS: usize = 16;

/// Steps that are no larger together are no reason for a new full pack.
const SMALL: u64 = 1 << 20;

/// When nothing changed for so long, a full pack of the newest commit is written.
const QUIET: Duration = Duration::from_secs(600);

/// How often packs that no tip names are looked for, and how long such a pack stays at least.
const CLEAN_PERIOD: Duration = Duration::from_secs(600);
const LEAST_KEEP: Duration = Duration::from_secs(600);

/// How often a write is tried when other feeders write at the same time.
const ATTEMPTS: usize = 4;

/// How a feeder works.
#[derive(Debug)]
pub struct FeederOptions {
    /// Which repository it feeds.
    pub name: RelayName,
    /// What the feeder is called, in tips.
    pub id: String,
    /// A file with the key that signs tips. It is read anew for each.
    pub sign_key_file: Option<PathBuf>,
    /// The largest pack that travels with the tip, in bytes.
    pub inline: u64,
    /// How long packs stay that no tip names any more.
    pub keep: Duration,
    /// How many followers there are; 0 if that is not known.
    pub followers: u32,
    /// How much history the mirror has.
    pub depth: Depth,
    /// The caller's clock.
    pub clock: Clock,
}

/// Writes to an engine. Any number may write for one name: each write replaces only what the writer had read.
pub struct Feeder {
    engine: Box<dyn Engine>,
    options: FeederOptions,
    facts: Facts,
    looks: Looks,
    /// When packs were named by the tip last, or first seen unnamed, by the monotonic clock.
    named: HashMap<PackName, Duration>,
    cleaned: Option<Duration>,
    /// Whether the full pack that the tip names is gone.
    lacks_full: bool,
    /// Whether the engine is ready to be written to.
    is_prepared: bool,
    /// When this feeder saw the commit of the tip change last.
    changed: Duration,
}

/// What the engine has.
struct Stored {
    /// `None` if it cannot be used: it is to be replaced.
    tip: Option<Tip>,
    revision: Revision,
}

impl Feeder {
    /// A feeder that writes to `engine`, and tells `facts` what it does.
    #[must_use]
    pub fn new(engine: Box<dyn Engine>, options: FeederOptions, facts: Facts) -> Feeder {
        let changed = (options.clock.monotonic)();
        Feeder {
            engine,
            options,
            facts,
            looks: Looks::default(),
            named: HashMap::new(),
            cleaned: None,
            lacks_full: false,
            is_prepared: false,
            changed,
        }
    }

    /// Tell the relay what is published. Call this after each look at the git server that succeeded. It writes only if
    /// the tip is another one, or is due to be written again.
    ///
    /// # Errors
    ///
    /// The engine cannot be reached or refuses, or the store cannot be read. The next call goes on.
    pub fn feed(&mut self, published: &Published, store: &Store, interrupt: &Interrupt) -> Result<(), Error> {
        let seen = self.looks.saw(published);
        let fed = self.try_feed(published, seen, store, interrupt);
        self.facts.connected(self.engine.is_connected());
        if fed.is_err() {
            self.facts.wrote("failed");
            // The next look proposes this again.
            self.looks.forget();
            // Whoever set the engine up anew left nothing there.
            self.is_prepared = false;
        }
        fed
    }

    fn try_feed(
        &mut self,
        published: &Published,
        seen: Seen,
        store: &Store,
        interrupt: &Interrupt,
    ) -> Result<(), Error> {
        if !self.is_prepared {
            self.engine.prepare(interrupt).map_err(|err| Error::io(self.step(), &err))?;
            self.is_prepared = true;
        }
        let key = self.key()?;
        for _ in 0..ATTEMPTS {
            let stored = self.stored(key.as_ref(), interrupt)?;
            let last = stored.as_ref().and_then(|stored| stored.tip.as_ref());
            let next = match last {
                Some(last) if is_of(&last.tip, published) => self.renewed(last, store, interrupt)?,
                // A feeder whose git server lags must not take the fleet back.
                Some(_) if seen == Seen::Before => None,
                last => Some(self.proposal(published, last, store, interrupt)?),
            };
            let Some(tip) = next else { return self.clean(last, interrupt) };
            let expected = stored.as_ref().map(|stored| &stored.revision);
            if self.write(&tip, key.as_ref(), expected, interrupt)? {
                return self.clean(Some(&tip), interrupt);
            }
        }
        let text = "other feeders write all the time; do several repositories use one --relay-name?";
        Err(Error::new(ErrorKind::Busy, self.step(), text))
    }

    /// What the engine has.
    fn stored(&mut self, key: Option<&SigningKey>, interrupt: &Interrupt) -> Result<Option<Stored>, Error> {
        let record = self.engine.tip(interrupt).map_err(|err| Error::io(self.step(), &err))?;
        let Some(record) = record else { return Ok(None) };
        // What others wrote must not be signed by us.
        let keys = key.map(SigningKey::public);
        let tip = match Tip::decode(&record.bytes, &self.options.name, keys.as_ref()) {
            Ok(tip) => Some(tip),
            Err(refusal) if refusal.reason == Reason::Version => {
                return Err(Error::new(ErrorKind::Server, self.step(), refusal));
            }
            Err(refusal) => {
                self.facts.refused(refusal.reason);
                warn!(error = %refusal, name = %self.options.name, "the relay has a tip that is no use; it is replaced");
                None
            }
        };
        if let Some(tip) = &tip {
            let now = self.now();
            self.named.extend(tip.packs().map(|pack| (pack, now)));
            self.facts.saw(tip);
        }
        Ok(Some(Stored { tip, revision: record.revision }))
    }

    /// A tip of another commit.
    fn proposal(
        &mut self,
        published: &Published,
        last: Option<&Tip>,
        store: &Store,
        interrupt: &Interrupt,
    ) -> Result<Tip, Error> {
        let Published { reference, commit, tag } = published.clone();
        let depth = self.options.depth;
        let base = last.filter(|last| {
            last.tip.depth == depth
                && last.tip.commit.to_string().len() == commit.to_string().len()
                && last.steps_after_full().len() < MOST_STEPS
                && (last.tip.commit == commit || store.contains(last.tip.commit))
        });
        let (full, chain, inline) = match base {
            Some(last) if last.tip.commit == commit => {
                (last.tip.full.clone(), last.tip.chain.clone(), last.inline.clone())
            }
            Some(last) => {
                let (link, inline) = self.put_step(last.tip.commit, commit, store, interrupt)?;
                let chain = last.tip.chain.iter().cloned().chain([link]).collect();
                (last.tip.full.clone(), chain, inline)
            }
            None => ((commit, self.put_full(commit, store, interrupt)?), Vec::new(), None),
        };
        let tag = tag.map(|id| (id, store.tag_object(id)));
        self.changed = self.now();
        Ok(self.tip(RelayTip { reference, commit, tag, depth, full, chain }, inline, last))
    }

    /// The tip of the same commit, if it is to be written again: with a new full pack, or as a sign of life.
    fn renewed(&mut self, last: &Tip, store: &Store, interrupt: &Interrupt) -> Result<Option<Tip>, Error> {
        let commit = last.tip.commit;
        let steps = last.steps_after_full();
        let bytes = steps.iter().fold(0_u64, |sum, step| sum.saturating_add(step.pack.bytes));
        let is_quiet = self.now().saturating_sub(self.changed) >= QUIET;
        let is_long = steps.len() > MOST_STEPS / 2 || bytes > SMALL.max(last.tip.full.1.bytes / 2);
        let is_wanted = !steps.is_empty() && (is_long || is_quiet);
        let mut tip = last.tip.clone();
        if (is_wanted || self.lacks_full) && store.contains(commit) {
            self.lacks_full = false;
            tip.full = (commit, self.put_full(commit, store, interrupt)?);
        } else if self.wall().saturating_sub(last.observed) < HEARTBEAT {
            return Ok(None);
        }
        Ok(Some(self.tip(tip, last.inline.clone(), Some(last))))
    }

    fn tip(&self, tip: RelayTip, inline: Option<Vec<u8>>, last: Option<&Tip>) -> Tip {
        let observed = self.wall();
        let least = last.map_or(0, |last| last.generation.saturating_add(1));
        Tip {
            tip: trimmed(tip),
            // Above all earlier ones, even if the engine was set up anew.
            generation: least.max(observed.as_millis() as u64),
            observed,
            feeder: self.options.id.clone(),
            followers: self.options.followers,
            inline,
        }
    }

    fn put_step(
        &mut self,
        from: CommitId,
        to: CommitId,
        store: &Store,
        interrupt: &Interrupt,
    ) -> Result<(RelayLink, Option<Vec<u8>>), Error> {
        let mut file = PackFile::make(store, to, Some(from), self.options.depth, interrupt)?;
        let inline = file.content_up_to(self.options.inline).map_err(|err| Error::io(self.step(), &err))?;
        let pack = self.put(&mut file, interrupt)?;
        let kind = if inline.is_some() { PackKind::Inline } else { PackKind::Chain };
        self.facts.moved(kind, pack.bytes);
        Ok((RelayLink { from, to, pack }, inline))
    }

    fn put_full(
        &mut self,
        commit: CommitId,
        store: &Store,
        interrupt: &Interrupt,
    ) -> Result<RelayPack, Error> {
        let mut file = PackFile::make(store, commit, None, self.options.depth, interrupt)?;
        let pack = self.put(&mut file, interrupt)?;
        self.facts.moved(PackKind::Full, pack.bytes);
        info!(%commit, bytes = pack.bytes, "wrote a full pack to the relay");
        Ok(pack)
    }

    fn put(&mut self, file: &mut PackFile, interrupt: &Interrupt) -> Result<RelayPack, Error> {
        let pack = file.pack();
        let name = PackName(pack.sha256);
        let step = self.step();
        let put = self.engine.put_pack(&name, pack.bytes, file.file(), interrupt);
        put.map_err(|err| Error::io(step, &err))?;
        self.named.insert(name, self.now());
        Ok(pack)
    }

    /// Write a tip; false if another feeder wrote first.
    fn write(
        &mut self,
        tip: &Tip,
        key: Option<&SigningKey>,
        expected: Option<&Revision>,
        interrupt: &Interrupt,
    ) -> Result<bool, Error> {
        let record = tip.encode(&self.options.name, key);
        if record.len() > crate::engine::LARGEST_TIP {
            let text = "the tip is too large: its tag or its shallow boundary is; choose another --depth";
            return Err(Error::new(ErrorKind::Limit, self.step(), text));
        }
        let swapped = self.engine.swap(&record, expected, interrupt);
        Ok(match swapped.map_err(|err| Error::io(self.step(), &err))? {
            Swap::Done(_) => {
                self.facts.wrote("written");
                self.facts.saw(tip);
                debug!(commit = %tip.tip.commit, generation = tip.generation, "wrote the tip");
                true
            }
            Swap::Lost => {
                self.facts.wrote("lost");
                false
            }
        })
    }

    fn key(&self) -> Result<Option<SigningKey>, Error> {
        let key = self.options.sign_key_file.as_deref().map(SigningKey::read).transpose();
        key.map_err(|err| Error::new(ErrorKind::Configuration, "read --relay-sign-key-file", err))
    }

    /// Remove packs that no tip has named for long.
    fn clean(&mut self, last: Option<&Tip>, interrupt: &Interrupt) -> Result<(), Error> {
        let now = self.now();
        let Some(last) = last else { return Ok(()) };
        if self.cleaned.is_some_and(|last| now.saturating_sub(last) < CLEAN_PERIOD) {
            return Ok(());
        }
        self.cleaned = Some(now);
        let keep = self.options.keep.max(LEAST_KEEP);
        let current: Vec<PackName> = last.packs().collect();
        let step = self.step();
        let there = self.engine.packs(interrupt).map_err(|err| Error::io(&*step, &err))?;
        self.lacks_full = !there.contains(&PackName(last.tip.full.1.sha256));
        self.named.retain(|name, _| there.contains(name));
        for name in there.iter().filter(|name| !current.contains(name)) {
            let named = *self.named.entry(*name).or_insert(now);
            if now.saturating_sub(named) >= keep {
                self.engine.remove_pack(name, interrupt).map_err(|err| Error::io(&*step, &err))?;
                self.named.remove(name);
            }
        }
        Ok(())
    }

    fn now(&self) -> Duration {
        (self.options.clock.monotonic)()
    }

    /// Since 1970.
    fn wall(&self) -> Duration {
        (self.options.clock.wall)().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn step(&self) -> String {
        format!("feed {}", self.options.name)
    }
}

fn is_of(tip: &RelayTip, published: &Published) -> bool {
    tip.commit == published.commit
        && tip.reference == published.reference
        && tip.tag.as_ref().map(|(id, _)| *id) == published.tag
}

/// Without the oldest steps, as far as the full pack allows.
fn trimmed(mut tip: RelayTip) -> RelayTip {
    let RelayTip { chain, full, .. } = &mut tip;
    let first = chain.iter().position(|link| link.from == full.0).unwrap_or(chain.len());
    let excess = chain.len().saturating_sub(MOST_STEPS).min(first);
    chain.drain(..excess);
    tip
}
