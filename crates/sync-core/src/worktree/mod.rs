//! Files of a working tree and the entries of its index: modes, stats, and the index file itself.

pub(crate) mod entry;
pub(crate) mod index_file;
