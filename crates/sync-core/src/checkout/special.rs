//! The files that we write ourselves. gix writes all others.
//!
//! - Files with attributes that gix does not apply as git does: `ident`, some encodings, and attributes from files that
//!   gix does not read.
//! - Large files, each of which gix would hold in memory as a whole on every thread.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use gix::ObjectId;
use gix::attrs::search::Outcome;
use gix::bstr::BStr;
use gix::filter::plumbing::Pipeline;
use gix::index::entry::{Flags, Mode};
use gix::index::{Entry, State};
use gix::objs::{Data, Find, FindExt, HeaderExt, Kind};
use gix::worktree::Stack;
use gix::worktree::stack::state::Attributes;
use gix::worktree::stack::state::attributes::Source;

use super::missing;
use crate::attributes::{as_git_reads, attribute_files, is_attributes};
use crate::convert::{FileConversion, may_convert, needs_us};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::interrupt::Interrupt;
use crate::limits::Excess;
use crate::objects::Objects;
use crate::progress::Progress;
use crate::spec::reference::CommitId;
use crate::worktree::entry::{needs_writing, stat_of, to_path};

/// The attributes of gix's stack, without any files of the machine: they come from the tree alone.
pub(super) fn no_attributes() -> io::Result<Attributes> {
    let mut collection = gix::attrs::search::MetadataCollection::default();
    let globals = gix::attrs::Search::new_globals(None::<PathBuf>, &mut Vec::new(), &mut collection)?;
    Ok(Attributes::new(globals, None, Source::IdMapping, collection))
}

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
    let has_special = has_special_attributes(objects, index, attributes)?;
    if !has_special && large.is_empty() {
        return Ok(0);
    }
    let mut writer = Writer::new(objects, index, attributes, dir, (progress, interrupt))?;
    let mut written = 0;
    let (entries, paths) = index.entries_mut_and_pathbacking();
    for (at, entry) in entries.iter_mut().enumerate() {
        let (path, is_large) = (entry.path_in(paths), large.contains(&at));
        let is_file = matches!(entry.mode, Mode::FILE | Mode::FILE_EXECUTABLE);
        if is_file && needs_writing(entry) && (has_special || is_large) {
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
    texts: AttributeTexts,
    stack: Stack,
    found: Outcome,
    parents: Parents<'a>,
}

impl<'a> Writer<'a> {
    fn new(
        objects: &'a Objects,
        index: &State,
        attributes: &AttributeFiles,
        dir: &'a Path,
        (progress, interrupt): (&'a Progress, &'a Interrupt),
    ) -> Result<Self> {
        let step = || step(dir);
        let (mut texts, mut files, mut text) = (AttributeTexts::default(), Vec::new(), Vec::new());
        for entry in attribute_files(index).filter(|entry| !attributes.ignore(entry)) {
            let read = objects.find(&entry.id, &mut text).map_err(|err| missing(CommitId(entry.id), &err))?;
            texts.0.insert(entry.id, as_git_reads(read.data).unwrap_or_else(|| read.data.to_owned()));
            files.push((entry.path(index).to_owned(), entry.id));
        }
        let case = gix::glob::pattern::Case::Sensitive;
        let state = gix::worktree::stack::State::AttributesStack(no_attributes().step(step)?);
        let stack = Stack::new(dir, state, case, Vec::new(), files);
        let found = stack.selected_attribute_matches(FileConversion::attributes());
        Ok(Writer {
            objects,
            dir,
            progress,
            interrupt,
            texts,
            stack,
            found,
            parents: Parents { dir, last: None },
        })
    }

    fn conversion(&mut self, path: &BStr, mode: Mode) -> Result<FileConversion> {
        let step = || step(self.dir);
        self.interrupt.check().step(step)?;
        let platform = self.stack.at_path(to_path(path), Some(mode), &self.texts).step(step)?;
        platform.matching_attributes(&mut self.found);
        Ok(FileConversion::of(&self.found))
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

/// The attribute files of a tree by their ids, in a form that gix reads as git reads the original.
#[derive(Default)]
struct AttributeTexts(HashMap<ObjectId, Vec<u8>>);

impl Find for AttributeTexts {
    fn try_find<'a>(&self, id: &gix::oid, buffer: &'a mut Vec<u8>) -> gix::Result<Option<Data<'a>>> {
        let Some(text) = self.0.get(id) else { return Ok(None) };
        buffer.clone_from(text);
        Ok(Some(Data::new(buffer, Kind::Blob, id.kind())))
    }
}

/// Creates directories. With sorted paths, each is created only once.
struct Parents<'a> {
    dir: &'a Path,
    last: Option<PathBuf>,
}

