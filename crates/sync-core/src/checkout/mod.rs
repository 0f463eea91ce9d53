//! From a fetched commit to a complete tree of files under its final name.
//!
//! A tree is built beside its place: files that the last tree has already are linked ([`reuse`]), files in a
//! form that gix does not write are written here ([`filter`]), gix writes the rest. Symbolic links come last,
//! so nothing is ever written through one. The name is the mark: a tree under its final name is complete.

mod filter;
mod reuse;

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use gix::bstr::{BStr, ByteSlice};
use gix::index::entry::{Flags, Mode, Stat};

use crate::error::{Context, Error, Recovery, Result};
use crate::fetch::Fetched;
use crate::objects::threads;
use crate::progress::{Progress, Stage};
use crate::store::{Store, remove_dir_if_there};
use crate::{CommitId, Interrupt};

/// A complete tree under its final name. It is never written again.
#[derive(Clone, Debug)]
pub struct Worktree {
    /// The commit whose tree this is.
    pub commit: CommitId,
    /// The absolute path of the tree.
    pub path: PathBuf,
    /// How many files were written.
    pub written: usize,
    /// How many files are shared with the last tree by hard links.
    pub linked: usize,
    /// Files of the last tree that somebody altered, and which were therefore written anew.
    pub altered: Vec<String>,
}

/// Make the tree of `fetched`. `last` is the tree published now, whose unchanged files are shared.
///
/// A tree of this commit that is there already is kept as it is when nobody altered it; otherwise a new one is
/// built beside it and exchanged for it in one step. After an error the final name is as it was.
pub fn checkout(
    store: &Store,
    fetched: &Fetched,
    last: Option<CommitId>,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<Worktree> {
    let id = fetched.commit;
    let step = || format!("check out {id}");
    let path = store.tree_path(id);
    if path.exists() && is_intact(store, id, interrupt) {
        return Ok(Worktree { commit: id, path, written: 0, linked: 0, altered: Vec::new() });
    }
    progress.enter(Stage::Writing);
    let repo = store.repository()?;
    let tree = repo
        .find_commit(id.0)
        .and_then(|commit| Ok(commit.tree_id()?.detach()))
        .map_err(|err| missing(id, &err))?;
    let mut index = repo.index_from_tree(&tree).map_err(|err| unusable(id, &err))?;
    refuse_clashes(&index).map_err(|text| Error::new(Recovery::Reconfigure, step(), text))?;
    progress.set_total(index.entries().len());

    let building = store.trees_dir().join(format!(".tmp-{id}"));
    let admin_building = store.git_dir().join(format!("tmp-worktree-{id}"));
    remove_dir_if_there(&building).step(step)?;
    remove_dir_if_there(&admin_building).step(step)?;
    let outcome = fs_err::create_dir(&building).step(step).and_then(|()| {
        let build = Build { repo: &repo, store, id, dir: &building, progress, interrupt };
        let made = build.tree(&mut index, last.filter(|last| *last != id))?;
        build.admin(&mut index, &admin_building)?;
        interrupt.check().step(step)?;
        install(store, id, &building, &admin_building).step(step)?;
        Ok(made)
    });
    if outcome.is_err() {
        // Give the space back at once; the disk may be full. What stays is cleared at the next start.
        let _ = remove_dir_if_there(&building);
        let _ = remove_dir_if_there(&admin_building);
    }
    outcome
}

/// The files of a published tree that are missing or were altered, compared by stat with its index; at most
/// ten of them. An error stands for a tree that cannot be compared at all.
pub fn altered_files(store: &Store, id: CommitId, interrupt: &Interrupt) -> Result<Vec<String>> {
    let step = || format!("compare {} with its index", store.tree_path(id).display());
    let head = fs_err::read_to_string(store.admin_dir(id).join("HEAD")).step(step)?;
    if head.trim_end() != id.to_string() || !store.tree_path(id).join(".git").is_file() {
        return Err(Error::new(Recovery::Retry, step(), "its .git file or HEAD was altered"));
    }
    let index = read_index(store, id).step(step)?;
    let root = store.tree_path(id);
    let mut altered = Vec::new();
    for entry in index.entries().iter().filter(|entry| !entry.flags.contains(Flags::SKIP_WORKTREE)) {
        interrupt.check().step(step)?;
        let path = root.join(to_path(entry.path(&index)));
        let is_same = match entry.mode {
            Mode::COMMIT => path.is_dir(),
            _ => fs_err::symlink_metadata(path).is_ok_and(|found| is_same_file(&found, entry)),
        };
        if !is_same {
            altered.push(entry.path(&index).to_string());
            if altered.len() == 10 {
                break;
            }
        }
    }
    Ok(altered)
}

fn is_intact(store: &Store, id: CommitId, interrupt: &Interrupt) -> bool {
    altered_files(store, id, interrupt).is_ok_and(|files| files.is_empty())
}

fn read_index(store: &Store, id: CommitId) -> gix::Result<gix::index::File> {
    gix::index::File::at(store.admin_dir(id).join("index"), id.0.kind(), false, Default::default())
}

/// The bytes of all files of a published tree, as its index has them: of a file of 4 GiB or more only what is
/// beyond that. 0 for a tree that is not there.
pub fn tree_size(store: &Store, id: CommitId) -> u64 {
    read_index(store, id)
        .map_or(0, |index| index.entries().iter().map(|entry| u64::from(entry.stat.size)).sum())
}

/// Content is taken as unchanged when type, permission to execute, size, time and inode are.
fn is_same_file(found: &std::fs::Metadata, entry: &gix::index::Entry) -> bool {
    let kind = match entry.mode {
        Mode::SYMLINK => found.is_symlink(),
        mode => {
            found.is_file() && (found.permissions().mode() & 0o100 != 0) == (mode == Mode::FILE_EXECUTABLE)
        }
    };
    // The index keeps the low 32 bits of each.
    kind && found.size() as u32 == entry.stat.size
        && found.mtime() as u32 == entry.stat.mtime.secs
        && found.mtime_nsec() as u32 == entry.stat.mtime.nsecs
        && found.ino() as u32 == entry.stat.ino
}

fn to_path(path: &BStr) -> &Path {
    Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(path))
}

