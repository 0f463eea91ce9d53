//! The sets of trees that a group showed, on disk.
//!
//! ```text
//! <root>/.groups/<group>/<generation>/<member> -> ../../../<member>/.worktrees/<commit>
//! <root>/<group> -> .groups/<group>/<generation>
//! ```
//! A generation is complete before it has its name, and is never written again. Only the last link flips. All links are
//! relative, so that the volume may be mounted elsewhere.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fs_err::os::unix::fs::symlink;
use ring::digest::{SHA256, digest};
use sync_core::{CommitId, Store, relative_path, without_dots};

use crate::clock::CLOCK;
use crate::hex::hex;
use crate::publish::{digits, temporary_prefix};

/// The directory of all groups, below the root of the process.
const GROUPS: &str = ".groups";

/// The beginning of the names of generations that are incomplete, or about to be removed.
const TEMPORARY: &str = ".tmp-";

/// A finished tree that a group may show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub commit: CommitId,
    /// The directory that consumers read: the tree, or a part of it.
    pub directory: PathBuf,
}

/// A finished tree for each of some members.
pub type Offers = BTreeMap<String, Offer>;

/// A set of trees that is complete on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Sixteen hexadecimal digits. The same set has the same ones.
    pub id: String,
    pub members: Offers,
}

/// The generations of one group.
#[derive(Clone, Debug)]
pub struct Generations {
    /// What consumers read; a symbolic link.
    link: PathBuf,
    directory: PathBuf,
    /// Whether everything is on disk before it is shown.
    is_durable: bool,
}

impl Generation {
    /// The commits of its members.
    pub fn commits(&self) -> impl Iterator<Item = (&str, CommitId)> {
        self.members.iter().map(|(name, offer)| (name.as_str(), offer.commit))
    }
}

impl Generations {
    /// Those of the group `name` below `root`, which is created if it does not exist. What a killed process left behind
    /// is removed.
    pub fn open(root: &Path, name: &str, is_durable: bool) -> io::Result<Generations> {
        let directory = root.join(GROUPS).join(name);
        fs_err::create_dir_all(&directory)?;
        let root = fs_err::canonicalize(root)?;
        let (link, directory) = (root.join(name), root.join(GROUPS).join(name));
        let generations = Generations { link, directory, is_durable };
        generations.clear_leftovers(&root)?;
        Ok(generations)
    }

    fn clear_leftovers(&self, root: &Path) -> io::Result<()> {
        for entry in fs_err::read_dir(root)? {
            let entry = entry?;
            let is_ours = entry.file_name().to_string_lossy().starts_with(&temporary_prefix(&self.link));
            if is_ours && entry.file_type()?.is_symlink() {
                fs_err::remove_file(entry.path())?;
            }
        }
        for entry in fs_err::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                fs_err::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// The directory of a generation.
    pub fn path(&self, generation: &Generation) -> PathBuf {
        self.directory.join(&generation.id)
    }

    /// What is shown now; `None` if nothing is, or it is no generation of ours.
    pub fn shown(&self) -> io::Result<Option<Generation>> {
        let target = match fs_err::read_link(&self.link) {
            Ok(target) => target,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(err) if err.kind() == io::ErrorKind::InvalidInput => {
                let text = format!("{} is not a symbolic link; move it away", self.link.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
            }
            Err(err) => return Err(err),
        };
        let directory = without_dots(&self.link.with_file_name("").join(target));
        let id = directory.file_name().map(|id| id.to_string_lossy().into_owned()).unwrap_or_default();
        if directory.parent() != Some(&self.directory) || !directory.is_dir() {
            return Ok(None);
        }
        let mut members = BTreeMap::new();
        for (name, target) in links_in(&directory)? {
            let offer = commit_in(&target).map(|commit| Offer { commit, directory: target });
            members.extend(offer.map(|offer| (name, offer)));
        }
        Ok(Some(Generation { id, members }))
    }

    /// Show these trees from now on, by one rename. The generation that is replaced is marked with the time.
    pub fn show(&self, offers: &Offers) -> io::Result<Generation> {
        if let Some((name, _)) = offers.iter().find(|(_, offer)| !offer.directory.is_dir()) {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("the tree of {name} is gone")));
        }
        let before = self.shown()?;
        let links = self.links(offers);
        let generation = Generation { id: id(offers, &links), members: offers.clone() };
        let path = self.path(&generation);
        if !path.is_dir() {
            self.make(&path, &links)?;
        }
        if let Some(before) = before.filter(|before| before.id != generation.id) {
            // Before it is replaced: a kill in between must not shorten its time.
            CLOCK.record_replacement(&self.path(&before))?;
        }
        self.flip(&path)?;
        Ok(generation)
    }

