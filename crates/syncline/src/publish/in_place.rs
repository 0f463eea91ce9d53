//! A directory, perhaps a mount point, that is updated file by file, each by one rename. New files come before old ones
//! are removed. Files of other programs in it stay.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sync_core::{CommitId, Interrupt, Publisher, Store, Subdirectory, Worktree};

use super::replica::{Found, Paths, Replica, list, plain};
use super::state::{Memory, State};
use super::{CopyOptions, refuse_own, shown_part};
use crate::touch_and_error_files::remove_if_there;

/// A directory, a mount point perhaps, whose files are replaced one by one. Files of others in it stay.
#[derive(Debug)]
pub struct InPlace {
    /// Absolute, without symbolic links.
    dir: PathBuf,
    root: PathBuf,
    memory: Memory,
    subdirectory: Option<Subdirectory>,
    options: CopyOptions,
}

impl InPlace {
    /// Publish `subdirectory` of each tree, or all of it, in the directory at `path`, an absolute path.
    ///
    /// # Errors
    ///
    /// If it cannot be made or read, or is one of the store's own.
    pub fn open(
        store: &Store,
        path: &Path,
        subdirectory: Option<Subdirectory>,
        options: CopyOptions,
    ) -> io::Result<InPlace> {
        let root = store.root().to_owned();
        fs_err::create_dir_all(path)?;
        let dir = fs_err::canonicalize(path)?;
        refuse_own(store, &dir)?;
        let memory = Memory::new(&root, &dir);
        let shares_files = memory.can_link()? && options.shares_files;
        let options = CopyOptions { shares_files, ..options };
        Ok(InPlace { dir, root, memory, subdirectory, options })
    }

    /// The paths of `part`, a tree or its subdirectory, that the directory gets. If it is the root, its `.git` is the
    /// store.
    fn wanted(&self, part: &Path) -> io::Result<Paths> {
        let mut paths = list(part)?;
        if self.dir == self.root {
            paths.remove(&b".git"[..]);
        }
        let own = [".git", ".worktrees"].map(|own| self.root.join(own));
        match paths.iter().map(|path| plain(path).0).find(|path| own.contains(&self.dir.join(path))) {
            Some(path) => {
                let text = format!("the commit has {}, where syncline keeps its own files", path.display());
                Err(io::Error::other(text))
            }
            None => Ok(paths),
        }
    }

    /// Write an index and an exclude file, so that git commands in the root find the files clean. The paths of a
    /// subdirectory are not those of the commit, so it gets no index.
    fn explain_to_git(&self, tree: &Worktree) -> io::Result<()> {
        let git = self.root.join(".git");
        fs_err::create_dir_all(git.join("info"))?;
        fs_err::write(git.join("info/exclude"), "/.worktrees/\n")?;
        if self.subdirectory.is_some() {
            return remove_if_there(&git.join("index"));
        }
        let temporary = git.join("tmp-index");
        fs_err::copy(git.join(format!("worktrees/{}/index", tree.commit)), &temporary)?;
        fs_err::rename(&temporary, git.join("index"))
    }

    /// The paths that have to be written. Files of other programs in their way are an error, before anything is changed.
    fn survey(&self, replica: &mut Replica, wanted: &Paths, ours: &Paths) -> io::Result<Paths> {
        let mut due = Paths::new();
        for path in wanted {
            let is_foreign = match replica.look(path)? {
                Found::Same => continue,
                Found::Nothing => false,
                Found::OtherFile => !ours.contains(plain(path).0.as_os_str().as_bytes()),
                Found::OtherDirectory => {
                    let inside = list(&self.dir.join(plain(path).0))?;
                    let own = |inside: &Vec<u8>| ours.contains(&[path, &b"/"[..], inside].concat());
                    !ours.contains(&[path, &b"/"[..]].concat()) || !inside.iter().all(own)
                }
            };
            if is_foreign {
                let path = self.dir.join(plain(path).0);
                let text = format!("{} is in the way, and is not syncline's; move it away", path.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
            }
            due.insert(path.clone());
        }
        Ok(due)
    }

    /// A file cannot take a directory's place in one step, nor a directory a file's.
    fn make_room(&self, replica: &mut Replica, path: &[u8], ours: &Paths) -> io::Result<()> {
        match (replica.look(path)?, plain(path)) {
            (Found::OtherDirectory, _) => {
                // All paths below `path`: the byte after `/` is `0`.
                let mut inside = ours.range([path, b"/"].concat()..[path, b"0"].concat()).rev();
                inside.try_for_each(|inside| replica.remove(inside))
            }
            (Found::OtherFile, (file, true)) => replica.remove(file.as_os_str().as_bytes()),
            _ => Ok(()),
        }
    }
}

impl Publisher for InPlace {
    fn path(&self) -> &Path {
        &self.dir
    }

    /// The commit whose files are all there, and no others of ours.
    fn named(&self, _: &Store) -> io::Result<Option<CommitId>> {
        Ok(self.memory.head()?.commit)
    }

    fn is_intact(&self, tree: &Path, interrupt: &Interrupt) -> io::Result<bool> {
        if self.memory.head()?.subdirectory != self.subdirectory {
            return Ok(false);
        }
        let Ok(part) = shown_part(tree, self.subdirectory.as_ref()) else { return Ok(false) };
        Replica::new(&part, &self.dir, self.options, interrupt)?.has_all(&self.wanted(&part)?)
    }

    /// Update the directory to `tree`, or to its subdirectory. The next update completes one that was interrupted.
    fn publish(&mut self, tree: &Worktree, interrupt: &Interrupt) -> io::Result<()> {
        let part = shown_part(&tree.path, self.subdirectory.as_ref())?;
        let wanted = self.wanted(&part)?;
        let mut before = self.memory.read()?;
        let mut replica = Replica::new(&part, &self.dir, self.options, interrupt)?;
        if let Some(left) = &before.temporary {
            replica.clear(left, &before.paths)?;
        }
        let due = self.survey(&mut replica, &wanted, &before.paths)?;
        let ours = wanted
            .iter()
            .filter(|path| due.contains(*path) || before.paths.contains(*path) || !plain(path).1);
        let after = State {
            commit: Some(tree.commit),
            subdirectory: self.subdirectory.clone(),
            temporary: None,
            paths: ours.cloned().collect(),
        };
        before.commit = None;
        before.temporary = Some(replica.temporary().to_owned());
        before.paths.extend(after.paths.iter().cloned());
        self.memory.write(&before)?;
        for path in &due {
            self.make_room(&mut replica, path, &before.paths)?;
            replica.put(path)?;
        }
        for path in before.paths.iter().rev().filter(|path| !wanted.contains(*path)) {
            replica.remove(path)?;
        }
        if self.dir == self.root {
            self.explain_to_git(tree)?;
        }
        self.memory.write(&after)
    }
}
