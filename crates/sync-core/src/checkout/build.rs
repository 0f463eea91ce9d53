//! Building one tree and, inside it, the trees of its submodules.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use gix::bstr::{BStr, ByteSlice};
use gix::index::State;
use gix::index::entry::{Flags, Mode, Stat};
use gix::objs::HeaderExt;

use super::free_space::{self, SpaceNeeded};
use super::lfs::LfsFiles;
use super::matching::{AttributeFiles, no_attributes};
use super::special;
use super::staging::{Reused, StagePlan, StagedDir, StagedTree};
use super::{SPARSE_FILE, SelectedTree, Worktree, missing};
use crate::attributes::is_attributes;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::fetched::{Fetched, StreamedFile, StreamedFiles};
use crate::interrupt::Interrupt;
use crate::limits::Limits;
use crate::objects::{Objects, is_damage};
use crate::paths::PATH_RULES;
use crate::progress::{Progress, Stage};
use crate::spec::reference::CommitId;
use crate::store::Store;
use crate::store::worktree_paths::{TemporaryTree, WorktreePaths};
use crate::trees::rules::PATH_MAX;
use crate::trees::{CommitFiles, ReplacedFile};
use crate::worktree::entry::{needs_writing, split_path, to_path};
use crate::worktree::index_file;
use crate::worktree::tree_size::TreeSize;

/// Where a tree is built, and the files that exist already.
pub(super) struct BuildSite<'a> {
    /// The temporary paths. The directory exists and contains only the files of `early`.
    pub(super) building: &'a WorktreePaths,
    /// The final paths.
    pub(super) paths: &'a WorktreePaths,
    /// An earlier tree, whose files are reused. What is known of them is in the [`SelectedTree`].
    pub(super) staged: Option<StagedDir>,
    /// Files that were written while the pack arrived.
    pub(super) early: Option<&'a StreamedFiles>,
}

/// State that a tree and its submodules share.
pub(super) struct Build<'a> {
    pub(super) root: &'a Path,
    /// The commit that is checked out.
    pub(super) id: CommitId,
    /// The admin directories of the submodules so far.
    pub(super) submodules: Vec<PathBuf>,
    /// The result, whose counters are filled in.
    pub(super) made: &'a mut Worktree,
    /// The number of files and directories so far.
    pub(super) files: u64,
    /// The total size of the files so far, in bytes.
    pub(super) bytes: u64,
    pub(super) progress: &'a Progress,
    pub(super) interrupt: &'a Interrupt,
}