    /// Where the links of a generation lead.
    fn links(&self, offers: &Offers) -> BTreeMap<String, PathBuf> {
        let from = self.directory.join("generation");
        offers.iter().map(|(name, offer)| (name.clone(), relative_path(&from, &offer.directory))).collect()
    }

    fn make(&self, path: &Path, links: &BTreeMap<String, PathBuf>) -> io::Result<()> {
        let temporary = self.directory.join(format!("{TEMPORARY}{}", digits()));
        let made = fs_err::create_dir(&temporary).and_then(|()| {
            for (name, target) in links {
                symlink(target, temporary.join(name))?;
            }
            self.flush(&temporary)?;
            fs_err::rename(&temporary, path)?;
            self.flush(&self.directory)
        });
        made.inspect_err(|_| _ = fs_err::remove_dir_all(&temporary))
    }

    fn flip(&self, path: &Path) -> io::Result<()> {
        let root = self.link.parent().unwrap_or(&self.link);
        let temporary = root.join(format!("{}{}", temporary_prefix(&self.link), digits()));
        symlink(relative_path(root, path), &temporary)?;
        fs_err::rename(&temporary, &self.link).inspect_err(|_| _ = fs_err::remove_file(&temporary))?;
        self.flush(root)
    }

    fn flush(&self, directory: &Path) -> io::Result<()> {
        if self.is_durable { fs_err::File::open(directory)?.sync_all() } else { Ok(()) }
    }

    /// Remove the generations that were replaced at least `keep` ago. The answer is when the next one is due.
    pub fn prune(&self, keep: Duration) -> io::Result<Option<Duration>> {
        let shown = self.shown()?.map(|shown| shown.id);
        let mut next = None::<Duration>;
        for entry in fs_err::read_dir(&self.directory)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with(TEMPORARY) || Some(&name) == shown.as_ref() {
                continue;
            }
            let age = CLOCK.time_since_replacement(&path).unwrap_or_default();
            if age >= keep {
                let temporary = self.directory.join(format!("{TEMPORARY}{}", digits()));
                fs_err::rename(&path, &temporary)?;
                fs_err::remove_dir_all(&temporary)?;
            } else {
                next = Some(next.map_or(keep - age, |next| next.min(keep - age)));
            }
        }
        Ok(next)
    }

    /// Remove the link and all generations.
    pub fn remove(&self) -> io::Result<()> {
        if self.shown()?.is_some() {
            fs_err::remove_file(&self.link)?;
        }
        fs_err::remove_dir_all(&self.directory)
    }
}

/// The generations of all groups below the root of a process. Clones are the same.
#[derive(Clone, Debug)]
pub struct Shelf {
    root: PathBuf,
    /// Held while a generation is made: what it leads to must not be removed as unused.
    lock: Arc<Mutex<()>>,
}

impl Shelf {
    pub fn new(root: &Path) -> Shelf {
        Shelf { root: root.to_owned(), lock: Arc::default() }
    }

    /// The root of the process.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Let nobody find out meanwhile what is in use. It may take as long as the disk: only for threads that may block.
    pub fn lock(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The commits of a store whose trees a generation leads to.
    pub fn in_use(&self, store: &Store) -> io::Result<Vec<CommitId>> {
        let _lock = self.lock();
        let trees = store.root().join(".worktrees");
        // A store knows its root without symbolic links.
        let groups = match fs_err::canonicalize(self.root.join(GROUPS)) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            groups => groups?,
        };
        let mut commits = Vec::new();
        for group in directories_in(&groups)? {
            for generation in directories_in(&group)? {
                let targets = links_in(&generation)?.into_iter().map(|(_, target)| target);
                let own = targets.filter(|target| target.starts_with(&trees));
                commits.extend(own.filter_map(|target| commit_in(&target)));
            }
        }
        Ok(commits)
    }
}

/// Also of a directory that is gone: then there are none.
fn directories_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs_err::read_dir(directory) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    entries
        .map(|entry| Ok(entry?.path()))
        .filter(|path| path.as_ref().map_or(true, |path| path.is_dir()))
        .collect()
}

/// The names of the symbolic links in a directory, and where they lead.
fn links_in(directory: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match fs_err::read_dir(directory) {
        // It was removed meanwhile.
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut links = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Ok(target) = fs_err::read_link(entry.path()) {
            let name = entry.file_name().to_string_lossy().into_owned();
            links.push((name, without_dots(&directory.join(target))));
        }
    }
    Ok(links)
}

/// The commit whose tree a path is in: the component after `.worktrees`.
fn commit_in(path: &Path) -> Option<CommitId> {
    let mut parts = path.components().skip_while(|part| part.as_os_str() != ".worktrees");
    parts.nth(1)?.as_os_str().to_str()?.parse().ok()
}

