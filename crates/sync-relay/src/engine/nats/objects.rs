//! Packs as objects of an object store (ADR-20 of NATS), which the program `nats` and other clients read, too.

use std::io::{self, Read, Seek};
use std::time::{Duration, SystemTime};

use async_nats::{HeaderMap, Subscriber};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use fs_err::File;
use futures_util::StreamExt;
use serde_json::{Value, json};
use sync_core::Interrupt;
use tokio::time::{sleep, timeout};

use super::api::{self, Refused, Which};
use super::connection::{Connection, PATIENCE};
use super::streams;
use crate::engine::files::pack_of;
use crate::engine::{PackName, too_short};

/// How large chunks are.
const CHUNK: u64 = 128 * 1024;

/// How many chunks are on their way to the server at once.
const IN_FLIGHT: u64 = 8;

/// Chunks without an object that are older than this are of an upload that failed.
const ORPHANED_AFTER: Duration = Duration::from_secs(3600);

/// How often an object is asked for again that a replica does not have yet, and after which pause.
const REPLICA_LAG: (u32, Duration) = (5, Duration::from_millis(100));

/// What is known of an object.
pub(super) struct Object {
    /// The unique name of its chunks.
    pub(super) chunks: String,
    pub(super) size: u64,
}

fn meta_subject(bucket: &str, object: &str) -> String {
    format!("$O.{bucket}.M.{}", URL_SAFE.encode(object))
}

pub(super) fn chunk_subject(bucket: &str, chunks: &str) -> String {
    format!("$O.{bucket}.C.{chunks}")
}

impl Connection {
    /// An object; `None` if it is not there.
    pub(super) async fn object(&self, bucket: &str, object: &str) -> io::Result<Option<Object>> {
        self.object_at(bucket, &meta_subject(bucket, object)).await
    }

    /// An object that a tip names: the replica that answers may not have it yet.
    pub(super) async fn announced_object(&self, bucket: &str, object: &str) -> io::Result<Option<Object>> {
        for _ in 0..REPLICA_LAG.0 {
            if let Some(object) = self.object(bucket, object).await? {
                return Ok(Some(object));
            }
            sleep(REPLICA_LAG.1).await;
        }
        self.object(bucket, object).await
    }

    async fn object_at(&self, bucket: &str, subject: &str) -> io::Result<Option<Object>> {
        let stream = streams::objects(bucket);
        let Some(message) = self.direct_get(&stream, Which::LastOf(subject)).await? else { return Ok(None) };
        let meta: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
        if meta["deleted"] == true {
            return Ok(None);
        }
        let is_token =
            |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        match (meta["nuid"].as_str().filter(is_token), meta["size"].as_u64()) {
            (Some(chunks), Some(size)) => Ok(Some(Object { chunks: chunks.to_owned(), size })),
            _ => {
                Err(self.health.error(io::ErrorKind::InvalidData, "the description of an object is damaged"))
            }
        }
    }
}

/// Store a pack: its chunks, then the object that names them.
pub(super) fn put(
    connection: &Connection,
    bucket: &str,
    object: &str,
    name: &PackName,
    length: u64,
    pack: &mut File,
    interrupt: &Interrupt,
) -> io::Result<()> {
    let chunks: String = (0..22).map(|_| fastrand::alphanumeric()).collect();
    let subject = chunk_subject(bucket, &chunks);
    let stored = put_chunks(connection, &subject, length, pack, interrupt).and_then(|count| {
        let meta = json!({
            "name": object, "options": { "max_chunk_size": CHUNK }, "bucket": bucket, "nuid": chunks,
            "size": length, "mtime": "0001-01-01T00:00:00Z", "chunks": count,
            "digest": format!("SHA-256={}", URL_SAFE.encode(name.0))
        });
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Rollup", "sub");
        let subject = meta_subject(bucket, object);
        let write = connection.publish(&subject, headers, meta.to_string().into_bytes());
        match connection.wait(interrupt, write)? {
            Ok(_) => Ok(()),
            Err(Refused::WrongLastSequence) => Err(io::Error::other("the server refuses the object")),
            Err(Refused::Other(err)) => Err(err),
        }
    });
    if stored.is_err() && connection.is_connected() {
        // What stays is removed when the packs are listed.
        let _ = connection.wait(interrupt, purge(connection, bucket, &subject));
    }
    stored
}

/// Store the chunks of a pack in order. Returns how many there are.
fn put_chunks(
    connection: &Connection,
    subject: &str,
    length: u64,
    pack: &mut File,
    interrupt: &Interrupt,
) -> io::Result<u64> {
    pack.rewind()?;
    let inbox = connection.client.new_inbox();
    let mut upload = connection.wait(interrupt, Upload::begin(connection, subject, inbox))?;
    let count = length.div_ceil(CHUNK);
    for number in 0..count {
        let mut chunk = Vec::with_capacity(CHUNK as usize);
        let size = CHUNK.min(length - number * CHUNK);
        if pack.take(size).read_to_end(&mut chunk)? as u64 != size {
            return Err(too_short());
        }
        connection.wait(interrupt, upload.send(chunk))?;
    }
    connection.wait(interrupt, upload.acknowledged(0))?;
    Ok(count)
}

/// Chunks on their way.
struct Upload<'a> {
    connection: &'a Connection,
    subject: &'a str,
    inbox: String,
    answers: Subscriber,
    sent: u64,
    stored: u64,
    last_sequence: u64,
}

