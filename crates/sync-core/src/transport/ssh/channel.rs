//! A channel as gix's transport: the input and output of `git-upload-pack` on the server.

use std::future::poll_fn;
use std::io::{self, BufWriter, Cursor, Read, Write};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::blocking_io::Transport;
use gix::protocol::transport::client::git::ConnectMode;
use gix::protocol::transport::client::git::blocking_io::Connection;
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};

use super::client::End;
use super::failure::Failure;
use super::session::Session;
use crate::interrupt::Interrupt;
use crate::transport::read_budget::ReadBudget;
use crate::transport::server_messages::in_one_line;

/// How much of what the server has to say is kept.
const MAX_COMPLAINT: usize = 4096;

/// How much output is taken at once.
const ENOUGH: usize = 256 * 1024;

/// How long the server has to close a channel whose input ended.
const CLOSING: Duration = Duration::from_secs(5);

/// Start `git-upload-pack` for `path` on the server.
pub(super) fn open(
    session: &Session,
    path: &str,
    interrupt: &Interrupt,
    budget: &ReadBudget,
) -> Result<Box<dyn Transport + Send>, Failure> {
    let (handle, command) = (session.handle.clone(), format!("git-upload-pack {}", quoted(path)));
    let opening = async move {
        let channel = handle.channel_open_session().await?;
        // A server that does not let us set it speaks version 0.
        let _ = channel.set_env(false, "GIT_PROTOCOL", "version=2").await;
        channel.exec(true, command).await?;
        Ok::<_, russh::Error>(channel.split())
    };
    let opened = session.runtime.wait(interrupt, opening)?;
    let (read, write) = opened.map_err(|err| match err {
        _ if session.handle.is_closed() => session.end.clone().into(),
        err => Failure::from(err),
    })?;
    let (half, interrupt) = (Arc::new(write), interrupt.clone());
    let writer = Writer { session: session.clone(), interrupt: interrupt.clone(), half: half.clone() };
    let output = Output {
        half: read,
        session_end: session.end.clone(),
        complaint: Vec::new(),
        status: None,
        has_spoken: false,
        end: None,
    };
    let reader =
        Reader { session: session.clone(), interrupt, half, output: Some(output), chunk: Cursor::default() };
    let (reader, writer) = (budget.of(reader), BufWriter::new(writer));
    let no_host = None::<(String, _)>;
    Ok(Box::new(Connection::new(reader, writer, Protocol::V2, path, no_host, ConnectMode::Process, false)))
}

/// For the shell on the other side, as git does it: csh sees a `!` even between quotation marks.
fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', "'\\''").replace('!', "'\\!'"))
}

struct Writer {
    session: Session,
    interrupt: Interrupt,
    half: Arc<ChannelWriteHalf<Msg>>,
}

impl Write for Writer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let (half, data) = (self.half.clone(), buf.to_vec());
        let sent = self.session.runtime.wait(&self.interrupt, async move { half.data_bytes(data).await })?;
        sent.map_err(|_| self.session.end.error())?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Reader {
    session: Session,
    interrupt: Interrupt,
    half: Arc<ChannelWriteHalf<Msg>>,
    /// `None` once all was read, or nothing more can be.
    output: Option<Output>,
    chunk: Cursor<Vec<u8>>,
}

impl Read for Reader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.chunk.read(buf)? {
                0 if !buf.is_empty() => match self.output.take() {
                    Some(output) => self.fill(output)?,
                    None => return Ok(0),
                },
                read => return Ok(read),
            }
        }
    }
}

impl Reader {
    fn fill(&mut self, mut output: Output) -> io::Result<()> {
        let next = async move { (output.next().await, output) };
        let (chunk, output) = self.session.runtime.wait(&self.interrupt, next)?;
        match chunk {
            Ok(chunk) if chunk.is_empty() => {}
            Ok(chunk) => {
                self.chunk = Cursor::new(chunk);
                self.output = Some(output);
            }
            Err(err) => {
                self.leave(output);
                return Err(err);
            }
        }
        Ok(())
    }

    /// End the program's input, so that the server closes the channel: russh never forgets one that we close first.
    fn leave(&self, mut output: Output) {
        let (half, leaked) = (self.half.clone(), self.session.leaked.clone());
        self.session.runtime.spawn(async move {
            let ending = async {
                let _ = half.eof().await;
                output.ends_quietly().await
            };
            if tokio::time::timeout(CLOSING, ending).await != Ok(true) {
                leaked.fetch_add(1, Ordering::Relaxed);
                let _ = half.close().await;
            }
        });
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(output) = self.output.take() {
            self.leave(output);
        }
    }
}