fn missing(id: CommitId, err: &gix::Error) -> Error {
    Error::reading(format!("read the tree of {id}"), err)
}

/// A tree that cannot be read is damage; one whose paths may not be written is not.
fn unusable(id: CommitId, err: &gix::Error) -> Error {
    if err.is_validation() {
        let causes = Error::gix(String::new(), err);
        return Error::new(Recovery::Reconfigure, format!("check out {id}"), causes.cause());
    }
    missing(id, err)
}

/// git's trees are sorted, but a hostile one may name a file and a directory alike, or one path twice.
fn refuse_clashes(index: &gix::index::State) -> std::result::Result<(), String> {
    for pair in index.entries().windows(2) {
        if pair[0].path(index) == pair[1].path(index) {
            return Err(format!("the tree names {:?} twice", pair[0].path(index)));
        }
    }
    for entry in index.entries() {
        let mut prefix = entry.path(index).to_owned();
        prefix.push(b'/');
        if index.prefixed_entries_range(prefix.as_bstr()).is_some_and(|range| !range.is_empty()) {
            return Err(format!("the tree names {:?} as a file and as a directory", entry.path(index)));
        }
    }
    Ok(())
}

/// What the steps of building one tree share.
struct Build<'a> {
    repo: &'a gix::Repository,
    store: &'a Store,
    id: CommitId,
    dir: &'a Path,
    progress: &'a Progress,
    interrupt: &'a Interrupt,
}

