//! Unchanged files come from the last tree by hard links: no inflating, no writing, no new inodes (ext4 makes
//! creating files slow for minutes after deleting many).

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use gix::bstr::{BString, ByteSlice};
use gix::index::State;
use gix::index::entry::{Flags, Mode, Stat};
use rustix::fs::{AtFlags, Mode as RawMode, OFlags, linkat, statat, unlinkat};

use super::{index_stat, is_same_file, to_path};
use crate::Interrupt;
use crate::objects::threads;

/// What came from the last tree.
#[derive(Default)]
pub(super) struct Reused {
    pub(super) linked: usize,
    /// Files of the last tree that are not as they were written.
    pub(super) altered: Vec<String>,
}

/// A file that two trees have in common: its place in the new index and in the old.
type Pair = (usize, usize);

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
    // Attributes decide in which form an unchanged blob is written.
    if attribute_files(old) != attribute_files(new) {
        return Ok(Reused::default());
    }
    let pairs = in_common(old, new);
    let mut parents = Parents { dir: new_dir, last: None };
    for (at, _) in &pairs {
        parents.create(to_path(new.entries()[*at].path(new)))?;
    }
    let share = pairs.len().div_ceil(threads()).max(1);
    let linker = Linker { old_dir, old, new: &*new, new_dir, file_mode, interrupt };
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let started: Vec<_> = pairs.chunks(share).map(|pairs| scope.spawn(|| linker.link(pairs))).collect();
        started.into_iter().map(|thread| thread.join()).collect()
    });
    let mut reused = Reused::default();
    for outcome in outcomes {
        let Linked { stats, altered } = outcome.map_err(|_| io::Error::other("a linking thread died"))??;
        reused.linked += stats.len();
        reused.altered.extend(altered);
        for (at, stat) in stats {
            let entry = &mut new.entries_mut()[at];
            entry.stat = stat;
            entry.flags.insert(Flags::SKIP_WORKTREE);
        }
    }
    Ok(reused)
}

/// Files with the same path, content and mode.
fn in_common(old: &State, new: &State) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let mut candidates = old.entries().iter().enumerate().peekable();
    for (at, entry) in new.entries().iter().enumerate() {
        let path = entry.path(new);
        while candidates.next_if(|(_, candidate)| candidate.path(old) < path).is_some() {}
        let Some((old_at, found)) = candidates.peek().filter(|(_, candidate)| candidate.path(old) == path)
        else {
            continue;
        };
        let is_file = matches!(entry.mode, Mode::FILE | Mode::FILE_EXECUTABLE);
        let is_done = entry.flags.contains(Flags::SKIP_WORKTREE);
        if is_file && !is_done && found.id == entry.id && found.mode == entry.mode {
            pairs.push((at, *old_at));
        }
    }
    pairs
}

/// What one thread did: the stats of new files by their place in the index.
struct Linked {
    stats: Vec<(usize, Stat)>,
    altered: Vec<String>,
}

struct Linker<'a> {
    old_dir: &'a Path,
    old: &'a State,
    new: &'a State,
    new_dir: &'a Path,
    file_mode: u32,
    interrupt: &'a Interrupt,
}

impl Linker<'_> {
    fn link(&self, pairs: &[Pair]) -> io::Result<Linked> {
        let (mut stats, mut altered) = (Vec::with_capacity(pairs.len()), Vec::new());
        let mut open: Option<(&[u8], Option<[OwnedFd; 2]>)> = None;
        for (at, old_at) in pairs {
            self.interrupt.check()?;
            let (path, old_entry) = (self.new.entries()[*at].path(self.new), &self.old.entries()[*old_at]);
            let split = path.rfind_byte(b'/').map_or(0, |at| at + 1);
            let (parent, name) = path.split_at(split);
            if open.as_ref().is_none_or(|(known, _)| *known != parent) {
                open = Some((parent, self.open(parent)?));
            }
            let Some((_, Some([from, to]))) = &open else { continue };
            if linkat(from, name, to, name, AtFlags::empty()).is_err() {
                continue; // gone, or the file system refuses: it is written in full
            }
            let found = statat(to, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if is_same_file(&found, old_entry, self.file_mode) {
                stats.push((*at, index_stat(&found)));
            } else {
                unlinkat(to, name, AtFlags::empty())?;
                altered.push(path.to_string());
            }
        }
        Ok(Linked { stats, altered })
    }

    /// The same directory of both trees; `None` where the old one is gone.
    fn open(&self, parent: &[u8]) -> io::Result<Option<[OwnedFd; 2]>> {
        let open = |dir: &Path| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::open(dir.join(to_path(parent.as_bstr())), flags, RawMode::empty())
        };
        let Ok(old) = open(self.old_dir) else { return Ok(None) };
        Ok(Some([old, open(self.new_dir)?]))
    }
}

/// Whoever may read may execute.
pub(crate) fn executable(file_mode: u32) -> u32 {
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
