//! A follower: asks an engine for the tip, and hands its packs to a mirror.

use std::io::{self, Cursor, Read};
use std::path::PathBuf;
use std::time::Duration;

use ring::digest::{SHA256, digest};
use sync_core::{Clock, Error, ErrorKind, Interrupt, Relay, RelayLook, RelayPack};
use tracing::{debug, info, warn};

use crate::checked::Checked;
use crate::engine::{Engine, PackName, Record};
use crate::facts::{Facts, PackKind};
use crate::keys::PublicKeys;
use crate::memory::{Memory, Seen};
use crate::name::RelayName;
use crate::pause::pause;
use crate::refusal::{Reason, Refusal};
use crate::tip::Tip;

/// For how long an engine may be out of reach before that is a failure. The cluster of an engine elects another leader
/// in less.
const GRACE: Duration = Duration::from_secs(30);

/// How fast an engine is thought to send to all followers together, in bytes a second.
const ENGINE_RATE: u64 = 200_000_000;

/// The longest pause before a pack is read, so that not all followers ask at once.
const LONGEST_SPREAD: Duration = Duration::from_secs(2);

/// How many requests a second followers may send to the git server, all together, while the relay is out of reach.
const SERVER_RATE: u32 = 15;

/// When to ask the git server in place of the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// Never. Followers need no git server and no login then.
    Never,
    /// When the relay has been out of reach for so long.
    After(Duration),
}

/// How a follower works.
#[derive(Clone, Debug)]
pub struct FollowerOptions {
    /// Which repository to follow.
    pub name: RelayName,
    /// A file with the keys of which one must have signed each tip; `None` accepts all tips. It is read anew for each.
    pub key_file: Option<PathBuf>,
    /// When to ask the git server.
    pub fallback: Fallback,
    /// Where to keep what it must never go behind: [`Store::relay_file`](sync_core::Store::relay_file).
    pub memory: PathBuf,
    /// The caller's clock.
    pub clock: Clock,
}

/// A [`Relay`] over an engine.
pub struct Follower {
    engine: Box<dyn Engine>,
    options: FollowerOptions,
    memory: Memory,
    facts: Facts,
    last: Option<(Record, Tip)>,
    /// Since when the engine has been out of reach, and when to ask the git server next, by the monotonic clock.
    lost: Option<Lost>,
}

#[derive(Clone, Copy)]
struct Lost {
    since: Duration,
    ask_server_at: Option<Duration>,
}

impl Follower {
    /// A follower that asks `engine`, and tells `facts` what it sees.
    #[must_use]
    pub fn new(engine: Box<dyn Engine>, options: FollowerOptions, facts: Facts) -> Follower {
        let memory = Memory::at(options.memory.clone());
        Follower { engine, options, memory, facts, last: None, lost: None }
    }

    fn now(&self) -> Duration {
        (self.options.clock.monotonic)()
    }

    /// The tip of a record, if it may be followed.
    fn accept(&mut self, record: Record) -> Result<Tip, Error> {
        if let Some((last, tip)) = &self.last
            && *last == record
        {
            return Ok(tip.clone());
        }
        let keys = self.options.key_file.as_deref().map(PublicKeys::read).transpose();
        let keys = keys.map_err(|err| Error::new(ErrorKind::Configuration, "read --relay-key-file", err))?;
        let tip = match Tip::decode(&record.bytes, &self.options.name, keys.as_ref()) {
            Ok(tip) => tip,
            Err(refusal) => return Err(self.refuse(&refusal)),
        };
        let seen = Seen { generation: tip.generation, commit: tip.tip.commit };
        match (self.memory.judge(&seen), &self.last) {
            (Ok(()), _) => {}
            // A replica of the engine may lag.
            (Err(_), Some((_, last))) => {
                self.facts.refused(Reason::Older);
                debug!(generation = tip.generation, "the relay showed an older tip; it is ignored");
                return Ok(last.clone());
            }
            (Err(refusal), None) => return Err(self.refuse(&refusal)),
        }
        self.memory.remember(seen).map_err(|err| Error::io("remember the tip", &err))?;
        self.facts.saw(&tip);
        self.last = Some((record, tip.clone()));
        Ok(tip)
    }

    fn refuse(&self, refusal: &Refusal) -> Error {
        self.facts.refused(refusal.reason);
        Error::new(ErrorKind::Rejected, self.step(), refusal)
    }

    fn step(&self) -> String {
        format!("follow {}", self.options.name)
    }