/// The first digits of the SHA-256 of all members with their commits. A member that does not lie at its usual place is
/// named with the target of its link.
fn id(offers: &Offers, links: &BTreeMap<String, PathBuf>) -> String {
    let mut text = String::new();
    for (name, Offer { commit, .. }) in offers {
        text.push_str(&format!("{name}={commit}"));
        let target = links.get(name).map(|link| link.to_string_lossy()).unwrap_or_default();
        if target != format!("../../../{name}/.worktrees/{commit}") {
            text.push_str(&format!(" {target}"));
        }
        text.push('\n');
    }
    hex(&digest(&SHA256, text.as_bytes()).as_ref()[..8])
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use sync_core::Resources;

    use super::*;

    fn commit(letter: char) -> CommitId {
        letter.to_string().repeat(40).parse().unwrap()
    }

    /// Trees of two members below a root.
    fn offers(root: &Path, letters: [char; 2]) -> Offers {
        let offer = |(name, letter): (&str, char)| {
            let directory = root.join(name).join(".worktrees").join(commit(letter).to_string());
            fs_err::create_dir_all(&directory).unwrap();
            fs_err::write(directory.join("letter"), letter.to_string()).unwrap();
            (name.to_owned(), Offer { commit: commit(letter), directory })
        };
        ["dags", "site"].into_iter().zip(letters).map(offer).collect()
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs_err::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn one_link_leads_to_all_trees_of_a_set() {
        let root = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(root.path()).unwrap();
        let generations = Generations::open(&root, "all", false).unwrap();
        assert_eq!(generations.shown().unwrap(), None);
        let first = generations.show(&offers(&root, ['a', 'b'])).unwrap();
        assert_eq!(generations.shown().unwrap(), Some(first.clone()));
        assert_eq!(fs_err::read_to_string(root.join("all/site/letter")).unwrap(), "b");
        let target = fs_err::read_link(root.join("all/dags")).unwrap();
        assert_eq!(target, PathBuf::from(format!("../../../dags/.worktrees/{}", commit('a'))));
        let second = generations.show(&offers(&root, ['c', 'b'])).unwrap();
        assert_ne!(first.id, second.id);
        assert_eq!(fs_err::read_to_string(root.join("all/dags/letter")).unwrap(), "c");
        assert_eq!(names(&root), [".groups", "all", "dags", "site"], "nothing else is left");
    }

    #[test]
    fn the_same_set_is_the_same_directory_which_is_not_written_again() {
        let root = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(root.path()).unwrap();
        let generations = Generations::open(&root, "all", true).unwrap();
        let set = offers(&root, ['a', 'b']);
        let first = generations.show(&set).unwrap();
        let inode = |generation: &Generation| fs_err::metadata(generations.path(generation)).unwrap().ino();
        let before = inode(&first);
        generations.show(&offers(&root, ['c', 'd'])).unwrap();
        let again = generations.show(&set).unwrap();
        assert_eq!((first.clone(), before), (again.clone(), inode(&again)));
        assert_eq!(first.id.len(), 16);
    }

    #[test]
    fn a_replaced_generation_stays_for_its_time_and_its_trees_are_in_use() {
        let root = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(root.path()).unwrap();
        let store = Store::open(&root.join("site"), Resources::default()).unwrap();
        let generations = Generations::open(&root, "all", false).unwrap();
        generations.show(&offers(&root, ['a', 'b'])).unwrap();
        let last = generations.show(&offers(&root, ['a', 'c'])).unwrap();
        let sorted = || {
            let mut commits = Shelf::new(&root).in_use(&store).unwrap();
            commits.sort();
            commits
        };
        let hour = Duration::from_secs(3600);
        assert!(generations.prune(hour).unwrap().is_some_and(|due| due <= hour));
        assert_eq!(sorted(), [commit('b'), commit('c')]);
        assert_eq!(generations.prune(Duration::ZERO).unwrap(), None);
        assert_eq!(sorted(), [commit('c')]);
        assert_eq!(names(&root.join(".groups/all")), [last.id]);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_others_made_is_not() {
        let root = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(root.path()).unwrap();
        fs_err::create_dir_all(root.join(".groups/all/.tmp-0123456789abcdef")).unwrap();
        symlink("nowhere", root.join(".all.tmp-0123456789abcdef")).unwrap();
        symlink("nowhere", root.join("else")).unwrap();
        let generations = Generations::open(&root, "all", false).unwrap();
        assert_eq!(names(&root), [".groups", "else"]);
        fs_err::create_dir(root.join("all")).unwrap();
        let err = generations.show(&offers(&root, ['a', 'b'])).unwrap_err();
        assert!(err.to_string().ends_with("all is not a symbolic link; move it away"), "{err}");
    }
}