impl Build<'_> {
    /// Build the tree of `fetched` from `store`.
    pub(super) fn tree(
        &mut self,
        store: &Store,
        fetched: &Fetched,
        tree: SelectedTree,
        site: BuildSite<'_>,
    ) -> Result<()> {
        let BuildSite { building, paths, staged, early } = site;
        let id = fetched.commit;
        let step = || format!("write the tree of {id} to {}", building.dir.display());
        let SelectedTree { objects, mut files } = tree;
        let attributes = AttributeFiles::measure(&objects, &files.index, id)?;
        let mut lfs = LfsFiles::of(&objects, &files.index, fetched, store)?;
        let entries = files.index.entries().iter();
        let before: Vec<(Mode, bool)> = entries.map(|entry| (entry.mode, !needs_writing(entry))).collect();
        self.progress.set_total(before.len());

        let written_early = early.map_or(0, |early| mark_early(early, &mut files.index));
        self.made.early += written_early;
        self.made.written += written_early;
        let last = staged.as_ref().map(|staged| staged.last().clone());
        // Attributes decide how the content of a blob is converted.
        if let Some(staged) = staged
            && files.has_same_attributes
            && staged.serves(lfs.as_ref())
        {
            let reused = staged.move_to(&building.dir, &mut files).step(step)?;
            self.count_reused(reused);
        }
        let CommitFiles { mut index, replaced, .. } = files;
        if let Some(lfs) = &mut lfs {
            lfs.find(&objects, &index, &attributes, &building.dir)?;
        }
        let (needed, large) =
            self.measure(&objects, &index, &before, (&fetched.selection.limits, lfs.as_ref()))?;
        free_space::check(&building.dir, &needed).step(step)?;
        fs_err::write(building.dir.join(".git"), paths.pointer()).step(step)?;
        if let Some(lfs) = &mut lfs {
            self.write_lfs(lfs, &mut index, &replaced, &building.dir)?;
        }
        self.made.written += special::write_special(
            &objects,
            &mut index,
            (&attributes, &large),
            &building.dir,
            (self.progress, self.interrupt),
        )?;
        self.made.written += self.write_rest(objects, &mut index, &attributes, &building.dir)?;
        for (entry, (mode, left_out)) in index.entries_mut().iter_mut().zip(before) {
            entry.mode = mode;
            entry.flags.set(Flags::SKIP_WORKTREE, left_out);
            if left_out {
                entry.stat = Stat::default();
            }
        }
        // That of the superproject, which comes before its submodules.
        self.made.size.get_or_insert_with(|| TreeSize::of(&index));
        write_admin(fetched, &index, &building.admin, paths)?;
        if let Some(lfs) = &lfs {
            lfs.note.write(&building.admin).step(step)?;
            index_file::make_newer(&building.index(), &index).step(step)?;
        }
        self.submodules(store, fetched, building, paths, last)
    }

    /// Write the files of Git LFS.
    fn write_lfs(
        &mut self,
        lfs: &mut LfsFiles<'_>,
        index: &mut State,
        replaced: &[ReplacedFile],
        dir: &Path,
    ) -> Result<()> {
        lfs.fetch(index, replaced, self.interrupt)?;
        self.progress.enter(Stage::Writing);
        self.progress.set_total(index.entries().len());
        self.made.written += lfs.place(index, dir, self.interrupt)?;
        self.made.lfs.add(&lfs.counts);
        Ok(())
    }

    /// Check all files against the limits. Returns the space that the files still to be written need, and the
    /// positions of the large ones among them. Files that exist have their size in the index.
    fn measure(
        &mut self,
        objects: &Objects,
        index: &State,
        before: &[(Mode, bool)],
        (limits, lfs): (&Limits, Option<&LfsFiles<'_>>),
    ) -> Result<(SpaceNeeded, HashSet<usize>)> {
        let step = || format!("write the tree of {}", self.id);
        let refused = |excess| Error::new(ErrorKind::Limit, step(), excess);
        let (headers, mut needed, mut large) = (objects.headers(), SpaceNeeded::default(), HashSet::new());
        let of_lfs = lfs.map(LfsFiles::sizes).unwrap_or_default();
        needed.add_objects(lfs.map_or(0, |lfs| lfs.space(index)));
        for (at, (entry, (mode, left_out))) in index.entries().iter().zip(before).enumerate() {
            if *left_out || *mode == Mode::COMMIT {
                continue;
            }
            let size = if !needs_writing(entry) {
                entry.stat.size.into()
            } else if let Some(size) = of_lfs.get(&at) {
                *size
            } else {
                let header = headers.header(&entry.id).map_err(|err| missing(self.id, &err))?;
                if header.kind != gix::objs::Kind::Blob {
                    let text = format!("{:?} is a {}, not a file", entry.path(index), header.kind);
                    return Err(Error::new(ErrorKind::Rejected, step(), text));
                }
                if header.size > objects.resources.stream_threshold() {
                    large.insert(at);
                }
                needed.add(header.size, *mode == Mode::SYMLINK);
                header.size
            };
            limits.check_blob(size, entry.path(index)).map_err(refused)?;
            if entry.mode == Mode::SYMLINK && !(1..PATH_MAX).contains(&size) {
                let text = format!(
                    "{:?} is a symbolic link with an impossible target of {size} bytes",
                    entry.path(index)
                );
                return Err(Error::new(ErrorKind::Rejected, step(), text));
            }
            self.bytes = self.bytes.saturating_add(size);
        }
        limits.check_tree(self.bytes).map_err(refused)?;
        Ok((needed, large))
    }

    /// Count the files that were reused.
    fn count_reused(&mut self, reused: Reused) {
        self.made.reused += reused.count;
        if reused.count > 0 {
            self.made.origin.get_or_insert(reused.origin);
        }
        self.made.altered.extend(reused.altered);
        gix::Count::set(&self.progress.files(), reused.count);
    }

    /// Build the trees of the submodules.
    fn submodules(
        &mut self,
        store: &Store,
        fetched: &Fetched,
        building: &WorktreePaths,
        paths: &WorktreePaths,
        last: Option<WorktreePaths>,
    ) -> Result<()> {
        for submodule in &fetched.submodules {
            let submodule_store = store.submodule(&submodule.url)?;
            let path = to_path(submodule.path.as_bstr());
            // The name has a number instead of the path, which is untrusted. A name that exists may belong to the
            // published tree of this commit.
            let admins = submodule_store.git_dir().join("worktrees");
            let mut admin = admins.join(format!("{}-{}", self.id, self.submodules.len()));
            while admin.exists() {
                admin.as_mut_os_string().push("x");
            }
            self.submodules.push(admin.clone());
            let inside = WorktreePaths { dir: building.dir.join(path), admin: admin.clone() };
            let final_paths = WorktreePaths { dir: paths.dir.join(path), admin };
            let last = last.as_ref().and_then(|last| WorktreePaths::of(last.dir.join(path), self.root));
            let staged = last.and_then(|last| {
                let (paths, threads) = (TemporaryTree::staged(self.root), store.resources().threads());
                let plan = StagePlan { recyclable: None, last, id: self.id, paths, threads };
                plan.run(self.interrupt).ok()
            });
            let (staged, known) = staged.map(StagedTree::into_parts).unzip();
            let site = BuildSite { building: &inside, paths: &final_paths, staged, early: None };
            SelectedTree::read(&submodule_store, &submodule.fetched, known, &mut self.files)
                .and_then(|tree| self.tree(&submodule_store, &submodule.fetched, tree, site))
                .map_err(|err| err.within(&format!("check out submodule {:?}", submodule.path)))?;
        }
        Ok(())
    }

    /// Let gix write the files that are not yet written. It sees only these, and the attributes that apply to them.
    /// Returns their number.
    fn write_rest(
        &self,
        objects: Objects,
        index: &mut State,
        attributes: &AttributeFiles,
        dir: &Path,
    ) -> Result<usize> {
        let step = || format!("write the tree of {} to {}", self.id, dir.display());
        let (files, bytes) = (self.progress.files(), self.progress.bytes());
        let (mut rest, positions) = rest_of(index, attributes);
        let is_pending = |entry: &&gix::index::Entry| needs_writing(entry) && entry.mode != Mode::COMMIT;
        let pending = rest.entries().iter().filter(is_pending).count();
        gix::Count::set(&files, index.entries().len() - rest.entries().len());
        let options = gix_worktree_state::checkout::Options {
            thread_limit: Some(if attributes.are_large() { 1 } else { objects.resources.threads() }),
            destination_is_initially_empty: true,
            attributes: no_attributes().step(step)?,
            validate: PATH_RULES,
            fs: gix::fs::Capabilities { ignore_case: false, ..Default::default() },
            ..gix_worktree_state::checkout::Options::new(special::pipeline(objects.hash))
        };
        let outcome = gix_worktree_state::checkout(
            &mut rest,
            dir,
            objects,
            &files,
            &bytes,
            self.interrupt.flag(),
            options,
        )
        .map_err(|err| {
            // Without a sign of damage, an I/O error is one of writing.
            let is_writing = err.downcast_any_ref::<io::Error>().is_some_and(|err| !is_damage(err));
            if is_writing { Error::gix(step(), &err) } else { Error::reading(step(), &err) }
        })?;
        // gix returns Ok for an interrupted checkout and for one with collisions.
        self.interrupt.check().step(step)?;
        if let Some(collision) = outcome.collisions.first() {
            let text = format!("{:?} clashes with another path: {}", collision.path, collision.error_kind);
            return Err(Error::new(ErrorKind::Rejected, step(), text));
        }
        if let Some(record) = outcome.errors.first() {
            return Err(Error::gix(format!("write {:?} of {}", record.path, self.id), &record.error));
        }
        for (at, written) in positions.into_iter().zip(rest.entries()) {
            index.entries_mut()[at].stat = written.stat;
        }
        Ok(pending)
    }
}

