//! The one error of this crate: which step failed, why, and what to do next.

use std::fmt;
use std::time::Duration;

/// What to do after a failure. Unknown causes are [`Recovery::Retry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Try again later: the network, the server, a full disk.
    Retry,
    /// The repository under the root is damaged: [`crate::Store::rebuild`] it, then try again.
    Rebuild,
    /// Trying again helps only after somebody changed something: a URL, a reference, a permission.
    Reconfigure,
    /// The server wants another login than it was shown.
    Login,
}

/// A failed step. Its text names the step and the whole chain of causes, on one line, free of secrets and of
/// control characters (part of it may come from the server).
#[derive(Debug)]
pub struct Error {
    step: String,
    cause: String,
    recovery: Recovery,
    not_before: Option<Duration>,
    lacks_room: bool,
}

/// The result of every fallible operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The failure of `step` because of `cause`.
    pub fn new(recovery: Recovery, step: impl Into<String>, cause: impl fmt::Display) -> Self {
        Error {
            step: one_line(&step.into()),
            cause: one_line(&cause.to_string()),
            recovery,
            not_before: None,
            lacks_room: false,
        }
    }

    /// An error of the file system or the like, worth another try.
    pub fn io(step: impl Into<String>, cause: &(dyn std::error::Error + 'static)) -> Self {
        let causes = || std::iter::successors(Some(cause), |err| err.source());
        Error { lacks_room: causes().any(is_full), ..Self::new(Recovery::Retry, step, chain(causes())) }
    }

    /// An error of gix. Whether corruption means our store is up to the caller: see [`Error::reading`].
    pub(crate) fn gix(step: impl Into<String>, cause: &gix::Error) -> Self {
        let lacks_room = cause.iter_errors().any(is_full);
        Error { lacks_room, ..Self::new(Recovery::Retry, step, chain(cause.iter_errors())) }
    }

    /// An error of gix while it read our own store: damage, unless the machine merely refused to let us read.
    pub(crate) fn reading(step: impl Into<String>, cause: &gix::Error) -> Self {
        let refused = cause.iter_errors().filter_map(|err| err.downcast_ref::<std::io::Error>()).any(|err| {
            use std::io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
            !matches!(err.kind(), InvalidData | NotFound | UnexpectedEof)
        });
        let recovery = if refused { Recovery::Retry } else { Recovery::Rebuild };
        Error { recovery, ..Self::gix(step, cause) }
    }

    /// The same error as a part of a larger step.
    pub(crate) fn within(self, step: &str) -> Self {
        Error { step: one_line(step), cause: format!("{}: {}", self.step, self.cause), ..self }
    }

    /// The same error, some of its words replaced by others.
    pub(crate) fn rephrased(mut self, words: &[(&str, &str)]) -> Self {
        for (from, to) in words {
            self.cause = self.cause.replace(from, to);
        }
        self
    }

    /// The same error without texts that must not be repeated. Very short ones would only mangle it.
    pub(crate) fn hiding(mut self, secrets: &[String]) -> Self {
        for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
            self.cause = self.cause.replace(secret, "(secret)");
        }
        self
    }

    /// The same error of a server that wants to be left alone for a time.
    pub(crate) fn retry_after(self, time: Option<Duration>) -> Self {
        Error { not_before: time, ..self }
    }

    /// How long the server wants to be left alone: HTTP's `Retry-After`.
    pub fn not_before(&self) -> Option<Duration> {
        self.not_before
    }

    /// What to do next.
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// Whether a disk or a quota is full.
    pub fn lacks_room(&self) -> bool {
        self.lacks_room
    }

    /// The step that failed: `fetch refs/heads/main from https://host/x`.
    pub fn step(&self) -> &str {
        &self.step
    }

    /// Why it failed.
    pub fn cause(&self) -> &str {
        &self.cause
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.cause)
    }
}

impl std::error::Error for Error {}

fn is_full(cause: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    let kind = cause.downcast_ref().map(std::io::Error::kind);
    matches!(kind, Some(QuotaExceeded | StorageFull))
}

/// All causes joined by colons, without those that their predecessor quotes already.
pub(crate) fn chain<'a>(causes: impl Iterator<Item = &'a (dyn std::error::Error + 'static)>) -> String {
    let mut text = String::new();
    for cause in causes.map(ToString::to_string) {
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(cause.trim_end());
    }
    text
}

/// Control characters escaped (a hostile server may send terminal sequences), the length bounded.
fn one_line(text: &str) -> String {
    const LIMIT: usize = 2_000;
    let mut line = String::with_capacity(text.len());
    for c in text.trim_end().chars() {
        if line.len() > LIMIT {
            line.push('…');
            break;
        }
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

/// Turns results of other crates into ours, naming the step.
pub(crate) trait Context<T> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for std::io::Result<T> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|err| Error::io(step(), &err))
    }
}

impl<T> Context<T> for gix::Result<T> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|err| Error::gix(step(), &err))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_the_server_cannot_steer_a_terminal() {
        let err = Error::new(Recovery::Retry, "fetch", "fatal: \u{1b}[31mred\nnext");
        assert_eq!(err.to_string(), "fetch: fatal: \\u{1b}[31mred\\nnext");
    }

    #[test]
    fn text_from_the_server_is_bounded() {
        assert!(Error::new(Recovery::Retry, "fetch", "x".repeat(1 << 20)).to_string().len() < 2_100);
    }
}
