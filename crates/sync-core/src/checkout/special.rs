//! Files whose form in the working tree gix does not produce as git does: `ident`, some encodings, and whatever
//! attributes say in files that gix does not look into; and large files, which it would hold as a whole on every
//! thread. Everything else is left to gix.

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

/// Attributes come from the tree itself and from nowhere else on the machine.
pub(super) fn no_attributes() -> io::Result<Attributes> {
    let mut collection = gix::attrs::search::MetadataCollection::default();
    let globals = gix::attrs::Search::new_globals(None::<PathBuf>, &mut Vec::new(), &mut collection)?;
    Ok(Attributes::new(globals, None, Source::IdMapping, collection))
}

/// A pipeline that knows no external drivers: nothing in a repository can make it run a program.
pub(super) fn pipeline(hash: gix::hash::Kind) -> Pipeline {
    Pipeline::new(Default::default(), hash, Default::default())
}

/// Write the files that need it, and those of the `large` entries, one at a time; mark them as done and return how
/// many there were. Where attributes ask for what gix does not do, they are then hidden from it by modes that are
/// not theirs: all files are written that are not to be as their blobs are.
pub(super) fn write_special(
    objects: &Objects,
    index: &mut State,
    (attributes, large): (&AttributeFiles, &HashSet<usize>),
    dir: &Path,
    (progress, interrupt): (&Progress, &Interrupt),
) -> Result<usize> {
    let is_mentioned = mentions_special(objects, index, attributes)?;
    if !is_mentioned && large.is_empty() {
        return Ok(0);
    }
    let mut writer = Writer::new(objects, index, attributes, dir, (progress, interrupt))?;
    let mut written = 0;
    let (entries, paths) = index.entries_mut_and_pathbacking();
    for (at, entry) in entries.iter_mut().enumerate() {
        let (path, is_large) = (entry.path_in(paths), large.contains(&at));
        let is_file = matches!(entry.mode, Mode::FILE | Mode::FILE_EXECUTABLE);
        if is_file && needs_writing(entry) && (is_mentioned || is_large) {
            let conversion = writer.conversion(path, entry.mode)?;
            if is_large || conversion.is_needed() || is_attributes(path) {
                writer.write(path, entry, &conversion)?;
                entry.stat = stat_of(&dir.join(to_path(path))).step(|| step(dir))?;
                entry.flags.insert(Flags::SKIP_WORKTREE);
                written += 1;
            }
        }
        if is_mentioned && entry.mode == Mode::FILE && is_attributes(path) {
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
    shown: Shown,
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
        let (mut shown, mut files, mut text) = (Shown::default(), Vec::new(), Vec::new());
        for entry in attribute_files(index).filter(|entry| !attributes.ignore(entry)) {
            let read = objects.find(&entry.id, &mut text).map_err(|err| missing(CommitId(entry.id), &err))?;
            shown.0.insert(entry.id, as_git_reads(read.data).unwrap_or_else(|| read.data.to_owned()));
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
            shown,
            stack,
            found,
            parents: Parents { dir, last: None },
        })
    }

    fn conversion(&mut self, path: &BStr, mode: Mode) -> Result<FileConversion> {
        let step = || step(self.dir);
        self.interrupt.check().step(step)?;
        let platform = self.stack.at_path(to_path(path), Some(mode), &self.shown).step(step)?;
        platform.matching_attributes(&mut self.found);
        Ok(FileConversion::of(&self.found))
    }

    /// A file that is not as its blob is has to be held.
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

/// The attribute files of a tree as gix must be shown them, by their ids.
#[derive(Default)]
struct Shown(HashMap<ObjectId, Vec<u8>>);

impl Find for Shown {
    fn try_find<'a>(&self, id: &gix::oid, buffer: &'a mut Vec<u8>) -> gix::Result<Option<Data<'a>>> {
        let Some(text) = self.0.get(id) else { return Ok(None) };
        buffer.clone_from(text);
        Ok(Some(Data::new(buffer, Kind::Blob, id.kind())))
    }
}

/// Creates directories, each once as long as the paths come sorted.
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

/// Matching every path costs more than reading the few attribute files first.
fn mentions_special(objects: &Objects, index: &State, attributes: &AttributeFiles) -> Result<bool> {
    let mut buffer = Vec::new();
    for entry in attribute_files(index).filter(|entry| !attributes.ignore(entry)) {
        let text = objects.find(&entry.id, &mut buffer).map_err(|err| missing(CommitId(entry.id), &err))?;
        // gix looks into plain files only; git into links, too: what they hold is where they lead.
        let is_misread = entry.mode != Mode::FILE || as_git_reads(text.data).is_some();
        if needs_us(text.data) || (is_misread && may_convert(text.data)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// git passes over attribute files that are larger (`ATTR_MAX_FILE_SIZE` in its attr.h).
const IGNORED: u64 = 100 << 20;

/// More than this is read on one thread, since each reads it for itself.
const SHARED: u64 = 64 << 10;

/// What the attribute files of a tree come to.
#[derive(Default)]
pub(super) struct AttributeFiles {
    /// Those that git passes over for their size.
    ignored: HashSet<ObjectId>,
    /// The bytes of the others.
    bytes: u64,
}

impl AttributeFiles {
    /// An error where they are too much to be read.
    pub(super) fn measure(objects: &Objects, index: &State, id: CommitId) -> Result<Self> {
        let (headers, most) = (objects.headers(), objects.resources.max_text());
        let mut files = AttributeFiles::default();
        for entry in attribute_files(index) {
            let size = headers.header(&entry.id).map_err(|err| missing(id, &err))?.size;
            if size > IGNORED {
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
        self.bytes > SHARED
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
