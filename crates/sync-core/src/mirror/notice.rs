//! What is worth a log line, and no error of an update.

use std::fmt;

use crate::error::Error;
use crate::spec::reference::CommitId;

/// Something that a mirror did or found besides what was asked for: it repaired something, or left something undone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Notice {
    /// How much it matters.
    pub severity: Severity,
    /// What happened, without particulars.
    pub text: &'static str,
    /// The commit that it is about.
    pub commit: Option<CommitId>,
    /// The error that was overcome or left.
    pub error: Option<String>,
    /// Why it was done, where no error says so.
    pub reason: Option<String>,
    /// The files that it is about; at most ten.
    pub files: Vec<String>,
}

/// How much a [`Notice`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Of interest to those who look for a fault.
    Debug,
    /// Of interest.
    Info,
    /// Something was wrong.
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
        let particulars = [&self.error, &self.reason].into_iter().flatten();
        particulars.into_iter().try_for_each(|particular| write!(f, ": {particular}"))
    }
}

/// Who hears of notices.
pub(super) struct Observer(pub(super) Box<dyn Fn(&Notice) + Send>);

impl Observer {
    pub(super) fn hear(&self, notice: &Notice) {
        (self.0)(notice);
    }

    /// Hear of an error that fails nothing.
    pub(super) fn failed<T>(&self, outcome: Result<T, Error>, text: &'static str) -> bool {
        match outcome {
            Ok(_) => false,
            Err(err) => {
                self.hear(&Notice::warning(text).error(&err));
                true
            }
        }
    }
}
