//! The error of this crate: which step failed, why, the kind of failure, and what to do next.

use std::error::Error as StdError;
use std::time::Duration;
use std::{fmt, io};

use crate::interrupt::Stopped;
use crate::limits::Excess;

/// What kind of failure an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An [`Interrupt`](crate::Interrupt) was triggered.
    Cancelled,
    /// The deadline of an [`Interrupt`](crate::Interrupt) passed.
    TimedOut,
    /// The server cannot be reached, or the connection broke.
    Network,
    /// The server answered with an error, or not as Git's protocol has it.
    Server,
    /// The server asks for other credentials (HTTP 401).
    Login,
    /// The server denies access (HTTP 403, every SSH key refused), or its identity is not trusted (an SSH host key).
    Denied,
    /// The repository, reference or commit does not exist.
    NotFound,
    /// The commit exceeds one of the [`Limits`](crate::Limits), or needs more memory than there is.
    Limit,
    /// The commit contains something that must not be checked out: a forbidden path or symbolic link, a bad submodule.
    Rejected,
    /// The repository under the root is damaged.
    DamagedStore,
    /// A disk or a quota is full.
    StorageFull,
    /// Another process owns the root.
    Busy,
    /// An option, a file that an option names, or the root directory must be changed.
    Configuration,
    /// The file system reports another error.
    Io,
    /// Anything else.
    Other,
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Recovery {
    /// Retry later: the network, the server or a full disk may recover.
    Retry,
    /// Replace the damaged repository under the root ([`Store::rebuild`](crate::Store::rebuild)), then retry.
    Rebuild,
    /// Change something first: a URL, a reference, a permission, a limit.
    Reconfigure,
    /// Log in with other credentials.
    Login,
}

impl ErrorKind {
    /// What to do after a failure of this kind.
    #[must_use]
    pub fn recovery(self) -> Recovery {
        use ErrorKind as K;
        match self {
            K::Cancelled | K::TimedOut | K::Network | K::Server | K::StorageFull | K::Io | K::Other => {
                Recovery::Retry
            }
            K::DamagedStore => Recovery::Rebuild,
            K::Login => Recovery::Login,
            K::Denied | K::NotFound | K::Limit | K::Rejected | K::Busy | K::Configuration => {
                Recovery::Reconfigure
            }
        }
    }
}

/// A failed step.
///
/// The text names the step and all causes on one line. It holds no secrets, and control characters are escaped, since
/// parts may come from a server. [`source`](StdError::source) is the error of the operating system, if one was the
/// cause; the text already includes it.
#[derive(Debug)]
pub struct Error {
    step: String,
    cause: String,
    kind: ErrorKind,
    retry_after: Option<Duration>,
    source: Option<io::Error>,
}

/// The result of every fallible operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

