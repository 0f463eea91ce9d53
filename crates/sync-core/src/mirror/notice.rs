//! Notices: messages for a log about events that do not fail an update.

use std::fmt;

use crate::error::Error;
use crate::spec::reference::CommitId;

/// A message for a log: the mirror repaired something, or failed to do something that the update does not depend on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Notice {
    /// How important the message is.
    pub severity: Severity,
    /// What happened, without details.
    pub text: &'static str,
    /// The commit that the message is about.
    pub commit: Option<CommitId>,
    /// The error that was repaired or ignored.
    pub error: Option<String>,
    /// The reason, if there is no error.
    pub reason: Option<String>,
    /// The files that the message is about, at most ten.
    pub files: Vec<String>,
}

/// How important a [`Notice`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Useful when searching for the cause of a problem.
    Debug,
    /// Useful to an operator.
    Info,
    /// Something went wrong.
    Warning,
}

impl Notice {
    fn new(severity: Severity, text: &'static str) -> Self {
        Notice { severity, text, commit: None, error: None, reason: None, files: Vec::new() }
    }

    pub(super) fn debug(text: &'static str) -> Self {
        Self::new(Severity::Debug, text)
    }

    pub(super) fn info(text: &'static str) -> Self {
        Self::new(Severity::Info, text)
    }

    pub(super) fn warning(text: &'static str) -> Self {
        Self::new(Severity::Warning, text)
    }

    pub(super) fn of(self, commit: CommitId) -> Self {
        Notice { commit: Some(commit), ..self }
    }

    pub(super) fn error(self, error: &dyn std::error::Error) -> Self {
        Notice { error: Some(error.to_string()), ..self }
    }

    pub(super) fn reason(self, reason: impl Into<String>) -> Self {
        Notice { reason: Some(reason.into()), ..self }
    }

    pub(super) fn files(self, files: Vec<String>) -> Self {
        Notice { files, ..self }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)?;
        let details = [&self.error, &self.reason].into_iter().flatten();
        details.into_iter().try_for_each(|detail| write!(f, ": {detail}"))
    }
}

/// The function that receives the notices.
pub(super) struct Observer(pub(super) Box<dyn Fn(&Notice) + Send>);

impl Observer {
    pub(super) fn notify(&self, notice: &Notice) {
        (self.0)(notice);
    }

    /// Report an error that does not fail the update. The answer is whether there was one.
    pub(super) fn failed<T>(&self, outcome: Result<T, Error>, text: &'static str) -> bool {
        match outcome {
            Ok(_) => false,
            Err(err) => {
                self.notify(&Notice::warning(text).error(&err));
                true
            }
        }
    }
}
