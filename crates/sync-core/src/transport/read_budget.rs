//! Limits how much a server may send besides packs, since that is held in memory, and collects the server's messages.

use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::server_messages::{Messages, PacketScanner, prelude};
use crate::limits::Excess;
use crate::resources::Resources;

/// The remaining bytes that the server may send besides packs, shared by a connection and its user.
#[derive(Clone, Debug)]
pub(crate) struct ReadBudget {
    most: u64,
    left: Arc<AtomicU64>,
    messages: Messages,
}

impl ReadBudget {
    pub(crate) fn new(resources: Resources) -> ReadBudget {
        let most = resources.max_server_text();
        ReadBudget { most, left: Arc::new(AtomicU64::new(most)), messages: Messages::default() }
    }

    /// Start a list of references or a negotiation, with the whole budget and without messages.
    pub(crate) fn renew(&self) {
        self.left.store(self.most, Ordering::Relaxed);
        self.messages.clear();
    }

    /// Start a pack, which has a limit of its own.
    pub(crate) fn lift(&self) {
        self.left.store(u64::MAX, Ordering::Relaxed);
    }

    /// A reader that spends this budget.
    pub(super) fn of<R>(&self, inner: R) -> BudgetedReader<R> {
        BudgetedReader { inner, budget: self.clone(), prelude: None, scanner: PacketScanner::default() }
    }

    /// The server's errors since the last `renew`.
    pub(crate) fn errors(&self) -> Option<String> {
        self.messages.errors()
    }

    /// The text that the server sent instead of Git's protocol.
    pub(crate) fn noise(&self) -> Option<String> {
        self.messages.noise()
    }
}

/// Reads from a server, and fails when the budget is spent.
#[derive(Debug)]
pub(crate) struct BudgetedReader<R> {
    inner: R,
    budget: ReadBudget,
    /// The first bytes, which were read to examine them; `None` before the first read.
    prelude: Option<Cursor<Vec<u8>>>,
    scanner: PacketScanner,
}

impl<R: Read> Read for BudgetedReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let prelude = match &mut self.prelude {
            Some(prelude) => prelude,
            None => {
                let prelude = prelude(&mut self.inner, &self.budget.messages)?;
                self.prelude.insert(Cursor::new(prelude))
            }
        };
        let read = match prelude.read(buf)? {
            // gix would wait for an answer that does not come.
            0 if self.budget.messages.has_errors() => {
                return Err(io::Error::other("the server reported an error"));
            }
            0 => self.inner.read(buf)?,
            read => read,
        };
        self.scanner.scan(&buf[..read], &self.budget.messages);
        let left = self.budget.left.load(Ordering::Relaxed);
        let left = left.checked_sub(read as u64).ok_or_else(|| Excess::of_server_text(self.budget.most))?;
        self.budget.left.store(left, Ordering::Relaxed);
        Ok(read)
    }
}
