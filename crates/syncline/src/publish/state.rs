//! The state file of a directory that is published in place. It lists the files that syncline owns there.

use std::io::{self, BufRead, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use fs_err::File;
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use sync_core::{CommitId, Subdirectory, relative_path};

use super::replica::Paths;
use super::{is_temporary_name, temporary_name};
use crate::touch_and_error_files::remove_if_there;

/// The first field of the file: its version. Older files begin with the absolute path of the directory and the commit.
const FORM: &[u8] = b"2";

/// What syncline has put into the directory.
#[derive(Debug, Default)]
pub struct State {
    /// The commit, once all of its files are there and no others of ours.
    pub commit: Option<CommitId>,
    /// Which directory of the commit these files are; `None` for its whole tree.
    pub subdirectory: Option<Subdirectory>,
    /// The temporary name of files, while the directory is being updated.
    pub temporary: Option<String>,
    pub paths: Paths,
}

/// The state file, and how it identifies the directory.
#[derive(Debug)]
pub struct Memory {
    file: PathBuf,
    dir: PathBuf,
    /// Relative to the root: it stays the same if a volume with both is mounted elsewhere.
    way: PathBuf,
    /// Inode and time of birth: they stay the same if a volume with the directory alone is mounted elsewhere. Empty if
    /// unknown.
    birth: String,
}

impl Memory {
    /// For the directory `dir` and the store under `root`, both absolute and without symbolic links.
    pub fn new(root: &Path, dir: &Path) -> Memory {
        let (file, way) = (root.join(".worktrees/.in-place"), relative_path(root, dir));
        Memory { file, dir: dir.to_owned(), way, birth: birth(dir).unwrap_or_default() }
    }

    /// The state without its paths; an empty one if the file is that of another directory.
    pub fn head(&self) -> io::Result<State> {
        Ok(self.open()?.map(|(state, _)| state).unwrap_or_default())
    }

    /// The state; an empty one if the file is that of another directory.
    pub fn read(&self) -> io::Result<State> {
        let Some((mut state, mut file)) = self.open()? else { return Ok(State::default()) };
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let paths = text.split(|byte| *byte == 0).filter(|path| !path.is_empty());
        state.paths = paths.map(<[u8]>::to_vec).collect();
        Ok(state)
    }

    /// The state without its paths, and the rest of the file, which lists them; `None` if the file is that of another
    /// directory.
    fn open(&self) -> io::Result<Option<(State, impl BufRead + use<>)>> {
        let mut file = match File::open(&self.file) {
            Ok(file) => io::BufReader::new(file),
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(err),
        };
        let mut field = || {
            let mut text = Vec::new();
            file.read_until(0, &mut text)?;
            io::Result::Ok(text.strip_suffix(b"\0").unwrap_or_default().to_vec())
        };
        let first = field()?;
        let (is_ours, temporary) = if first == FORM {
            let (way, birth, temporary) = (field()?, text(field()?), text(field()?));
            let is_ours =
                way == self.way.as_os_str().as_bytes() || (!birth.is_empty() && birth == self.birth);
            (is_ours, Some(temporary).filter(|name| is_temporary_name(name)))
        } else {
            (first == self.dir.as_os_str().as_bytes(), None)
        };
        let (commit, subdirectory) = parse_shown(&text(field()?));
        Ok(is_ours.then_some((State { commit, subdirectory, temporary, paths: Paths::new() }, file)))
    }

    /// Write the state to disk before anything is changed.
    pub fn write(&self, state: &State) -> io::Result<()> {
        let temporary = self.file.with_extension("tmp");
        let mut file = io::BufWriter::new(File::create(&temporary)?);
        let shown = show(state);
        let way = self.way.as_os_str().as_bytes();
        let name = state.temporary.as_deref().unwrap_or_default();
        let head = [FORM, way, self.birth.as_bytes(), name.as_bytes(), shown.as_bytes()];
        for text in head.into_iter().chain(state.paths.iter().map(Vec::as_slice)) {
            file.write_all(text)?;
            file.write_all(&[0])?;
        }
        file.into_inner()?.sync_all()?;
        fs_err::rename(&temporary, &self.file)
    }

    /// Whether files of the store can be hard-linked into the directory; an error if no file can be created there.
    pub fn can_link(&self) -> io::Result<bool> {
        let probe = self.file.with_extension("probe");
        self.clear_probe(&probe)?;
        fs_err::create_dir_all(probe.parent().unwrap_or(&probe))?;
        // A killed process leaves at most a file of this name, which the next one recognises.
        let name = temporary_name();
        let mut file = File::create(&probe)?;
        file.write_all(name.as_bytes())?;
        file.sync_all()?;
        let link = self.dir.join(name);
        let is_linked = fs_err::hard_link(&probe, &link).is_ok();
        if !is_linked {
            File::create_new(&link)?;
        }
        self.clear_probe(&probe)?;
        Ok(is_linked)
    }

    fn clear_probe(&self, probe: &Path) -> io::Result<()> {
        let Ok(name) = fs_err::read_to_string(probe) else { return Ok(()) };
        if is_temporary_name(&name) {
            remove_if_there(&self.dir.join(&name))?;
        }
        fs_err::remove_file(probe)
    }
}

/// What is shown, as git writes a tree: `<commit>`, or `<commit>:<subdirectory>`. A version without subdirectories
/// reads no commit from the second, and completes the update as if it had been interrupted.
fn show(state: &State) -> String {
    match (state.commit, &state.subdirectory) {
        (Some(commit), Some(subdirectory)) => format!("{commit}:{subdirectory}"),
        (Some(commit), None) => commit.to_string(),
        (None, _) => String::new(),
    }
}

/// The commit and its subdirectory; neither if the text makes no sense.
fn parse_shown(text: &str) -> (Option<CommitId>, Option<Subdirectory>) {
    let Some((commit, subdirectory)) = text.split_once(':') else { return (text.parse().ok(), None) };
    match (commit.parse(), subdirectory.parse()) {
        (Ok(commit), Ok(subdirectory)) => (Some(commit), Some(subdirectory)),
        _ => (None, None),
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_default()
}

/// Inode numbers are reused, but not together with the time of birth. Device numbers change at every boot.
fn birth(dir: &Path) -> Option<String> {
    let found = statx(CWD, dir, AtFlags::empty(), StatxFlags::INO | StatxFlags::BTIME).ok()?;
    let (number, born) = (found.stx_ino, found.stx_btime);
    let is_known = found.stx_mask & StatxFlags::BTIME.bits() != 0;
    is_known.then(|| format!("{number} {}.{:09}", born.tv_sec, born.tv_nsec))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root and a directory of their own.
    fn places() -> (tempfile::TempDir, [PathBuf; 2]) {
        let scratch = tempfile::tempdir().unwrap();
        let places = ["root", "site"].map(|name| fs_err::canonicalize(scratch.path()).unwrap().join(name));
        fs_err::create_dir_all(places[0].join(".worktrees")).unwrap();
        fs_err::create_dir_all(&places[1]).unwrap();
        (scratch, places)
    }

    fn state() -> State {
        let commit = "0123456789abcdef0123456789abcdef01234567".parse().ok();
        let paths = Paths::from([b"a".to_vec(), b"dir/".to_vec(), b"dir/b".to_vec()]);
        State { commit, subdirectory: None, temporary: Some(temporary_name()), paths }
    }

    #[test]
    fn a_directory_is_known_by_its_way_from_the_root_or_by_its_birth() {
        let (_scratch, [root, site]) = places();
        let written = Memory::new(&root, &site);
        let state = state();
        written.write(&state).unwrap();
        let with = |way: &str, birth: &str| Memory {
            file: written.file.clone(),
            dir: "/elsewhere/site".into(),
            way: way.into(),
            birth: birth.into(),
        };
        for (known, memory) in [
            (true, with("../site", "7 7.7")),
            (true, with("../site", "")),
            (!written.birth.is_empty(), with("../www", &written.birth)),
            (false, with("../www", "7 7.7")),
            (false, with("../www", "")),
        ] {
            let read = memory.read().unwrap();
            let expected = if known { &state } else { &State::default() };
            assert_eq!(
                (read.commit, &read.temporary, &read.paths),
                (expected.commit, &expected.temporary, &expected.paths),
                "{memory:?}"
            );
        }
    }

    #[test]
    fn an_older_file_with_an_absolute_path_is_read() {
        let (_scratch, [root, site]) = places();
        let (memory, state) = (Memory::new(&root, &site), state());
        for (dir, is_ours) in [(site.to_str().unwrap(), true), ("/elsewhere", false)] {
            let text = format!("{dir}\0{}\0a\0dir/\0dir/b\0", state.commit.unwrap());
            fs_err::write(&memory.file, text).unwrap();
            let read = memory.read().unwrap();
            assert_eq!((read.commit == state.commit, read.paths == state.paths), (is_ours, is_ours), "{dir}");
            assert_eq!(memory.head().unwrap().commit.is_some(), is_ours);
        }
    }

    #[test]
    fn the_subdirectory_is_kept_with_the_commit() {
        let (_scratch, [root, site]) = places();
        let memory = Memory::new(&root, &site);
        for subdirectory in [None, Some("a"), Some("a:b/c")] {
            let subdirectory = subdirectory.map(|path| path.parse().unwrap());
            let state = State { subdirectory, ..state() };
            memory.write(&state).unwrap();
            let read = memory.read().unwrap();
            assert_eq!((read.commit, &read.subdirectory), (state.commit, &state.subdirectory));
            assert_eq!(read.paths, state.paths);
        }
        for text in ["x", "x:a", &format!("{}:/a", state().commit.unwrap()), ":a", ""] {
            assert_eq!(parse_shown(text), (None, None), "{text}");
        }
    }

    #[test]
    fn a_probe_that_a_killed_process_left_goes_and_nothing_else_does() {
        let (_scratch, [root, site]) = places();
        let memory = Memory::new(&root, &site);
        let left = temporary_name();
        for name in [left.as_str(), "mine", ".syncline-tmp", ".syncline-mine"] {
            fs_err::write(site.join(name), "").unwrap();
        }
        fs_err::write(memory.file.with_extension("probe"), &left).unwrap();
        assert!(memory.can_link().unwrap());
        let mut names: Vec<_> =
            fs_err::read_dir(&site).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".syncline-mine", ".syncline-tmp", "mine"]);
        assert_eq!(fs_err::read_dir(root.join(".worktrees")).unwrap().count(), 0);
    }
}
