//! An SSH channel as a transport for gix: stdin and stdout of `git-upload-pack` on the server.

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
use super::permits::ChannelPermit;
use super::session::Session;
use crate::interrupt::Interrupt;
use crate::transport::read_budget::ReadBudget;
use crate::transport::server_messages::in_one_line;

/// How many bytes of stderr are kept.
const MAX_STDERR: usize = 4096;

/// About how many bytes of output are read at once.
const CHUNK_SIZE: usize = 256 * 1024;

/// How long to wait for the server to close a channel after the end of input.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Start `git-upload-pack` for `path` on the server.
pub(super) fn open(
    session: &Session,
    permit: ChannelPermit,
    path: &str,
    interrupt: &Interrupt,
    budget: &ReadBudget,
) -> Result<Box<dyn Transport + Send>, Failure> {
    let (handle, command) = (session.handle.clone(), format!("git-upload-pack {}", quoted(path)));
    let opening = async move {
        let channel = handle.channel_open_session().await?;
        // A server that refuses the variable speaks version 0.
        let _ = channel.set_env(false, "GIT_PROTOCOL", "version=2").await;
        channel.exec(true, command).await?;
        Ok::<_, russh::Error>(channel.split())
    };
    let opened = session.runtime.wait(interrupt, opening).inspect_err(|_| {
        session.leaked.fetch_add(1, Ordering::Relaxed);
    })?;
    let (read, write) = opened.map_err(|err| match err {
        _ if session.handle.is_closed() => session.end.clone().into(),
        err => Failure::from(err),
    })?;
    session.runtime.saw_life();
    let (half, interrupt) = (Arc::new(write), interrupt.clone());
    let writer = Writer { session: session.clone(), interrupt: interrupt.clone(), half: half.clone() };
    let output = Output {
        half: read,
        session_end: session.end.clone(),
        stderr: Vec::new(),
        status: None,
        has_output: false,
        end: None,
    };
    let reader = Reader {
        session: session.clone(),
        interrupt,
        half,
        permit: Some(permit),
        output: Some(output),
        chunk: Cursor::default(),
    };
    let (reader, writer) = (budget.of(reader), BufWriter::new(writer));
    let no_host = None::<(String, _)>;
    Ok(Box::new(Connection::new(reader, writer, Protocol::V2, path, no_host, ConnectMode::Process, false)))
}

/// Quote a path for the shell on the server, as Git does: csh interprets a `!` even between quotation marks.
pub(super) fn quoted(path: &str) -> String {
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
    /// `None` once the channel was given up.
    permit: Option<ChannelPermit>,
    /// `None` at the end of the output or after an error.
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
        let waited = self.session.runtime.wait(&self.interrupt, next);
        let (chunk, output) = waited.inspect_err(|_| self.abandon())?;
        self.session.runtime.saw_life();
        match chunk {
            Ok(chunk) if chunk.is_empty() => {}
            Ok(chunk) => {
                self.chunk = Cursor::new(chunk);
                self.output = Some(output);
            }
            Err(err) => {
                self.close(output);
                return Err(err);
            }
        }
        Ok(())
    }

    /// End the input in the background, and let the server close the channel: russh leaks a channel that we close first.
    fn close(&mut self, mut output: Output) {
        let (half, leaked) = (self.half.clone(), self.session.leaked.clone());
        let permit = self.permit.take();
        self.session.runtime.spawn(async move {
            let ending = async {
                let _ = half.eof().await;
                output.closes_without_data().await
            };
            if tokio::time::timeout(CLOSE_TIMEOUT, ending).await != Ok(true) {
                leaked.fetch_add(1, Ordering::Relaxed);
                let _ = half.close().await;
            }
            drop(permit);
        });
    }

    /// Close the channel though the server may have more to say: an interrupt took the reading half away.
    fn abandon(&mut self) {
        let (half, permit) = (self.half.clone(), self.permit.take());
        self.session.leaked.fetch_add(1, Ordering::Relaxed);
        self.session.runtime.spawn(async move {
            let _ = half.close().await;
            drop(permit);
        });
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(output) = self.output.take() {
            self.close(output);
        }
    }
}

