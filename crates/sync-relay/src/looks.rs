//! What a feeder's own looks at the git server showed.

use sync_core::CommitId;

/// So many equal looks in a row count as news, if the relay has something else.
const ENOUGH: u32 = 3;

/// What a mirror has published, and the git server showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The full name of the reference.
    pub reference: String,
    /// The commit.
    pub commit: CommitId,
    /// The annotated tag that the reference names.
    pub tag: Option<CommitId>,
}

/// How a look compares to the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It is another commit, or has been there for long enough.
    News,
    /// The same was there before. Another feeder may have seen something newer.
    Before,
}

/// The last look, and how often it was the same.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    last: Option<Published>,
    equal: u32,
    is_unfinished: bool,
}

impl Looks {
    pub(crate) fn saw(&mut self, published: &Published) -> Seen {
        let is_first = self.last.is_none();
        let is_same = self.last.as_ref() == Some(published);
        self.equal = if is_same { self.equal.saturating_add(1) } else { 1 };
        self.last = Some(published.clone());
        let is_change = !is_first && !is_same;
        match std::mem::take(&mut self.is_unfinished) || is_change || self.equal >= ENOUGH {
            true => Seen::News,
            false => Seen::Before,
        }
    }

    /// What was seen could not be written.
    pub(crate) fn forget(&mut self) {
        self.is_unfinished = self.equal == 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(commit: char) -> Published {
        let commit = commit.to_string().repeat(40).parse().unwrap();
        Published { reference: "refs/heads/main".into(), commit, tag: None }
    }

    #[test]
    fn a_change_counts_at_once_and_what_was_there_at_the_start_after_three_looks() {
        let mut looks = Looks::default();
        let seen: Vec<Seen> = "aaabbcaa".chars().map(|commit| looks.saw(&published(commit))).collect();
        use Seen::{Before, News};
        assert_eq!(seen, [Before, Before, News, News, Before, News, News, Before]);
    }
}
