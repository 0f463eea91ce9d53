//! How much a server may say besides packs: its words are kept in memory. And what it says of its own accord.

use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::server_messages::{Ear, Words, prelude};
use crate::limits::Excess;
use crate::resources::Resources;

/// What is left for the server to say; shared by a connection and who uses it.
#[derive(Clone, Debug)]
pub(crate) struct ReadBudget {
    most: u64,
    left: Arc<AtomicU64>,
    words: Words,
}

impl ReadBudget {
    pub(crate) fn new(resources: Resources) -> ReadBudget {
        let most = resources.max_server_text();
        ReadBudget { most, left: Arc::new(AtomicU64::new(most)), words: Words::default() }
    }

    /// A listing begins, or a negotiation.
    pub(crate) fn renew(&self) {
        self.left.store(self.most, Ordering::Relaxed);
        self.words.forget();
    }

    /// A pack begins, which has a limit of its own.
    pub(crate) fn lift(&self) {
        self.left.store(u64::MAX, Ordering::Relaxed);
    }

    pub(super) fn of<R>(&self, inner: R) -> BudgetedReader<R> {
        BudgetedReader { inner, budget: self.clone(), prelude: None, ear: Ear::default() }
    }

    /// The errors of the server since the last renewal.
    pub(crate) fn errors(&self) -> Option<String> {
        self.words.errors()
    }

    /// What the server said in place of git's protocol.
    pub(crate) fn noise(&self) -> Option<String> {
        self.words.noise()
    }
}

/// Reads as much as the budget allows.
#[derive(Debug)]
pub(crate) struct BudgetedReader<R> {
    inner: R,
    budget: ReadBudget,
    /// What was read already to look at it; `None` before the first read.
    prelude: Option<Cursor<Vec<u8>>>,
    ear: Ear,
}

impl<R: Read> Read for BudgetedReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let prelude = match &mut self.prelude {
            Some(prelude) => prelude,
            None => {
                let prelude = prelude(&mut self.inner, &self.budget.words)?;
                self.prelude.insert(Cursor::new(prelude))
            }
        };
        let read = match prelude.read(buf)? {
            // Nothing good follows, and gix would wait for it.
            0 if self.budget.words.has_errors() => {
                return Err(io::Error::other("the server reported an error"));
            }
            0 => self.inner.read(buf)?,
            read => read,
        };
        self.ear.listen(&buf[..read], &self.budget.words);
        let left = self.budget.left.load(Ordering::Relaxed);
        let left = left.checked_sub(read as u64).ok_or_else(|| Excess::of_server_text(self.budget.most))?;
        self.budget.left.store(left, Ordering::Relaxed);
        Ok(read)
    }
}