/// The output of the program on the server.
struct Output {
    half: ChannelReadHalf,
    session_end: End,
    stderr: Vec<u8>,
    status: Option<String>,
    /// Whether the program wrote to stdout.
    has_output: bool,
    /// The result of the program, kept until the output before it is returned.
    end: Option<io::Result<()>>,
}

impl Output {
    /// The next output, or nothing at the end. It takes all that has arrived: each wait costs two switches between
    /// threads. A failure of the program is an error.
    async fn next(&mut self) -> io::Result<Vec<u8>> {
        let mut chunk = Vec::new();
        while self.end.is_none() && chunk.len() < CHUNK_SIZE {
            let message = if chunk.is_empty() {
                self.half.wait().await
            } else {
                match if_ready(self.half.wait()).await {
                    Some(message) => message,
                    None => break,
                }
            };
            match message {
                Some(ChannelMsg::Data { data }) => {
                    self.has_output = true;
                    chunk.extend_from_slice(&data);
                }
                other => self.end = self.handle(other),
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

    /// Handle a message that is not output. Returns the result of the program if the channel has ended.
    fn handle(&mut self, message: Option<ChannelMsg>) -> Option<io::Result<()>> {
        match message {
            Some(ChannelMsg::ExtendedData { data, .. }) => {
                let space = MAX_STDERR - self.stderr.len();
                self.stderr.extend_from_slice(&data[..data.len().min(space)]);
            }
            Some(ChannelMsg::ExitStatus { exit_status: 0 }) => self.stderr.clear(),
            Some(ChannelMsg::ExitStatus { exit_status }) => {
                self.status = Some(format!("exit status {exit_status}"));
            }
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                self.status = Some(format!("signal {signal_name:?}"));
            }
            Some(ChannelMsg::Failure) => {
                return Some(Err(io::Error::other("the server refuses to run git-upload-pack")));
            }
            Some(ChannelMsg::Close) => {
                return Some(result(&self.stderr, self.status.as_deref(), self.has_output));
            }
            Some(_) => {}
            None => return Some(Err(self.session_end.error())),
        }
        None
    }

    /// Wait for the end of the channel. Returns false if there is more output first.
    async fn closes_without_data(&mut self) -> bool {
        loop {
            match self.half.wait().await {
                Some(ChannelMsg::Data { .. }) => return false,
                Some(ChannelMsg::Close) | None => return true,
                Some(_) => {}
            }
        }
    }
}

/// The result of a program with this stderr and status.
fn result(stderr: &[u8], status: Option<&str>, has_output: bool) -> io::Result<()> {
    match (in_one_line(stderr), status) {
        // Some servers send no status; with output, stderr is only a warning.
        (text, None) if text.is_empty() || has_output => Ok(()),
        (text, Some(status)) if text.is_empty() => {
            Err(io::Error::other(format!("git-upload-pack on the server ended with {status}")))
        }
        (text, _) => Err(io::Error::other(format!("the server says: {text}"))),
    }
}

/// The output of a future if it is ready now.
async fn if_ready<T>(future: impl Future<Output = T>) -> Option<T> {
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
        for (stderr, status, has_output, expected) in [
            ("", None, true, None),
            ("a warning", None, true, None),
            ("no such repository", None, false, Some("the server says: no such repository")),
            ("killed", Some("signal KILL"), true, Some("the server says: killed")),
            ("", Some("exit status 1"), true, Some("git-upload-pack on the server ended with exit status 1")),
        ] {
            let result = result(stderr.as_bytes(), status, has_output).map_err(|err| err.to_string());
            assert_eq!(result.err().as_deref(), expected);
        }
    }
}
