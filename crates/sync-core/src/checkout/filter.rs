//! Files whose form in the working tree gix does not produce as git does: `ident`, some encodings, and whatever
//! attributes say in files that gix does not look into. Everything else is left to gix.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use gix::bstr::{BStr, ByteSlice};
use gix::filter::plumbing::Pipeline;
use gix::index::entry::{Flags, Mode};
use gix::worktree::stack::state::{Attributes, attributes::Source};

use super::form::Form;
use super::{missing, stat_of, to_path};
use crate::error::{Context, Result};
use crate::{CommitId, Interrupt};

/// UTF-8's mark of byte order.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// Attributes come from the tree itself and from nowhere else on the machine.
pub(super) fn attributes() -> io::Result<Attributes> {
    let mut collection = gix::attrs::search::MetadataCollection::default();
    let globals = gix::attrs::Search::new_globals(None::<PathBuf>, &mut Vec::new(), &mut collection)?;
    Ok(Attributes::new(globals, None, Source::IdMapping, collection))
}

/// A pipeline that knows no external drivers: nothing in a repository can make it run a program.
pub(super) fn pipeline(repo: &gix::Repository) -> Pipeline {
    Pipeline::new(Default::default(), repo.object_hash(), Default::default())
}

/// Write the files that need it, mark them as done and return how many there were. Then the attributes are hidden
/// from gix by modes that are not theirs: all files are written that are not to be as their blobs are.
pub(super) fn write_special(
    repo: &gix::Repository,
    index: &mut gix::index::State,
    dir: &Path,
    interrupt: &Interrupt,
) -> Result<usize> {
    let step = || format!("write files with attributes to {}", dir.display());
    if !mentions_special(repo, index)? {
        return Ok(0);
    }
    let mut repo = repo.clone();
    repo.objects.enable_object_memory();
    let mut files = Vec::new();
    for entry in attribute_files(index) {
        let shown = match as_git_reads(&repo.find_object(entry.id).step(step)?.data) {
            Some(text) => repo.write_blob(text).step(step)?.detach(),
            None => entry.id,
        };
        files.push((entry.path(index).to_owned(), shown));
    }
    let case = gix::glob::pattern::Case::Sensitive;
    let state = gix::worktree::stack::State::AttributesStack(attributes().step(step)?);
    let mut stack = gix::worktree::Stack::new(dir, state, case, Vec::new(), files);
    let mut found = stack.selected_attribute_matches(Form::ATTRIBUTES);
    let mut parents = Parents { dir, last: None };
    let mut written = 0;
    let (entries, paths) = index.entries_mut_and_pathbacking();
    for entry in entries {
        let path = entry.path_in(paths);
        let is_file = matches!(entry.mode, Mode::FILE | Mode::FILE_EXECUTABLE);
        if is_file && !entry.flags.contains(Flags::SKIP_WORKTREE) {
            interrupt.check().step(step)?;
            let platform = stack.at_path(to_path(path), Some(entry.mode), &repo.objects).step(step)?;
            platform.matching_attributes(&mut found);
            let form = Form::of(&found);
            if form.is_other() || is_attributes(path) {
                let blob = repo.find_blob(entry.id).map_err(|err| missing(CommitId(entry.id), &err))?;
                let content = form.apply(&blob.data, entry.id).step(step)?;
                let relative = to_path(path);
                parents.create(relative).step(step)?;
                let target = dir.join(relative);
                create(&target, entry.mode, &content).step(|| format!("write {}", target.display()))?;
                entry.stat = stat_of(&target).step(step)?;
                entry.flags.insert(Flags::SKIP_WORKTREE);
                written += 1;
            }
        }
        if entry.mode == Mode::FILE && is_attributes(path) {
            entry.mode = Mode::FILE_EXECUTABLE;
        }
    }
    Ok(written)
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

/// Whether a `.gitattributes` can make any file differ from its blob; rather yes than no. (That a file is `text`
/// or has a filter that we do not know changes nothing here.)
pub(crate) fn may_change_form(attributes: &[u8]) -> bool {
    is_special(attributes) || attributes.contains_str("crlf")
}

/// Whether a `.gitattributes` asks for something that gix does not do.
fn is_special(attributes: &[u8]) -> bool {
    attributes.contains_str("ident") || attributes.contains_str("working-tree-encoding")
}

/// Matching every path costs more than reading the few attribute files first.
fn mentions_special(repo: &gix::Repository, index: &gix::index::State) -> Result<bool> {
    for entry in attribute_files(index) {
        let text = repo.find_object(entry.id).map_err(|err| missing(CommitId(entry.id), &err))?;
        // gix looks into plain files only; git into links, too: what they hold is where they lead.
        let is_misread = entry.mode != Mode::FILE || as_git_reads(&text.data).is_some();
        if is_special(&text.data) || (is_misread && may_change_form(&text.data)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Attributes as gix must be shown them to read what git reads: at a checkout that takes a mark at the beginning for
/// a part of the first pattern, and ends at a zero. `None` where they are read alike.
fn as_git_reads(attributes: &[u8]) -> Option<Vec<u8>> {
    let end = attributes.find_byte(0).unwrap_or(attributes.len());
    let before: &[u8] = if attributes.starts_with(MARK) { b"\n" } else { b"" };
    (end < attributes.len() || !before.is_empty()).then(|| [before, &attributes[..end]].concat())
}

fn attribute_files(index: &gix::index::State) -> impl Iterator<Item = &gix::index::Entry> {
    index.entries().iter().filter(|entry| entry.mode != Mode::COMMIT && is_attributes(entry.path(index)))
}

fn is_attributes(path: &BStr) -> bool {
    path.rsplit_str("/").next() == Some(b".gitattributes")
}

fn create(path: &Path, mode: Mode, content: &[u8]) -> io::Result<()> {
    let permissions = if mode == Mode::FILE_EXECUTABLE { 0o777 } else { 0o666 };
    let mut file = fs_err::OpenOptions::new();
    file.write(true).create_new(true);
    file.options_mut().mode(permissions);
    file.open(path)?.write_all(content)
}
