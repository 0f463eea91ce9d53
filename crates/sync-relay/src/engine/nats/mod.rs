//! NATS JetStream: the tips are in a bucket of keys and values, the packs in one of objects.

mod api;
mod chunks;
mod connection;
mod health;
mod news;
mod objects;
mod streams;

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_nats::HeaderMap;
use sync_core::Interrupt;
use tokio::time::Instant;

use super::access::{Access, Login};
use super::url::NatsUrl;
use super::{Engine, PackName, Record, Revision, Swap};
use crate::RelayName;
use api::{Refused, Which};
use connection::Connection;
use health::Silence;
use news::News;

/// After so long without an answer, the cause is more likely a bucket or a right that is missing.
const SILENCE_EXPLAINED: Duration = Duration::from_secs(10);

/// After so long without a connection it is made anew: another file of certificates may help.
const RENEW_AFTER: Duration = Duration::from_secs(60);

/// Connections to NATS, by their servers. Clones are the same connections: engines that are opened with clones share
/// them, so they must have the same login and the same settings for TLS.
#[derive(Clone, Default)]
pub struct Connections(Arc<Mutex<HashMap<Vec<String>, Weak<Connection>>>>);

impl Connections {
    /// The connection to these servers. All that use it drop it at the same time, so a new one is asked for by naming
    /// the old one.
    fn get(
        &self,
        url: &NatsUrl,
        access: &Access,
        instead: Option<&Arc<Connection>>,
    ) -> io::Result<Arc<Connection>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let there = known.get(&url.servers).and_then(Weak::upgrade);
        if let Some(there) = there.filter(|there| !instead.is_some_and(|old| Arc::ptr_eq(old, there))) {
            return Ok(there);
        }
        let new = Arc::new(Connection::start(url, access, instead.is_some())?);
        known.insert(url.servers.clone(), Arc::downgrade(&new));
        Ok(new)
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

/// A name in a bucket.
pub(super) struct Nats {
    url: NatsUrl,
    shown: String,
    name: RelayName,
    access: Access,
    connections: Connections,
    link: Option<Link>,
    is_prepared: bool,
    /// Since when there is no answer, or no connection.
    silent_since: Option<Instant>,
}

/// A connection, and the news that come by it.
struct Link {
    connection: Arc<Connection>,
    news: News,
}

impl Nats {
    pub(super) fn new(
        url: &NatsUrl,
        shown: String,
        name: &RelayName,
        access: Access,
        connections: &Connections,
    ) -> Nats {
        let (url, name, connections) = (url.clone(), name.clone(), connections.clone());
        Nats { url, shown, name, access, connections, link: None, is_prepared: false, silent_since: None }
    }

    fn link(&mut self) -> io::Result<&Link> {
        let is_lost = |connection: &Connection| {
            let is_long = self.silent_since.is_some_and(|since| since.elapsed() > RENEW_AFTER);
            connection.health.is_broken() || (is_long && !connection.is_connected())
        };
        let old = match self.link.take() {
            Some(link) if is_lost(&link.connection) => Some(link.connection),
            Some(link) => return Ok(self.link.insert(link)),
            None => None,
        };
        self.silent_since = self.silent_since.map(|_| Instant::now());
        let connection = self.connections.get(&self.url, &self.access, old.as_ref())?;
        let subject = format!("{}.news.{}", self.url.bucket, self.key());
        let news = News::subscribe(&connection, subject, self.access.wake.clone());
        Ok(self.link.insert(Link { connection, news }))
    }

    fn connection(&mut self) -> io::Result<Arc<Connection>> {
        self.link().map(|link| link.connection.clone())
    }

    fn key(&self) -> String {
        format!("tip.{}", self.name)
    }

    fn tip_subject(&self) -> String {
        format!("$KV.{}.{}", self.url.bucket, self.key())
    }

    fn object_name(&self, name: &PackName) -> String {
        format!("{}/{}", self.name, super::files::pack_file(name))
    }

    /// What was read, with an explanation if there is no answer for long.
    fn explained<T>(&mut self, answer: io::Result<T>) -> io::Result<T> {
        let Err(err) = answer else {
            self.silent_since = None;
            return answer;
        };
        if err.kind() != io::ErrorKind::NotConnected {
            return Err(err);
        }
        let since = *self.silent_since.get_or_insert_with(Instant::now);
        let is_silence = err.get_ref().is_some_and(|cause| cause.is::<Silence>());
        if !is_silence || since.elapsed() < SILENCE_EXPLAINED {
            return Err(err);
        }
        let text = format!(
            "{}: there is no bucket {} with a name like this, or this user may not read it ({err})",
            self.shown, self.url.bucket
        );
        Err(io::Error::new(io::ErrorKind::NotConnected, text))
    }

