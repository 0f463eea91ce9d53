//! Why a tip is not followed.

use std::fmt;

/// Why a tip is not followed, for counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It cannot be read.
    Malformed,
    /// It has another version of the format.
    Version,
    /// It is not signed as demanded.
    Signature,
    /// It is of another name.
    Foreign,
    /// It is older than one that was seen.
    Older,
    /// One of its packs is damaged, missing or incomplete.
    Pack,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 6] =
        [Reason::Malformed, Reason::Version, Reason::Signature, Reason::Foreign, Reason::Older, Reason::Pack];

    /// A word for metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Reason::Malformed => "malformed",
            Reason::Version => "version",
            Reason::Signature => "signature",
            Reason::Foreign => "foreign",
            Reason::Older => "older",
            Reason::Pack => "pack",
        }
    }
}

/// A tip that is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why, for counts.
    pub reason: Reason,
    text: String,
}

impl Refusal {
    pub(crate) fn new(reason: Reason, text: impl Into<String>) -> Refusal {
        Refusal { reason, text: text.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the tip is refused: {}", self.text)
    }
}

impl std::error::Error for Refusal {}