impl Build<'_> {
    fn tree(&self, index: &mut gix::index::File, last: Option<CommitId>) -> Result<Worktree> {
        let step = || format!("write the tree of {} to {}", self.id, self.dir.display());
        let pointer = self.dir.join(".git");
        fs_err::write(&pointer, format!("gitdir: ../../.git/worktrees/{}\n", self.id)).step(step)?;
        // What a new file's permissions are says what the umask makes of them.
        let file_mode = fs_err::metadata(&pointer).step(step)?.permissions().mode() & 0o777;

        let mut reused = reuse::Reused::default();
        if let Some(last) = last
            && let Ok(old) = read_index(self.store, last)
        {
            reused = reuse::link_unchanged(
                &self.store.tree_path(last),
                &old,
                index,
                self.dir,
                file_mode,
                self.interrupt,
            )
            .step(step)?;
            gix::Count::set(&self.progress.files(), reused.linked);
        }
        let special = filter::write_special(self.repo, index, self.dir, self.interrupt)?;
        let written = special + self.write_rest(index)?;
        self.interrupt.check().step(step)?;
        for entry in index.entries_mut() {
            entry.flags.remove(Flags::SKIP_WORKTREE);
        }
        Ok(Worktree {
            commit: self.id,
            path: self.store.tree_path(self.id),
            written,
            linked: reused.linked,
            altered: reused.altered,
        })
    }

    /// Let gix write what is not marked as done.
    fn write_rest(&self, index: &mut gix::index::File) -> Result<usize> {
        let step = || format!("write the tree of {} to {}", self.id, self.dir.display());
        let options = gix_worktree_state::checkout::Options {
            thread_limit: Some(threads()),
            destination_is_initially_empty: true,
            attributes: filter::attributes().step(step)?,
            validate: gix::validate::path::component::Options {
                protect_windows: false,
                protect_hfs: true,
                protect_ntfs: true,
            },
            fs: gix::fs::Capabilities { ignore_case: false, ..Default::default() },
            ..gix_worktree_state::checkout::Options::new(filter::pipeline(self.repo))
        };
        let objects = self.repo.objects.clone().into_arc().step(step)?;
        let (files, bytes) = (self.progress.files(), self.progress.bytes());
        let outcome = gix_worktree_state::checkout(
            index,
            self.dir,
            objects,
            &files,
            &bytes,
            self.interrupt.flag(),
            options,
        )
        .map_err(|err| {
            // An error of the file system is one of writing.
            let is_writing = err.downcast_any_ref::<io::Error>().is_some();
            if is_writing { Error::gix(step(), &err) } else { Error::reading(step(), &err) }
        })?;
        // gix returns Ok for an interrupted checkout and for one with collisions.
        self.interrupt.check().step(step)?;
        if let Some(collision) = outcome.collisions.first() {
            let text = format!("{:?} clashes with another path: {}", collision.path, collision.error_kind);
            return Err(Error::new(Recovery::Reconfigure, step(), text));
        }
        if let Some(record) = outcome.errors.first() {
            return Err(Error::gix(format!("write {:?} of {}", record.path, self.id), &record.error));
        }
        Ok(outcome.files_updated)
    }

    /// What makes the tree a worktree to git.
    fn admin(&self, index: &mut gix::index::File, dir: &Path) -> Result<()> {
        let step = || format!("write {}", dir.display());
        fs_err::create_dir(dir).step(step)?;
        fs_err::write(dir.join("HEAD"), format!("{}\n", self.id)).step(step)?;
        fs_err::write(dir.join("commondir"), "../..\n").step(step)?;
        let pointer = self.store.tree_path(self.id).join(".git");
        fs_err::write(dir.join("gitdir"), format!("{}\n", pointer.display())).step(step)?;
        index.set_path(dir.join("index"));
        index.write(gix::index::write::Options::default()).step(step)
    }
}

/// Give both halves of the worktree their final names, in place of what may be there.
fn install(store: &Store, id: CommitId, tree: &Path, admin: &Path) -> io::Result<()> {
    let (final_tree, final_admin) = (store.tree_path(id), store.admin_dir(id));
    remove_dir_if_there(&final_admin)?;
    fs_err::create_dir_all(store.git_dir().join("worktrees"))?;
    fs_err::rename(admin, &final_admin)?;
    match fs_err::rename(tree, &final_tree) {
        Ok(()) => Ok(()),
        Err(_) if final_tree.symlink_metadata().is_ok() => {
            exchange(tree, &final_tree)?;
            remove_dir_if_there(tree)
        }
        Err(err) => Err(err),
    }
}

/// Readers of `there` see the old or the new; on file systems that cannot exchange, there is a moment of
/// neither.
fn exchange(here: &Path, there: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    if renameat_with(CWD, here, CWD, there, RenameFlags::EXCHANGE).is_ok() {
        return Ok(());
    }
    // Should this be the end of us, `Store::open` puts it back.
    let aside = here.with_extension("old");
    fs_err::rename(there, &aside)?;
    fs_err::rename(here, there).inspect_err(|_| {
        let _ = fs_err::rename(&aside, there);
    })?;
    fs_err::rename(&aside, here)
}

/// The stat of a file just made, for the index.
fn stat_of(path: &Path) -> io::Result<Stat> {
    Stat::from_fs(&gix::index::fs::Metadata::from_path_no_follow(path)?).map_err(io::Error::other)
}
