//! Unchanged files come from the last tree by hard links: no inflating, no writing, no new inodes (ext4 makes
//! creating files slow for minutes after deleting many).

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use gix::bstr::{BString, ByteSlice};
use gix::index::State;
use gix::index::entry::{Flags, Mode};

use super::{is_same_file, stat_of, to_path};
use crate::Interrupt;

/// What came from the last tree.
#[derive(Default)]
pub(super) struct Reused {
    pub(super) linked: usize,
    /// Files of the last tree that are not as they were written.
    pub(super) altered: Vec<String>,
}

/// Link every file that `old` and `new` have in common and mark it as done in `new`.
///
/// Link first, check after: linking changes the stat anyway, and the new tree is not visible yet. A file that
/// is not as its index says is left to be written.
pub(super) fn link_unchanged(
    old_dir: &Path,
    old: &State,
    new: &mut State,
    new_dir: &Path,
    file_mode: u32,
    interrupt: &Interrupt,
) -> io::Result<Reused> {
    let mut reused = Reused::default();
    // Attributes decide in which form an unchanged blob is written.
    if attribute_files(old) != attribute_files(new) {
        return Ok(reused);
    }
    let mut parents = Parents { dir: new_dir, last: None };
    let mut candidates = old.entries().iter().peekable();
    let (entries, paths) = new.entries_mut_and_pathbacking();
    for entry in entries {
        let path = entry.path_in(paths);
        while candidates.next_if(|old_entry| old_entry.path(old) < path).is_some() {}
        let Some(old_entry) = candidates.peek().filter(|old_entry| old_entry.path(old) == path) else {
            continue;
        };
        let is_file = matches!(entry.mode, Mode::FILE | Mode::FILE_EXECUTABLE);
        if !is_file
            || entry.flags.contains(Flags::SKIP_WORKTREE)
            || old_entry.id != entry.id
            || old_entry.mode != entry.mode
        {
            continue;
        }
        interrupt.check()?;
        let relative = to_path(path);
        let target = new_dir.join(relative);
        parents.create(relative)?;
        if std::fs::hard_link(old_dir.join(relative), &target).is_err() {
            continue; // gone, or the file system refuses: it is written in full
        }
        let found = fs_err::symlink_metadata(&target)?;
        let mode = if entry.mode == Mode::FILE_EXECUTABLE { executable(file_mode) } else { file_mode };
        if is_same_file(&found, old_entry) && found.permissions().mode() & 0o7777 == mode {
            entry.stat = stat_of(&target)?;
            entry.flags.insert(Flags::SKIP_WORKTREE);
            reused.linked += 1;
        } else {
            fs_err::remove_file(&target)?;
            reused.altered.push(path.to_string());
        }
    }
    Ok(reused)
}

/// Whoever may read may execute.
fn executable(file_mode: u32) -> u32 {
    file_mode | (file_mode & 0o444) >> 2
}

fn attribute_files(index: &State) -> Vec<(BString, gix::ObjectId)> {
    let attributes = index.entries_with_paths_by_filter_map(|path, entry| {
        (path.rsplit_str("/").next() == Some(b".gitattributes")).then_some(entry.id)
    });
    attributes.map(|(path, id)| (path.to_owned(), id)).collect()
}

/// Creates directories, each once as long as the paths come sorted.
pub(super) struct Parents<'a> {
    pub(super) dir: &'a Path,
    pub(super) last: Option<PathBuf>,
}

impl Parents<'_> {
    pub(super) fn create(&mut self, file: &Path) -> io::Result<()> {
        let parent = file.parent().unwrap_or(Path::new(""));
        if self.last.as_deref() != Some(parent) {
            fs_err::create_dir_all(self.dir.join(parent))?;
            self.last = Some(parent.to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permission_to_execute_follows_permission_to_read() {
        for (file, exec) in [(0o644, 0o755), (0o664, 0o775), (0o600, 0o700), (0o640, 0o750)] {
            assert_eq!(executable(file), exec);
        }
    }
}
