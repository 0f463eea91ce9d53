//! What the admin directory of a tree says about its files of Git LFS.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use crate::fs_ext::{entries, if_there};
use crate::lfs::Oid;
use crate::lfs::endpoint::RepositoryConfig;
use crate::spec::lfs::LfsSelection;

/// The name of the file.
const FILE: &str = "info/lfs";

/// Which files of a tree have their content. A tree that was made without Git LFS has none.
#[derive(Debug, PartialEq)]
pub(super) struct LfsNote {
    /// What the user selected.
    selection: String,
    /// What `.lfsconfig` took away from it.
    config: String,
    /// Objects that the tree has copies of.
    pub(super) copied: HashSet<Oid>,
    /// Objects that the server did not have.
    pub(super) missing: HashSet<Oid>,
}

impl LfsNote {
    pub(super) fn new(selection: &LfsSelection, config: &RepositoryConfig) -> Self {
        let (copied, missing) = Default::default();
        LfsNote { selection: selection.summary(), config: config.summary(), copied, missing }
    }

    /// Read the note of a tree.
    pub(super) fn read(admin: &Path) -> io::Result<Option<Self>> {
        let Some(text) = if_there(fs_err::read_to_string(admin.join(FILE)))? else { return Ok(None) };
        let all = |key: &'static str| text.lines().filter_map(move |line| line.strip_prefix(key));
        let first = |key| all(key).next().unwrap_or_default().to_owned();
        let ids = |key| all(key).filter_map(Oid::from_hex).collect();
        Ok(Some(LfsNote {
            selection: first("selection "),
            config: first("config "),
            copied: ids("copied "),
            missing: ids("missing "),
        }))
    }

    pub(super) fn write(&self, admin: &Path) -> io::Result<()> {
        let mut text = format!("selection {}\nconfig {}\n", self.selection, self.config);
        for (key, ids) in [("copied", &self.copied), ("missing", &self.missing)] {
            ids.iter().for_each(|oid| text.push_str(&format!("{key} {oid}\n")));
        }
        fs_err::create_dir_all(admin.join("info"))?;
        fs_err::write(admin.join(FILE), text)
    }

    /// Whether the files of a tree with this note are what `other` asks for.
    pub(super) fn serves(&self, other: &LfsNote) -> bool {
        (&self.selection, &self.config) == (&other.selection, &other.config) && self.missing.is_empty()
    }

    /// Whether the user selects the same now.
    pub(super) fn is_of(&self, selection: &LfsSelection) -> bool {
        self.selection == selection.summary()
    }
}

/// The objects that the trees of a repository have copies of.
pub(super) fn copied_objects(git: &Path) -> io::Result<HashSet<Oid>> {
    let mut copied = HashSet::new();
    for admin in entries(&git.join("worktrees"))? {
        copied.extend(LfsNote::read(&admin?.path())?.into_iter().flat_map(|note| note.copied));
    }
    Ok(copied)
}