    /// What to do while the engine cannot be asked: wait a little, ask the git server, or fail.
    fn out_of_reach(&mut self, err: io::Error) -> Result<RelayLook, Error> {
        let now = self.now();
        let lost = *self.lost.get_or_insert(Lost { since: now, ask_server_at: None });
        let lasted = now.saturating_sub(lost.since);
        let failure = Error::io(self.step(), &err);
        match self.options.fallback {
            Fallback::After(limit) if lasted >= limit => self.ask_server(lost, failure),
            _ => match &self.last {
                Some((_, tip)) if lasted < GRACE => {
                    debug!(error = %err, "the relay cannot be asked now");
                    Ok(RelayLook::Tip(tip.tip.clone().into()))
                }
                _ => Err(failure),
            },
        }
    }

    /// All followers are in the same situation, so their requests are spread.
    fn ask_server(&mut self, lost: Lost, failure: Error) -> Result<RelayLook, Error> {
        let followers = self.last.as_ref().map_or(0, |(_, tip)| tip.followers);
        let period = Duration::from_secs(1) * followers / SERVER_RATE;
        let now = self.now();
        let answer = match lost.ask_server_at {
            Some(at) if now < at => return Ok(RelayLook::Unchanged),
            None if !period.is_zero() => Err(failure),
            _ => Ok(RelayLook::AskServer),
        };
        if lost.ask_server_at.is_none() {
            warn!("the relay is out of reach: asking the git server");
            self.facts.asks_server(true);
        }
        // The first request comes within a period; later ones are a period apart.
        let wait = if answer.is_ok() { period } else { period.mul_f64(fastrand::f64()) };
        self.lost = Some(Lost { ask_server_at: Some(now + wait), ..lost });
        answer
    }

    fn kind(&self, pack: &RelayPack) -> PackKind {
        match &self.last {
            Some((_, tip)) if tip.tip.full.1 == *pack => PackKind::Full,
            _ => PackKind::Chain,
        }
    }

    /// The pack that came with the tip, if it is this one.
    fn inline(&self, pack: &RelayPack) -> Option<Vec<u8>> {
        let (_, tip) = self.last.as_ref()?;
        let newest = &tip.tip.chain.last()?.pack;
        let is_it = |inline: &Vec<u8>| digest(&SHA256, inline).as_ref() == pack.sha256;
        tip.inline.clone().filter(|inline| newest == pack && is_it(inline))
    }
}

impl Relay for Follower {
    fn look(&mut self, interrupt: &Interrupt) -> Result<RelayLook, Error> {
        let asked = self.engine.tip(interrupt);
        self.facts.connected(self.engine.is_connected());
        let record = match asked {
            Ok(Some(record)) => record,
            Ok(None) => {
                let text = format!(
                    "the relay has no {} yet; does a feeder run with this --relay-name?",
                    self.options.name
                );
                return self.out_of_reach(io::Error::new(io::ErrorKind::NotFound, text));
            }
            Err(err) if interrupt.is_triggered() => return Err(Error::io(self.step(), &err)),
            Err(err) => return self.out_of_reach(err),
        };
        if self.lost.take().is_some_and(|lost| lost.ask_server_at.is_some()) {
            info!("the relay can be asked again");
            self.facts.asks_server(false);
        }
        self.accept(record).map(|tip| RelayLook::Tip(tip.tip.into()))
    }

    fn open<'a>(
        &'a mut self,
        pack: &RelayPack,
        interrupt: &'a Interrupt,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        if let Some(inline) = self.inline(pack) {
            self.facts.moved(PackKind::Inline, pack.bytes);
            return Ok(Box::new(Checked::new(Cursor::new(inline), pack)));
        }
        let kind = self.kind(pack);
        self.facts.moved(kind, pack.bytes);
        let followers = self.last.as_ref().map_or(0, |(_, tip)| tip.followers);
        if kind == PackKind::Chain {
            pause(spread(pack.bytes, followers).mul_f64(fastrand::f64()), interrupt)?;
        }
        let reader = self.engine.pack(&PackName(pack.sha256), interrupt)?;
        Ok(Box::new(Checked::new(reader, pack)))
    }

    fn refused(&mut self, _: &RelayPack) {
        self.facts.refused(Reason::Pack);
    }
}

/// How long the engine needs to send a pack to all followers.
fn spread(bytes: u64, followers: u32) -> Duration {
    let milliseconds = bytes.saturating_mul(u64::from(followers)) / (ENGINE_RATE / 1000);
    Duration::from_millis(milliseconds).min(LONGEST_SPREAD)
}
