//! News: the server sends each stored tip to all that subscribe. The last one is kept until it is asked for.

use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_nats::{Client, Message};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use tokio::task::AbortHandle;

use super::api::{header, sequence};
use super::connection::Connection;
use super::health::{Health, Listener};
use crate::engine::access::Wake;
use crate::engine::{LARGEST_TIP, Record, Revision, too_large};

/// A message of the subject of a tip.
pub(super) struct Stored {
    /// `None` if somebody deleted it, which leaves a message without content.
    pub(super) record: Option<Record>,
    pub(super) sequence: u64,
}

impl Stored {
    pub(super) fn of(message: &Message) -> io::Result<Stored> {
        let sequence = sequence(message)?;
        if message.payload.len() > LARGEST_TIP {
            return Err(too_large(&message.subject));
        }
        let revision = Revision(sequence.to_string());
        let is_deleted = header(message, "KV-Operation").is_some();
        let record = (!is_deleted).then(|| Record { bytes: message.payload.to_vec(), revision });
        Ok(Stored { record, sequence })
    }
}

/// A subscription to the news of one name.
pub(super) struct News {
    mailbox: Arc<Mailbox>,
    task: AbortHandle,
}

struct Mailbox {
    latest: Mutex<Option<Record>>,
    wake: Wake,
    /// Whether the server does not let us hear them.
    is_refused: AtomicBool,
}

impl News {
    /// From now on, whenever there is a connection.
    pub(super) fn subscribe(connection: &Connection, subject: String, wake: Wake) -> News {
        let mailbox =
            Arc::new(Mailbox { latest: Mutex::default(), wake, is_refused: AtomicBool::new(false) });
        let listener: Arc<dyn Listener> = mailbox.clone();
        connection.health.listen(Arc::downgrade(&listener));
        let task = connection.runtime().spawn(follow(
            connection.client.clone(),
            connection.health.clone(),
            subject,
            mailbox.clone(),
        ));
        News { mailbox, task: task.abort_handle() }
    }

    /// The last of the news, if it was not taken yet.
    pub(super) fn take(&self) -> Option<Record> {
        self.mailbox.latest().take()
    }

    /// Whether the server does not let us hear them.
    pub(super) fn is_refused(&self) -> bool {
        self.mailbox.is_refused.load(Ordering::Relaxed)
    }
}

/// Hear the news, as long as the server lets us; where it does not, try again with each connection.
async fn follow(client: Client, health: Arc<Health>, subject: String, mailbox: Arc<Mailbox>) {
    loop {
        let refusal = pin!(health.refusal_of(&subject));
        let heard = pin!(async {
            let Ok(mut messages) = client.subscribe(subject.clone()).await else { return };
            while let Some(message) = messages.next().await {
                mailbox.deliver(&message);
            }
        });
        let Either::Right((refused, _)) = select(heard, refusal).await else {
            health.note_broken();
            return (mailbox.wake)();
        };
        tracing::warn!("no news come, so they are asked for: {refused}");
        mailbox.is_refused.store(true, Ordering::Relaxed);
        let _ = health.changes().changed().await; // no error: the sender is here
        mailbox.is_refused.store(false, Ordering::Relaxed);
    }
}

impl Drop for News {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Mailbox {
    fn latest(&self) -> std::sync::MutexGuard<'_, Option<Record>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What cannot be understood is asked for by whoever wakes up.
    fn deliver(&self, message: &Message) {
        *self.latest() = Stored::of(message).ok().and_then(|stored| stored.record);
        (self.wake)();
    }
}

impl Listener for Mailbox {
    /// What is in the mailbox may be old now: ask.
    fn connected(&self) {
        *self.latest() = None;
        (self.wake)();
    }
}
