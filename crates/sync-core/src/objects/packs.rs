//! The pack files of a directory.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::fs_ext::{entries, remove_if_there};

/// The packs of a directory. A pack without an index does not count.
pub(crate) fn packs(dir: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let names: BTreeSet<PathBuf> = entries(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    let is_pack = |path: &&PathBuf| path.extension() == Some("pack".as_ref());
    let has_index = |path: &&PathBuf| names.contains(&path.with_extension("idx"));
    Ok(names.iter().filter(is_pack).filter(has_index).cloned().collect())
}

/// Remove a pack and its accompanying files.
pub(crate) fn remove_pack(pack: &Path) -> io::Result<()> {
    // The index goes first: a kill in between must not leave an index without a pack.
    for extension in ["idx", "rev", "bitmap", "promisor", "pack"] {
        remove_if_there(&pack.with_extension(extension))?;
    }
    Ok(())
}
