//! The files that we write ourselves. gix writes all others.
//!
//! - Files with attributes that gix does not apply as git does: `ident`, some encodings, and attributes from files that
//!   gix does not read.
//! - Large files, each of which gix would hold in memory as a whole on every thread.

use std::collections::HashSet;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use gix::bstr::BStr;
use gix::filter::plumbing::Pipeline;
use gix::index::entry::{Flags, Mode};
use gix::index::{Entry, State};
use gix::objs::FindExt;

use super::matching::{AttributeFiles, AttributeMatcher};
use super::missing;
use crate::attributes::{as_git_reads, is_attributes};
use crate::convert::{FileConversion, may_convert, needs_us};
use crate::error::{Context, Error, Result};
use crate::interrupt::Interrupt;
use crate::objects::Objects;
use crate::progress::Progress;
use crate::spec::reference::CommitId;
use crate::worktree::entry::{is_file, needs_writing, stat_of, to_path};

/// A filter pipeline without external drivers: a repository cannot make it run a program.
pub(super) fn pipeline(hash: gix::hash::Kind) -> Pipeline {
    Pipeline::new(Default::default(), hash, Default::default())
}

/// Write the special files and the `large` entries, one at a time, mark them as done, and return their number.
///
/// If special attributes occur, we write every affected file ourselves and mark each `.gitattributes` executable, so
/// that gix ignores it.
pub(super) fn write_special(
    objects: &Objects,
    index: &mut State,
    (attributes, large): (&AttributeFiles, &HashSet<usize>),
    dir: &Path,
    (progress, interrupt): (&Progress, &Interrupt),
) -> Result<usize> {
    // gix reads only regular files. git also reads links, whose content is their target.
    let has_special = attributes.any(objects, index, |entry, text| {
        let is_misread = entry.mode != Mode::FILE || as_git_reads(text).is_some();
        needs_us(text) || (is_misread && may_convert(text))
    })?;
    if !has_special && large.is_empty() {
        return Ok(0);
    }
    let matcher = AttributeMatcher::new(objects, index, attributes, dir, FileConversion::attributes())?;
    let mut writer = Writer { objects, dir, progress, interrupt, matcher, parents: Parents::of(dir) };
    let mut written = 0;
    let (entries, paths) = index.entries_mut_and_pathbacking();
    for (at, entry) in entries.iter_mut().enumerate() {
        let (path, is_large) = (entry.path_in(paths), large.contains(&at));
        if is_file(entry) && needs_writing(entry) && (has_special || is_large) {
            let conversion = writer.conversion(path, entry.mode)?;
            if is_large || conversion.is_needed() || is_attributes(path) {
                writer.write(path, entry, &conversion)?;
                entry.stat = stat_of(&dir.join(to_path(path))).step(|| step(dir))?;
                entry.flags.insert(Flags::SKIP_WORKTREE);
                written += 1;
            }
        }
        if has_special && entry.mode == Mode::FILE && is_attributes(path) {
            entry.mode = Mode::FILE_EXECUTABLE;
        }
    }
    Ok(written)
}

fn step(dir: &Path) -> String {
    format!("write large files and those with attributes to {}", dir.display())
}

struct Writer<'a> {
    objects: &'a Objects,
    dir: &'a Path,
    progress: &'a Progress,
    interrupt: &'a Interrupt,
    matcher: AttributeMatcher,
    parents: Parents<'a>,
}

impl Writer<'_> {
    fn conversion(&mut self, path: &BStr, mode: Mode) -> Result<FileConversion> {
        let step = || step(self.dir);
        self.interrupt.check().step(step)?;
        self.matcher.at(path, mode).step(step).map(FileConversion::of)
    }

    /// A file that differs from its blob is converted in memory; any other is written in pieces.
    fn write(&mut self, path: &BStr, entry: &Entry, conversion: &FileConversion) -> Result<()> {
        let target = self.dir.join(to_path(path));
        let step = || format!("write {}", target.display());
        self.parents.create(to_path(path)).step(step)?;
        let mut file = create(&target, entry.mode).step(step)?;
        let (files, bytes) = (self.progress.files(), self.progress.bytes());
        gix::Count::inc(&files);
        if conversion.is_needed() {
            let mut blob = Vec::new();
            let blob = self.objects.find_blob(&entry.id, &mut blob);
            let blob = blob.map_err(|err| missing(CommitId(entry.id), &err))?;
            let content = conversion.apply(blob.data, entry.id).step(step)?;
            return file.write_all(&content).step(step);
        }
        let written = self.objects.pieces(&entry.id, &mut |piece| {
            self.interrupt.check()?;
            gix::Count::inc_by(&bytes, piece.len());
            file.write_all(piece)
        });
        written.map_err(|err| Error::reading(step(), &err))
    }
}

/// Creates directories. With sorted paths, each is created only once.
pub(super) struct Parents<'a> {
    dir: &'a Path,
    last: Option<PathBuf>,
}

impl<'a> Parents<'a> {
    pub(super) fn of(dir: &'a Path) -> Self {
        Parents { dir, last: None }
    }

    /// Create the directory of a file.
    pub(super) fn create(&mut self, file: &Path) -> io::Result<()> {
        let parent = file.parent().unwrap_or(Path::new(""));
        if self.last.as_deref() != Some(parent) {
            fs_err::create_dir_all(self.dir.join(parent))?;
            self.last = Some(parent.to_owned());
        }
        Ok(())
    }
}

/// Create a file that does not exist yet.
pub(super) fn create(path: &Path, mode: Mode) -> io::Result<fs_err::File> {
    let permissions = if mode == Mode::FILE_EXECUTABLE { 0o777 } else { 0o666 };
    let mut file = fs_err::OpenOptions::new();
    file.write(true).create_new(true);
    file.options_mut().mode(permissions);
    file.open(path)
}
