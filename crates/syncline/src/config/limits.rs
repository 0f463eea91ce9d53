//! How much a commit may come to.

use sync_core::Limits;

use super::faults::Reader;
use super::values;

pub fn limits(r: &mut Reader) -> Limits {
    let usual = Limits::default();
    Limits {
        files: r.or("max-files", usual.files, values::count),
        tree_size: r.or("max-tree-size", usual.tree_size, values::size),
        blob_size: r.or("max-blob-size", usual.blob_size, values::size),
        pack_size: r.or("max-pack-size", usual.pack_size, values::size),
        submodules: r.or("max-submodules", usual.submodules, values::count),
    }
}