/// An index of the files that are not yet written and of the attributes files, and the positions of these entries in
/// `index`.
fn rest_of(index: &State, attributes: &AttributeFiles) -> (State, Vec<usize>) {
    let (mut rest, mut positions) = (State::new(index.object_hash()), Vec::new());
    for (at, entry) in index.entries().iter().enumerate() {
        let path = entry.path(index);
        if needs_writing(entry) || (is_attributes(path) && !attributes.ignore(path)) {
            rest.dangerously_push_entry(entry.stat, entry.id, entry.flags, entry.mode, path);
            positions.push(at);
        }
    }
    (rest, positions)
}

/// Mark the files that were written while the pack arrived. Returns their number.
fn mark_early(early: &StreamedFiles, index: &mut State) -> usize {
    // The number of the next entry of each directory, and the files that are left.
    let mut dirs: HashMap<&BStr, (u32, &[StreamedFile])> =
        early.by_directory().map(|(path, files)| (path.as_bstr(), (0, files))).collect();
    let mut count = 0;
    let (entries, paths) = index.entries_mut_and_pathbacking();
    for entry in entries {
        let Some((number, files)) = dirs.get_mut(split_path(entry.path_in(paths)).0) else { continue };
        if let Some((file, rest)) = files.split_first().filter(|(file, _)| file.number == *number) {
            entry.stat = file.stat;
            entry.flags.insert(Flags::SKIP_WORKTREE);
            *files = rest;
            count += 1;
        }
        *number += 1;
    }
    count
}

/// Write the admin directory, which makes the tree a worktree for git.
fn write_admin(fetched: &Fetched, index: &State, dir: &Path, paths: &WorktreePaths) -> Result<()> {
    let step = || format!("write {}", dir.display());
    fs_err::create_dir_all(dir).step(step)?;
    fs_err::write(dir.join("HEAD"), format!("{}\n", fetched.commit)).step(step)?;
    fs_err::write(dir.join("commondir"), "../..\n").step(step)?;
    fs_err::write(dir.join("gitdir"), format!("{}\n", paths.dir.join(".git").display())).step(step)?;
    if let Some(sparse) = &fetched.selection.sparse {
        fs_err::create_dir_all(dir.join("info")).step(step)?;
        fs_err::write(dir.join(SPARSE_FILE), sparse.bytes()).step(step)?;
    }
    index_file::write(index, &dir.join("index")).step(step)
}
