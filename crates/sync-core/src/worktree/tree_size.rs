//! The size of a tree.

use gix::index::State;

/// The size of a tree, without its submodules.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TreeSize {
    entries: u64,
    /// The total size of the files, in bytes. That of each is modulo 4 GiB, as in a git index.
    pub(crate) files: u64,
}

impl TreeSize {
    /// The approximate size of the entries of one file in trees and in the index of a pack, in bytes.
    const ENTRY_SIZE: u64 = 128;

    pub(crate) fn of(index: &State) -> TreeSize {
        let entries = index.entries();
        TreeSize {
            entries: entries.len() as u64,
            files: entries.iter().map(|entry| u64::from(entry.stat.size)).sum(),
        }
    }

    /// What the objects of the tree take at most, in bytes.
    pub(crate) fn objects(self) -> u64 {
        self.files + self.entries * Self::ENTRY_SIZE
    }
}