impl<'a> Upload<'a> {
    async fn begin(connection: &'a Connection, subject: &'a str, inbox: String) -> io::Result<Upload<'a>> {
        let answers = connection.client.subscribe(format!("{inbox}.*")).await.map_err(io::Error::other)?;
        Ok(Upload { connection, subject, inbox, answers, sent: 0, stored: 0, last_sequence: 0 })
    }

    async fn send(&mut self, chunk: Vec<u8>) -> io::Result<()> {
        self.acknowledged(IN_FLIGHT - 1).await?;
        let (subject, reply) = (self.subject.to_owned(), format!("{}.{}", self.inbox, self.sent));
        let sent = self.connection.client.publish_with_reply(subject, reply, chunk.into()).await;
        sent.map_err(|err| self.connection.health.error(io::ErrorKind::NotConnected, &err.to_string()))?;
        self.sent += 1;
        Ok(())
    }

    /// Wait until at most so many chunks are on their way.
    async fn acknowledged(&mut self, most: u64) -> io::Result<()> {
        while self.sent - self.stored > most {
            let (connection, answers) = (self.connection, &mut self.answers);
            let next = async {
                match timeout(PATIENCE, answers.next()).await {
                    Ok(Some(answer)) => Ok(answer),
                    Ok(None) | Err(_) => Err(connection.gave_up(PATIENCE)),
                }
            };
            let answer = connection.unless_refused(self.subject, next).await?;
            let is_next = answer.subject.strip_prefix(&*self.inbox) == Some(&format!(".{}", self.stored));
            match connection.stored(&answer)? {
                Ok(sequence) if is_next && sequence > self.last_sequence => self.last_sequence = sequence,
                Ok(_) | Err(Refused::WrongLastSequence) => {
                    let text = "a part of the pack was not stored in its order";
                    return Err(connection.health.error(io::ErrorKind::NotConnected, text));
                }
                Err(Refused::Other(err)) => return Err(err),
            }
            self.stored += 1;
        }
        Ok(())
    }
}

/// Remove an object: first its name, so that nobody begins to read what goes.
pub(super) async fn remove(connection: &Connection, bucket: &str, object: &str) -> io::Result<()> {
    let Some(found) = connection.object(bucket, object).await? else { return Ok(()) };
    purge(connection, bucket, &meta_subject(bucket, object)).await?;
    purge(connection, bucket, &chunk_subject(bucket, &found.chunks)).await
}

/// Remove all messages of a subject.
async fn purge(connection: &Connection, bucket: &str, subject: &str) -> io::Result<()> {
    connection.demand("PURGE", &streams::objects(bucket), &json!({ "filter": subject })).await.map(|_| ())
}

/// The packs whose objects have names with this prefix. Chunks that no object has are removed on the way.
pub(super) async fn list(connection: &Connection, bucket: &str, prefix: &str) -> io::Result<Vec<PackName>> {
    let (metas, _) = subjects(connection, bucket, "M").await?;
    let (chunks, newest) = subjects(connection, bucket, "C").await?;
    if chunks.len() > metas.len() {
        remove_orphans(connection, bucket, &metas, chunks, newest).await?;
    }
    let mut packs = Vec::new();
    for subject in &metas {
        let Some(name) = name_in(subject).and_then(|name| pack_of(name.strip_prefix(prefix)?)) else {
            continue;
        };
        if connection.object_at(bucket, subject).await?.is_some() {
            packs.push(name);
        }
    }
    Ok(packs)
}

/// The name of an object, from the subject of its description.
fn name_in(subject: &str) -> Option<String> {
    String::from_utf8(URL_SAFE.decode(subject.rsplit('.').next()?).ok()?).ok()
}

/// All subjects of a kind, and when the last message of the stream was stored.
async fn subjects(
    connection: &Connection,
    bucket: &str,
    kind: &str,
) -> io::Result<(Vec<String>, SystemTime)> {
    let mut found: Vec<String> = Vec::new();
    loop {
        let mut body = json!({ "subjects_filter": format!("$O.{bucket}.{kind}.>") });
        if !found.is_empty() {
            body["offset"] = found.len().into();
        }
        let mut info = connection.demand("INFO", &streams::objects(bucket), &body).await?;
        let newest = api::parse_time(info["state"]["last_ts"].as_str().unwrap_or_default());
        let page = match info["state"]["subjects"].take() {
            Value::Object(page) => page,
            _ => serde_json::Map::new(),
        };
        let is_last = page.is_empty()
            || info["total"].as_u64().is_none_or(|total| (found.len() + page.len()) as u64 >= total);
        found.extend(page.into_iter().map(|(subject, _)| subject));
        if is_last {
            return Ok((found, newest?));
        }
    }
}

async fn remove_orphans(
    connection: &Connection,
    bucket: &str,
    metas: &[String],
    mut chunks: Vec<String>,
    newest: SystemTime,
) -> io::Result<()> {
    for meta in metas {
        if let Some(object) = connection.object_at(bucket, meta).await? {
            let own = chunk_subject(bucket, &object.chunks);
            chunks.retain(|subject| *subject != own);
        }
    }
    for subject in chunks {
        let last = connection.direct_get(&streams::objects(bucket), Which::LastOf(&subject)).await?;
        let Some(last) = last else { continue };
        let age = newest.duration_since(api::stored_at(&last)?).unwrap_or_default();
        if age > ORPHANED_AFTER {
            tracing::info!("removed what an upload left: {subject}");
            purge(connection, bucket, &subject).await?;
        }
    }
    Ok(())
}
