//! A given directory, a mount point perhaps, that is brought to the next commit file by file: each by a rename, what is
//! new before what goes. What others have there stays.

use std::io::{self, BufRead, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use fs_err::File;
use sync_core::{CommitId, Interrupt, Store, Worktree};

use super::replica::{Found, Paths, Replica, TEMPORARY, list, plain};
use super::{Manner, refuse_own};

/// The directory, and what is remembered of it.
#[derive(Debug)]
pub struct InPlace {
    /// Absolute, without symbolic links.
    dir: PathBuf,
    root: PathBuf,
    manner: Manner,
}

/// What is in the directory that was put there by syncline.
#[derive(Debug, Default)]
struct State {
    /// Once all of its files are there and nothing else.
    commit: Option<CommitId>,
    paths: Paths,
}

impl InPlace {
    pub fn open(store: &Store, path: &Path, manner: Manner) -> io::Result<InPlace> {
        let root = store.root().to_owned();
        fs_err::create_dir_all(path)?;
        let mut in_place = InPlace { dir: fs_err::canonicalize(path)?, root, manner };
        refuse_own(store, &in_place.dir)?;
        in_place.manner.shares_files &= in_place.can_link()?;
        Ok(in_place)
    }

    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Whether the directory can have files in common with the store; an error if none can be made there.
    fn can_link(&self) -> io::Result<bool> {
        let (file, link) = (self.state_file().with_extension("tmp"), self.dir.join(TEMPORARY));
        let _ = fs_err::remove_file(&link);
        fs_err::create_dir_all(file.parent().unwrap_or(&file))?;
        File::create(&file)?;
        let is_linked = fs_err::hard_link(&file, &link).is_ok();
        if !is_linked {
            File::create(&link)?;
        }
        fs_err::remove_file(&link)?;
        fs_err::remove_file(&file)?;
        Ok(is_linked)
    }

    fn state_file(&self) -> PathBuf {
        self.root.join(".worktrees/.in-place")
    }

    /// The commit whose files are all there.
    pub fn named(&self) -> io::Result<Option<CommitId>> {
        Ok(self.remembered()?.and_then(|(commit, _)| commit))
    }

    /// The commit, and the rest of the file that says what is in the directory; nothing if that is another's.
    fn remembered(&self) -> io::Result<Option<(Option<CommitId>, impl BufRead + use<>)>> {
        let mut file = match File::open(self.state_file()) {
            Ok(file) => io::BufReader::new(file),
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(err),
        };
        let (mut dir, mut commit) = (Vec::new(), Vec::new());
        file.read_until(0, &mut dir)?;
        file.read_until(0, &mut commit)?;
        if dir.strip_suffix(b"\0") != Some(self.dir.as_os_str().as_bytes()) {
            return Ok(None);
        }
        let commit = std::str::from_utf8(commit.trim_ascii_end()).ok();
        Ok(Some((commit.and_then(|commit| commit.trim_end_matches('\0').parse().ok()), file)))
    }

    fn read_state(&self) -> io::Result<State> {
        let Some((commit, mut file)) = self.remembered()? else { return Ok(State::default()) };
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let paths = text.split(|byte| *byte == 0).filter(|path| !path.is_empty());
        Ok(State { commit, paths: paths.map(<[u8]>::to_vec).collect() })
    }

    /// It is on disk before anything is done by it.
    fn write_state(&self, state: &State) -> io::Result<()> {
        let (path, temporary) = (self.state_file(), self.state_file().with_extension("tmp"));
        let mut file = io::BufWriter::new(File::create(&temporary)?);
        let commit = state.commit.map(|commit| commit.to_string()).unwrap_or_default();
        let head = [self.dir.as_os_str().as_bytes(), commit.as_bytes()];
        for text in head.into_iter().chain(state.paths.iter().map(Vec::as_slice)) {
            file.write_all(text)?;
            file.write_all(&[0])?;
        }
        file.into_inner()?.sync_all()?;
        fs_err::rename(&temporary, &path)
    }

    /// What the directory is to have of `tree`. Where it is the root, its `.git` is the store.
    fn wanted(&self, tree: &Path) -> io::Result<Paths> {
        let mut paths = list(tree)?;
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

    pub fn is_whole(&self, tree: &Path, interrupt: &Interrupt) -> io::Result<bool> {
        Replica::new(tree, &self.dir, self.manner, interrupt)?.has_all(&self.wanted(tree)?)
    }

    /// Bring the directory to `tree`. If this is interrupted, the next time completes it.
    pub fn bring(&self, tree: &Worktree, interrupt: &Interrupt) -> io::Result<()> {
        let wanted = self.wanted(&tree.path)?;
        let mut before = self.read_state()?;
        let mut replica = Replica::new(&tree.path, &self.dir, self.manner, interrupt)?;
        let due = self.survey(&mut replica, &wanted, &before.paths)?;
        let ours = wanted
            .iter()
            .filter(|path| due.contains(*path) || before.paths.contains(*path) || !plain(path).1);
        let after = State { commit: Some(tree.commit), paths: ours.cloned().collect() };
        before.commit = None;
        before.paths.extend(after.paths.iter().cloned());
        self.write_state(&before)?;
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
        self.write_state(&after)
    }

    /// The store is the repository of the files beside it: git's own commands there find them in order.
    fn explain_to_git(&self, tree: &Worktree) -> io::Result<()> {
        let git = self.root.join(".git");
        fs_err::create_dir_all(git.join("info"))?;
        fs_err::write(git.join("info/exclude"), "/.worktrees/\n")?;
        let temporary = git.join("tmp-index");
        fs_err::copy(git.join(format!("worktrees/{}/index", tree.commit)), &temporary)?;
        fs_err::rename(&temporary, git.join("index"))
    }

    /// What has to be put into its place. What others have there is refused before anything is touched.
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
                // Up to what comes after a slash.
                let mut inside = ours.range([path, b"/"].concat()..[path, b"0"].concat()).rev();
                inside.try_for_each(|inside| replica.remove(inside))
            }
            (Found::OtherFile, (file, true)) => replica.remove(file.as_os_str().as_bytes()),
            _ => Ok(()),
        }
    }
}
