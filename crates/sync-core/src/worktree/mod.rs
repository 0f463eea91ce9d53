//! The files of a worktree and their index entries: modes, stats and the index file.

pub(crate) mod entry;
pub(crate) mod index_file;
pub(crate) mod tree_size;
