//! Reads an object. Several chunks are asked for at once, so memory is bounded by them.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use async_nats::Message;
use sync_core::Interrupt;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::api::{self, Which};
use super::connection::Connection;
use super::objects::{Object, chunk_subject};
use super::streams;

/// How many chunks are asked for at once.
const WINDOW: usize = 4;

/// A replica may not have a chunk yet: how often it is asked again, and after which pause.
const RETRIES: (u32, Duration) = (20, Duration::from_millis(100));

/// The content of an object. The numbers of its chunks are not known, only that each is larger than the one before; in
/// most cases by one. So the next numbers are asked for in advance: "the first chunk from this number on". Where numbers
/// are left out, several answers are the same chunk, which counts once.
pub(super) struct Chunks<'a> {
    connection: Arc<Connection>,
    stream: String,
    subject: String,
    interrupt: &'a Interrupt,
    asked: VecDeque<JoinHandle<io::Result<Message>>>,
    /// The next number to ask for. Each is at most one larger than the one before, or than the last chunk: so no chunk
    /// is between the numbers of two questions.
    next: u64,
    /// The number of the last chunk.
    last: u64,
    /// What was not read yet of it.
    chunk: Option<Message>,
    read: usize,
    left: u64,
}

impl<'a> Chunks<'a> {
    pub(super) fn new(
        connection: Arc<Connection>,
        bucket: &str,
        object: &Object,
        interrupt: &'a Interrupt,
    ) -> Chunks<'a> {
        Chunks {
            connection,
            stream: streams::objects(bucket),
            subject: chunk_subject(bucket, &object.chunks),
            interrupt,
            asked: VecDeque::new(),
            next: 1,
            last: 0,
            chunk: None,
            read: 0,
            left: object.size,
        }
    }

    fn ask(&mut self) {
        let (connection, stream, subject) =
            (self.connection.clone(), self.stream.clone(), self.subject.clone());
        let number = self.next.max(self.last + 1);
        self.next = number + 1;
        let question = async move { chunk_from(&connection, &stream, &subject, number).await };
        self.asked.push_back(self.connection.runtime().spawn(question));
    }

    /// The next chunk, which is not empty.
    fn next_chunk(&mut self) -> io::Result<Message> {
        loop {
            // The first chunk may be anywhere: one question, and then the numbers after it.
            let window = if self.last == 0 { 1 } else { WINDOW };
            while self.asked.len() < window {
                self.ask();
            }
            let Some(first) = self.asked.front_mut() else { continue };
            let answered = self.connection.wait(self.interrupt, async {
                first.await.map_err(|_| io::Error::other("the connection was closed"))
            });
            self.asked.pop_front();
            let message = answered??;
            let number = api::sequence(&message)?;
            if number <= self.last {
                continue;
            }
            let is_ours = api::header(&message, "Nats-Subject") == Some(&self.subject);
            if message.payload.is_empty() || !is_ours {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a part of the pack is damaged"));
            }
            self.last = number;
            return Ok(message);
        }
    }
}

/// The first chunk from a number on.
async fn chunk_from(
    connection: &Connection,
    stream: &str,
    subject: &str,
    number: u64,
) -> io::Result<Message> {
    for _ in 0..RETRIES.0 {
        if let Some(message) = connection.direct_get(stream, Which::From(number, subject)).await? {
            return Ok(message);
        }
        sleep(RETRIES.1).await;
    }
    Err(connection.health.error(io::ErrorKind::NotFound, "a part of the pack is missing"))
}

impl Read for Chunks<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buf.is_empty() {
            return Ok(0);
        }
        let chunk = match self.chunk.take() {
            Some(chunk) => chunk,
            None => self.next_chunk()?,
        };
        let rest = chunk.payload.get(self.read..).unwrap_or_default();
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let count = rest.len().min(buf.len()).min(most);
        buf[..count].copy_from_slice(&rest[..count]);
        let is_over = count == rest.len();
        self.left -= count as u64;
        self.read = if is_over { 0 } else { self.read + count };
        self.chunk = (!is_over).then_some(chunk);
        Ok(count)
    }
}

impl Drop for Chunks<'_> {
    fn drop(&mut self) {
        self.asked.iter().for_each(JoinHandle::abort);
    }
}