type Cause<'a> = &'a (dyn StdError + 'static);

impl Error {
    /// The failure of `step` because of `cause`.
    pub fn new(kind: ErrorKind, step: impl Into<String>, cause: impl fmt::Display) -> Self {
        Error {
            step: one_line(&step.into()),
            cause: one_line(&cause.to_string()),
            kind,
            retry_after: None,
            source: None,
        }
    }

    /// The failure of `step` because of an error of the operating system, or one that wraps it. The kind follows from
    /// the causes.
    pub fn io(step: impl Into<String>, cause: Cause<'_>) -> Self {
        let (mut causes, mut next) = (Vec::new(), Some(cause));
        while let Some(cause) = next {
            causes.push(cause);
            next = cause.source();
        }
        Self::caused(step, &causes)
    }

    /// An error of gix that does not come from reading our store; for that see [`Error::reading`].
    pub(crate) fn gix(step: impl Into<String>, cause: &gix::Error) -> Self {
        Self::caused(step, &cause.iter_errors().collect::<Vec<_>>())
    }

    /// An error of gix while it reads our own store: the store is damaged, unless the operating system refused to read.
    pub(crate) fn reading(step: impl Into<String>, cause: &gix::Error) -> Self {
        let was_refused = cause.iter_errors().filter_map(|err| err.downcast_ref::<io::Error>()).any(|err| {
            use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
            !matches!(err.kind(), InvalidData | NotFound | UnexpectedEof)
        });
        let err = Self::gix(step, cause);
        if was_refused { err } else { err.of_kind(ErrorKind::DamagedStore) }
    }

    fn caused(step: impl Into<String>, causes: &[Cause<'_>]) -> Self {
        let kind = causes.iter().find_map(|cause| kind_of(*cause));
        let source = causes.iter().find_map(|cause| cause.downcast_ref::<io::Error>()).map(copy);
        let default = if source.is_some() { ErrorKind::Io } else { ErrorKind::Other };
        Error { source, ..Self::new(kind.unwrap_or(default), step, chain(causes)) }
    }

    /// The same error with another kind.
    pub(crate) fn of_kind(self, kind: ErrorKind) -> Self {
        Error { kind, ..self }
    }

    /// The same error, from a server: a general kind becomes `Network` or `Server`.
    pub(crate) fn of_server(self) -> Self {
        let kind = match self.kind {
            ErrorKind::Io => ErrorKind::Network,
            ErrorKind::Other => ErrorKind::Server,
            kind => kind,
        };
        self.of_kind(kind)
    }

    /// The same error as a part of a larger step.
    pub(crate) fn within(self, step: &str) -> Self {
        Error { step: one_line(step), cause: format!("{}: {}", self.step, self.cause), ..self }
    }

    /// The same error with pairs of words replaced in its cause.
    pub(crate) fn rephrased(mut self, words: &[(&str, &str)]) -> Self {
        for (from, to) in words {
            self.cause = self.cause.replace(from, to);
        }
        self
    }

    /// The same error without these secrets. Secrets of less than four bytes stay: they also occur by chance, and
    /// removing them would garble the text.
    pub(crate) fn hiding(mut self, secrets: &[String]) -> Self {
        for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
            if self.cause.contains(secret) {
                self.cause = self.cause.replace(secret, "(secret)");
                self.source = None;
            }
        }
        self
    }

    /// The same error, with the pause that the server asks for.
    #[must_use]
    pub fn with_retry_after(self, pause: Option<Duration>) -> Self {
        Error { retry_after: pause, ..self }
    }

    /// How long the server asks to wait before the next attempt (HTTP's `Retry-After`), if it does.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What to do next.
    #[must_use]
    pub fn recovery(&self) -> Recovery {
        self.kind.recovery()
    }

    /// The step that failed, for example `fetch refs/heads/main from https://host/x`.
    #[must_use]
    pub fn step(&self) -> &str {
        &self.step
    }

    /// Why the step failed.
    #[must_use]
    pub fn cause(&self) -> &str {
        &self.cause
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.cause)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<Cause<'_>> {
        self.source.as_ref().map(|source| source as Cause<'_>)
    }
}

/// A text cannot be parsed as a URL, a reference, a commit id, a filter, and so on. The message says what is wrong, and
/// quotes nothing that may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError(String);

impl From<String> for ParseError {
    fn from(text: String) -> Self {
        ParseError(text)
    }
}

impl From<&str> for ParseError {
    fn from(text: &str) -> Self {
        ParseError(text.to_owned())
    }
}

impl From<ParseError> for String {
    fn from(err: ParseError) -> Self {
        err.0
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for ParseError {}

/// The kind of failure that this cause alone decides, if any.
fn kind_of(cause: Cause<'_>) -> Option<ErrorKind> {
    use io::ErrorKind as I;
    if let Some(stopped) = cause.downcast_ref() {
        return Some(match stopped {
            Stopped::Triggered => ErrorKind::Cancelled,
            Stopped::DeadlinePassed => ErrorKind::TimedOut,
        });
    }
    if cause.is::<Excess>() {
        return Some(ErrorKind::Limit);
    }
    let err: &io::Error = cause.downcast_ref()?;
    match err.kind() {
        I::StorageFull | I::QuotaExceeded => Some(ErrorKind::StorageFull),
        I::ConnectionRefused
        | I::ConnectionReset
        | I::ConnectionAborted
        | I::HostUnreachable
        | I::NetworkUnreachable
        | I::NetworkDown => Some(ErrorKind::Network),
        // `source` of an `io::Error` skips the error that it wraps.
        _ => err.get_ref().and_then(|inner| kind_of(inner)),
    }
}

/// A copy of an error: `io::Error` is not `Clone`.
fn copy(err: &io::Error) -> io::Error {
    match err.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(err.kind(), err.to_string()),
    }
}

/// All causes joined by colons, without those that the text before already quotes.
pub(crate) fn chain(causes: &[Cause<'_>]) -> String {
    let mut text = String::new();
    for cause in causes.iter().map(ToString::to_string) {
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

/// A text of bounded length without control characters: a hostile server may send terminal escape sequences.
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

/// Turns results of other crates into ours.
pub(crate) trait Context<T> {
    /// Names the step that failed.
    fn step(self, step: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
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
        let err = Error::new(ErrorKind::Other, "fetch", "fatal: \u{1b}[31mred\nnext");
        assert_eq!(err.to_string(), "fetch: fatal: \\u{1b}[31mred\\nnext");
    }

    #[test]
    fn text_from_the_server_is_bounded() {
        assert!(Error::new(ErrorKind::Other, "fetch", "x".repeat(1 << 20)).to_string().len() < 2_100);
    }

    #[test]
    fn the_kind_is_found_in_the_causes() {
        use io::ErrorKind as I;
        let interrupt = crate::interrupt::Interrupt::new();
        interrupt.trigger();
        let stopped = interrupt.check().unwrap_err();
        interrupt.clear();
        interrupt.set_deadline(|| true);
        let late = interrupt.check().unwrap_err();
        let excess = crate::limits::Limits { files: 1, ..Default::default() }.check_files(2).unwrap_err();
        for (cause, kind) in [
            (stopped, ErrorKind::Cancelled),
            (late, ErrorKind::TimedOut),
            (excess.into(), ErrorKind::Limit),
            (I::StorageFull.into(), ErrorKind::StorageFull),
            (io::Error::other(io::Error::from(I::QuotaExceeded)), ErrorKind::StorageFull),
            (I::ConnectionRefused.into(), ErrorKind::Network),
            (I::PermissionDenied.into(), ErrorKind::Io),
        ] {
            let err = Error::io("step", &cause);
            assert_eq!(err.kind(), kind, "{cause:?}");
            let source = err.source().and_then(|source| source.downcast_ref::<io::Error>());
            assert_eq!(source.map(io::Error::kind), Some(cause.kind()));
        }
    }

    #[test]
    fn a_hidden_secret_is_in_no_source() {
        let cause = io::Error::other("the server says canary");
        let err = Error::io("step", &cause).hiding(&["canary".into()]);
        assert!(!format!("{err} {err:?} {:?}", err.source()).contains("canary"));
    }
}
