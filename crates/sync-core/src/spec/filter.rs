//! Filters for partial clones.

use std::str::FromStr;

use crate::error::ParseError;

/// A filter of git-rev-list(1): which objects the server leaves out of a pack. The objects among them that the checkout
/// needs are fetched afterwards, in one request.
///
/// ```
/// let filter: sync_core::Filter = "blob:limit=100k".parse()?;
/// # Ok::<(), sync_core::ParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(String);

impl Filter {
    /// The text to send to the server.
    pub(crate) fn spec(&self) -> &str {
        &self.0
    }
}

impl FromStr for Filter {
    type Err = ParseError;

    /// Parse `blob:none`, `blob:limit=N[kmg]`, or `tree:N`. A checkout needs all trees, so `tree:N` means `blob:none`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_parsed_as_in_git() {
        for (text, spec) in
            [("blob:none", "blob:none"), ("tree:0", "blob:none"), ("blob:limit=1k", "blob:limit=1k")]
        {
            assert_eq!(text.parse::<Filter>().unwrap().spec(), spec);
        }
        for text in ["", "blob", "blob:limit=", "blob:limit=x", "tree:", "sparse:oid=x", "blob:none\n"] {
            assert!(text.parse::<Filter>().is_err(), "{text:?}");
        }
    }
}