impl Parents<'_> {
    fn create(&mut self, file: &Path) -> io::Result<()> {
        let parent = file.parent().unwrap_or(Path::new(""));
        if self.last.as_deref() != Some(parent) {
            fs_err::create_dir_all(self.dir.join(parent))?;
            self.last = Some(parent.to_owned());
        }
        Ok(())
    }
}

/// Whether any attribute file asks for something special. Reading these few files first is cheaper than matching every
/// path.
fn has_special_attributes(objects: &Objects, index: &State, attributes: &AttributeFiles) -> Result<bool> {
    let mut buffer = Vec::new();
    for entry in attribute_files(index).filter(|entry| !attributes.ignore(entry)) {
        let text = objects.find(&entry.id, &mut buffer).map_err(|err| missing(CommitId(entry.id), &err))?;
        // gix reads only regular files. git also reads links, whose content is their target.
        let is_misread = entry.mode != Mode::FILE || as_git_reads(text.data).is_some();
        if needs_us(text.data) || (is_misread && may_convert(text.data)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// git ignores attribute files that are larger (`ATTR_MAX_FILE_SIZE` in its attr.h).
const MAX_ATTRIBUTE_FILE: u64 = 100 << 20;

/// With more bytes of attributes, the checkout runs on one thread, since each thread has a copy of them.
const MAX_COPIED_ATTRIBUTES: u64 = 64 << 10;

/// The sizes of the attribute files of a tree.
#[derive(Default)]
pub(super) struct AttributeFiles {
    /// Files that git ignores because of their size.
    ignored: HashSet<ObjectId>,
    /// The total size of the others in bytes.
    bytes: u64,
}

impl AttributeFiles {
    /// Add up the sizes. It is an error if the files do not fit into memory.
    pub(super) fn measure(objects: &Objects, index: &State, id: CommitId) -> Result<Self> {
        let (headers, most) = (objects.headers(), objects.resources.max_text());
        let mut files = AttributeFiles::default();
        for entry in attribute_files(index) {
            let size = headers.header(&entry.id).map_err(|err| missing(id, &err))?.size;
            if size > MAX_ATTRIBUTE_FILE {
                files.ignored.insert(entry.id);
                continue;
            }
            files.bytes += size;
            if files.bytes > most {
                let what = format!("{:?}, with the attribute files before it,", entry.path(index));
                let (step, excess) =
                    (format!("read the attributes of {id}"), Excess::of_text(what, files.bytes, most));
                return Err(Error::new(ErrorKind::Limit, step, excess));
            }
        }
        Ok(files)
    }

    pub(super) fn are_large(&self) -> bool {
        self.bytes > MAX_COPIED_ATTRIBUTES
    }

    pub(super) fn ignore(&self, entry: &Entry) -> bool {
        self.ignored.contains(&entry.id)
    }
}

fn create(path: &Path, mode: Mode) -> io::Result<fs_err::File> {
    let permissions = if mode == Mode::FILE_EXECUTABLE { 0o777 } else { 0o666 };
    let mut file = fs_err::OpenOptions::new();
    file.write(true).create_new(true);
    file.options_mut().mode(permissions);
    file.open(path)
}
