//! References and commit ids.

use std::fmt;
use std::str::FromStr;

use crate::error::ParseError;

/// The full id of a commit, SHA-1 or SHA-256, in lower-case hexadecimal when displayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub(crate) gix::ObjectId);

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for CommitId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        gix::ObjectId::from_hex(text.to_ascii_lowercase().as_bytes())
            .map(CommitId)
            .map_err(|_| format!("{text:?} is not a full commit id (40 or 64 hexadecimal digits)").into())
    }
}

/// What a user names: a name that the server resolves, or a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `HEAD`, a full name (`refs/heads/main`) or a short one (`main`), looked up in git's order.
    Name(String),
    /// One commit, never moving.
    Commit(CommitId),
}

impl Reference {
    /// The full names to look for, the first match wins: the order of gitrevisions(7).
    pub(crate) fn candidates(&self) -> Vec<String> {
        match self {
            Reference::Commit(_) => Vec::new(),
            Reference::Name(name) if name == "HEAD" || name.starts_with("refs/") => vec![name.clone()],
            Reference::Name(name) => ["refs/", "refs/tags/", "refs/heads/", "refs/remotes/"]
                .map(|prefix| format!("{prefix}{name}"))
                .into(),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Name(name) => f.write_str(name),
            Reference::Commit(id) => id.fmt(f),
        }
    }
}

impl FromStr for Reference {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if let Ok(id) = text.parse() {
            return Ok(Reference::Commit(id));
        }
        let valid = gix::validate::reference::name_partial(text.into()).is_ok() && !text.starts_with('-');
        if valid {
            Ok(Reference::Name(text.to_owned()))
        } else {
            Err(format!("{text:?} is not a valid reference name (see git-check-ref-format(1))").into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_commits_or_valid_names() {
        let id = "0123456789ABCDEF0123456789abcdef01234567";
        assert_eq!(id.parse(), Ok(Reference::Commit(id.parse().unwrap())));
        assert_eq!(id.parse::<Reference>().unwrap().to_string(), id.to_lowercase());
        for name in ["HEAD", "main", "feature/x", "refs/heads/main", "v1.0", "0123456"] {
            assert_eq!(name.parse(), Ok(Reference::Name(name.into())));
        }
        for name in ["", "-x", "a..b", "a b", "x.lock", "@{", "a\u{7}b", "refs/heads/"] {
            assert!(name.parse::<Reference>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_tag_beats_a_branch_of_the_same_name() {
        let candidates = Reference::Name("v1".into()).candidates();
        assert_eq!(candidates[..3], ["refs/v1", "refs/tags/v1", "refs/heads/v1"]);
    }
}