    fn read_tip(&mut self, interrupt: &Interrupt) -> io::Result<Option<news::Stored>> {
        let (stream, subject) = (streams::keys(&self.url.bucket), self.tip_subject());
        let connection = self.connection()?;
        let read = connection.wait(interrupt, connection.direct_get(&stream, Which::Last(&subject)));
        let Some(message) = self.explained(read)? else { return Ok(None) };
        news::Stored::of(&message).map(Some)
    }

    fn ensure_prepared(&mut self, interrupt: &Interrupt) -> io::Result<()> {
        if self.is_prepared { Ok(()) } else { self.prepare(interrupt) }
    }

    /// Write a tip over the one with this sequence number.
    fn write_tip(&mut self, tip: &[u8], over: u64, interrupt: &Interrupt) -> io::Result<Swap> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Last-Subject-Sequence", over.to_string());
        let (connection, subject) = (self.connection()?, self.tip_subject());
        let write = connection.publish(&subject, headers, tip.to_vec());
        match connection.wait(interrupt, write)? {
            Ok(sequence) => Ok(Swap::Done(Revision(sequence.to_string()))),
            Err(Refused::WrongLastSequence) => Ok(Swap::Lost),
            Err(Refused::Other(err)) => Err(err),
        }
    }
}

impl Engine for Nats {
    fn prepare(&mut self, interrupt: &Interrupt) -> io::Result<()> {
        let (connection, bucket) = (self.connection()?, self.url.bucket.clone());
        let prepared = connection.wait(interrupt, streams::prepare(&connection, &bucket));
        self.explained(prepared)?;
        self.is_prepared = true;
        Ok(())
    }

    fn tip(&mut self, interrupt: &Interrupt) -> io::Result<Option<Record>> {
        if let Some(record) = self.link()?.news.take() {
            return Ok(Some(record));
        }
        Ok(self.read_tip(interrupt)?.and_then(|stored| stored.record))
    }

    fn pack<'a>(
        &'a mut self,
        name: &PackName,
        interrupt: &'a Interrupt,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        let object = self.object_name(name);
        let connection = self.connection()?;
        let meta = connection.wait(interrupt, connection.announced_object(&self.url.bucket, &object));
        let Some(meta) = self.explained(meta)? else {
            let text = format!("{}: there is no pack {name}", self.shown);
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        };
        Ok(Box::new(chunks::Chunks::new(connection, &self.url.bucket, &meta, interrupt)))
    }

    fn swap(&mut self, tip: &[u8], expected: Option<&Revision>, interrupt: &Interrupt) -> io::Result<Swap> {
        self.ensure_prepared(interrupt)?;
        let over = match expected {
            None => 0,
            Some(Revision(text)) => text.parse().map_err(|_| io::Error::other("not a revision of NATS"))?,
        };
        let swap = self.write_tip(tip, over, interrupt)?;
        if let Swap::Done(_) = swap {
            return Ok(swap);
        }
        match self.read_tip(interrupt)? {
            // Ours was stored, though we did not hear of it.
            Some(news::Stored { record: Some(record), .. }) if record.bytes == tip => {
                Ok(Swap::Done(record.revision))
            }
            // It was deleted, which is one more message.
            Some(news::Stored { record: None, sequence }) if expected.is_none() => {
                self.write_tip(tip, sequence, interrupt)
            }
            _ => Ok(Swap::Lost),
        }
    }

    fn put_pack(
        &mut self,
        name: &PackName,
        length: u64,
        pack: &mut fs_err::File,
        interrupt: &Interrupt,
    ) -> io::Result<()> {
        self.ensure_prepared(interrupt)?;
        let (connection, object) = (self.connection()?, self.object_name(name));
        let there = connection.wait(interrupt, connection.object(&self.url.bucket, &object));
        if self.explained(there)?.is_some() {
            return Ok(());
        }
        objects::put(&connection, &self.url.bucket, &object, name, length, pack, interrupt)
    }

    fn packs(&mut self, interrupt: &Interrupt) -> io::Result<Vec<PackName>> {
        self.ensure_prepared(interrupt)?;
        let (connection, bucket) = (self.connection()?, self.url.bucket.clone());
        let prefix = format!("{}/", self.name);
        let listed = connection.wait(interrupt, objects::list(&connection, &bucket, &prefix));
        self.explained(listed)
    }

    fn remove_pack(&mut self, name: &PackName, interrupt: &Interrupt) -> io::Result<()> {
        self.ensure_prepared(interrupt)?;
        let (connection, object) = (self.connection()?, self.object_name(name));
        let removed = connection.wait(interrupt, objects::remove(&connection, &self.url.bucket, &object));
        self.explained(removed)
    }

    fn tells_news(&self) -> bool {
        self.link.as_ref().is_none_or(|link| !link.news.is_refused())
    }

    fn is_connected(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.connection.is_connected())
    }
}
