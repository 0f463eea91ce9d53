//! The name under which a repository is relayed.

use std::fmt;
use std::str::FromStr;

use sync_core::ParseError;

/// The name of a relayed repository: one for each repository, reference and depth. It has 1 to 63 characters out of
/// `a` to `z`, `0` to `9` and `-`, so it is safe in subjects of NATS, paths and URLs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RelayName(String);

impl RelayName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RelayName {
    type Err = ParseError;

    /// # Errors
    ///
    /// The text is too long, empty, or has other characters.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let is_valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        match text {
            "" => Err("is empty".into()),
            _ if text.len() > 63 => Err("has more than 63 characters".into()),
            _ if !text.bytes().all(is_valid) => {
                Err("may contain only lowercase letters, digits and dashes".into())
            }
            _ => Ok(RelayName(text.to_owned())),
        }
    }
}

impl fmt::Display for RelayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_subjects_and_paths() {
        for good in ["a", "site-1f2e3d4c", "0", &"x".repeat(63)] {
            assert_eq!(good.parse::<RelayName>().unwrap().as_str(), good);
        }
        for bad in ["", "A", "a.b", "a/b", "*", ">", "a b", "a\r\n", "ä", "..", &"x".repeat(64)] {
            assert!(bad.parse::<RelayName>().is_err(), "{bad:?}");
        }
    }
}
