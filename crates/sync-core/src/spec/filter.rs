//! Partial clone: which objects a server may leave out.

use std::str::FromStr;

use crate::error::ParseError;

/// Which objects a server may leave out of a pack, as git-rev-list(1) has it. What the checkout needs is asked
/// for afterwards, all at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(String);

impl Filter {
    /// As the server is told.
    pub(crate) fn spec(&self) -> &str {
        &self.0
    }
}

impl FromStr for Filter {
    type Err = ParseError;

    /// `blob:none`, `blob:limit=N[kmg]`, or `tree:N`. All trees are needed to check anything out, so `tree:N` leaves
    /// out what `blob:none` does.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if text == "blob:none" || text.strip_prefix("tree:").is_some_and(is_number) {
            return Ok(Filter("blob:none".into()));
        }
        match text.strip_prefix("blob:limit=") {
            Some(limit) if is_number(limit.trim_end_matches(['k', 'm', 'g', 'K', 'M', 'G'])) => {
                Ok(Filter(text.into()))
            }
            _ => Err(format!("{text:?} is none of blob:none, blob:limit=N and tree:N").into()),
        }
    }
}