/// What the program on the server says.
struct Output {
    half: ChannelReadHalf,
    session_end: End,
    /// Its stderr.
    complaint: Vec<u8>,
    status: Option<String>,
    /// Whether there was anything besides its stderr.
    has_spoken: bool,
    /// How it ended, once what it said before was passed on.
    end: Option<io::Result<()>>,
}

impl Output {
    /// What it says next, with all that is here already: each wait costs two switches between threads. Nothing at
    /// its good end; why it ended badly is the error.
    async fn next(&mut self) -> io::Result<Vec<u8>> {
        let mut chunk = Vec::new();
        while self.end.is_none() && chunk.len() < ENOUGH {
            let message = if chunk.is_empty() {
                self.half.wait().await
            } else {
                match at_hand(self.half.wait()).await {
                    Some(message) => message,
                    None => break,
                }
            };
            match message {
                Some(ChannelMsg::Data { data }) => {
                    self.has_spoken = true;
                    chunk.extend_from_slice(&data);
                }
                other => self.end = self.heed(other),
            }
        }
        match self.end.take() {
            Some(end) if chunk.is_empty() => end.map(|()| chunk),
            end => {
                self.end = end;
                Ok(chunk)
            }
        }
    }

    /// What is said besides output. Gives how it ended, if it did.
    fn heed(&mut self, message: Option<ChannelMsg>) -> Option<io::Result<()>> {
        match message {
            Some(ChannelMsg::ExtendedData { data, .. }) => {
                let room = MAX_COMPLAINT - self.complaint.len();
                self.complaint.extend_from_slice(&data[..data.len().min(room)]);
            }
            Some(ChannelMsg::ExitStatus { exit_status: 0 }) => self.complaint.clear(),
            Some(ChannelMsg::ExitStatus { exit_status }) => {
                self.status = Some(format!("exit status {exit_status}"));
            }
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                self.status = Some(format!("signal {signal_name:?}"));
            }
            Some(ChannelMsg::Failure) => {
                return Some(Err(io::Error::other("the server runs no git-upload-pack")));
            }
            Some(ChannelMsg::Close) => {
                return Some(judge(&self.complaint, self.status.as_deref(), self.has_spoken));
            }
            Some(_) => {}
            None => return Some(Err(self.session_end.error())),
        }
        None
    }

    /// Whether the channel is closed from there, with no more output.
    async fn ends_quietly(&mut self) -> bool {
        loop {
            match self.half.wait().await {
                Some(ChannelMsg::Data { .. }) => return false,
                Some(ChannelMsg::Close) | None => return true,
                Some(_) => {}
            }
        }
    }
}

/// What the end of a program means that said this on its stderr.
fn judge(complaint: &[u8], status: Option<&str>, has_spoken: bool) -> io::Result<()> {
    match (in_one_line(complaint), status) {
        // A status may be missing, and what was said a warning.
        (text, None) if text.is_empty() || has_spoken => Ok(()),
        (text, Some(status)) if text.is_empty() => {
            Err(io::Error::other(format!("git-upload-pack on the server ended with {status}")))
        }
        (text, _) => Err(io::Error::other(format!("the server says: {text}"))),
    }
}

/// What the future comes to without waiting.
async fn at_hand<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_as_git_does() {
        for (path, expected) in [
            ("/a b", "'/a b'"),
            ("~me/x", "'~me/x'"),
            ("it's", r"'it'\''s'"),
            ("a!b", r"'a'\!'b'"),
            ("$(x) `y` \\", "'$(x) `y` \\'"),
        ] {
            assert_eq!(quoted(path), expected);
        }
    }

    #[test]
    fn a_clean_end_needs_no_status() {
        for (complaint, status, has_spoken, expected) in [
            ("", None, true, None),
            ("a warning", None, true, None),
            ("no such repository", None, false, Some("the server says: no such repository")),
            ("killed", Some("signal KILL"), true, Some("the server says: killed")),
            ("", Some("exit status 1"), true, Some("git-upload-pack on the server ended with exit status 1")),
        ] {
            let judged = judge(complaint.as_bytes(), status, has_spoken).map_err(|err| err.to_string());
            assert_eq!(judged.err().as_deref(), expected);
        }
    }
}
