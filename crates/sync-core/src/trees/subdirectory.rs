//! Whether a commit has the directory that consumers are to read.

use gix::index::State;
use gix::index::entry::{Flags, Mode};

use crate::spec::subdirectory::Subdirectory;

/// Refuse a commit in which `directory` is no directory with files. `index` has the files of all its trees; those that
/// are left out have `SKIP_WORKTREE`. The error is a sentence for users.
pub(super) fn check(index: &State, directory: &Subdirectory) -> Result<(), String> {
    let files = || index.entries().iter().filter(|entry| directory.holds(entry.path(index)));
    if files().next().is_none() {
        return Err(absence(index, directory));
    }
    if files().all(|entry| entry.flags.contains(Flags::SKIP_WORKTREE)) {
        return Err("the sparse patterns leave out all of it; add it to them".into());
    }
    Ok(())
}

/// What there is in place of the directory.
fn absence(index: &State, directory: &Subdirectory) -> String {
    let there = directory.levels().find_map(|level| {
        let entry = index.entries().iter().find(|entry| entry.path(index) == level)?;
        Some((level, entry.mode))
    });
    match there {
        Some((path, mode)) => {
            let kind = match mode {
                Mode::SYMLINK => "a symbolic link",
                Mode::COMMIT => "a submodule",
                _ => "a file",
            };
            format!("{path:?} is {kind}, not a directory")
        }
        None => "the commit has no files there".into(),
    }
}

#[cfg(test)]
mod tests {
    use gix::ObjectId;
    use gix::hash::Kind;
    use gix::index::entry::Stat;

    use super::*;

    #[test]
    fn only_a_directory_with_files_will_do() {
        let mut index = State::new(Kind::Sha1);
        for (path, mode, flags) in [
            ("dir/file", Mode::FILE, Flags::empty()),
            ("dir/out/file", Mode::FILE, Flags::SKIP_WORKTREE),
            ("dir/sub", Mode::COMMIT, Flags::empty()),
            ("link", Mode::SYMLINK, Flags::empty()),
        ] {
            let id = ObjectId::empty_blob(Kind::Sha1);
            index.dangerously_push_entry(Stat::default(), id, flags, mode, path.into());
        }
        for (directory, fault) in [
            ("dir", None),
            ("dir/out", Some("the sparse patterns leave out all of it")),
            ("dir/file", Some("\"dir/file\" is a file, not a directory")),
            ("dir/file/x", Some("\"dir/file\" is a file, not a directory")),
            ("dir/sub", Some("\"dir/sub\" is a submodule, not a directory")),
            ("link", Some("\"link\" is a symbolic link, not a directory")),
            ("link/etc", Some("\"link\" is a symbolic link, not a directory")),
            ("di", Some("the commit has no files there")),
            ("Dir", Some("the commit has no files there")),
        ] {
            let found = check(&index, &directory.parse().unwrap()).err();
            let is_expected = match (&found, fault) {
                (Some(found), Some(fault)) => found.contains(fault),
                (found, fault) => found.is_none() && fault.is_none(),
            };
            assert!(is_expected, "{directory}: {found:?}");
        }
    }
}
