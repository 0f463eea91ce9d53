//! Which attributes the files of a tree have (gitattributes(5)). They come from the tree alone.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use gix::ObjectId;
use gix::attrs::search::Outcome;
use gix::bstr::{BStr, BString};
use gix::index::entry::Mode;
use gix::index::{Entry, State};
use gix::objs::{Data, Find, FindExt, HeaderExt, Kind};
use gix::worktree::Stack;
use gix::worktree::stack::state::Attributes;
use gix::worktree::stack::state::attributes::Source;

use super::missing;
use crate::attributes::{as_git_reads, attribute_files};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::limits::Excess;
use crate::objects::Objects;
use crate::spec::reference::CommitId;
use crate::trees::needed::unused_attributes;
use crate::worktree::entry::to_path;

/// The attributes of gix's stack, without any files of the machine: they come from the tree alone.
pub(super) fn no_attributes() -> io::Result<Attributes> {
    let mut collection = gix::attrs::search::MetadataCollection::default();
    let globals = gix::attrs::Search::new_globals(None::<PathBuf>, &mut Vec::new(), &mut collection)?;
    Ok(Attributes::new(globals, None, Source::IdMapping, collection))
}

/// Finds the attributes of paths.
pub(super) struct AttributeMatcher {
    texts: AttributeTexts,
    stack: Stack,
    found: Outcome,
}

impl AttributeMatcher {
    /// A matcher for these attributes. Paths are relative to `dir`.
    pub(super) fn new(
        objects: &Objects,
        index: &State,
        attributes: &AttributeFiles,
        dir: &Path,
        names: Vec<&'static str>,
    ) -> Result<Self> {
        let (mut texts, mut files, mut text) = (AttributeTexts::default(), Vec::new(), Vec::new());
        for entry in attribute_files(index).filter(|entry| !attributes.ignore(entry.path(index))) {
            let read = objects.find(&entry.id, &mut text).map_err(|err| missing(CommitId(entry.id), &err))?;
            texts.0.insert(entry.id, as_git_reads(read.data).unwrap_or_else(|| read.data.to_owned()));
            files.push((entry.path(index).to_owned(), entry.id));
        }
        let case = gix::glob::pattern::Case::Sensitive;
        let attributes = no_attributes().step(|| "match attributes".into())?;
        let state = gix::worktree::stack::State::AttributesStack(attributes);
        let stack = Stack::new(dir, state, case, Vec::new(), files);
        let found = stack.selected_attribute_matches(names);
        Ok(AttributeMatcher { texts, stack, found })
    }

    /// The attributes of a path.
    pub(super) fn at(&mut self, path: &BStr, mode: Mode) -> io::Result<&Outcome> {
        let platform = self.stack.at_path(to_path(path), Some(mode), &self.texts)?;
        platform.matching_attributes(&mut self.found);
        Ok(&self.found)
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

/// git ignores attribute files that are larger (`ATTR_MAX_FILE_SIZE` in its attr.h).
const MAX_ATTRIBUTE_FILE: u64 = 100 << 20;

/// With more bytes of attributes, the checkout runs on one thread, since each thread has a copy of them.
const MAX_COPIED_ATTRIBUTES: u64 = 64 << 10;

/// The sizes of the attribute files of a tree.
#[derive(Default)]
pub(super) struct AttributeFiles {
    /// Files that git ignores because of their size, and those that apply to no file.
    ignored: HashSet<BString>,
    /// The total size of the others in bytes.
    bytes: u64,
}

impl AttributeFiles {
    /// Add up the sizes. It is an error if the files do not fit into memory.
    pub(super) fn measure(objects: &Objects, index: &State, id: CommitId) -> Result<Self> {
        let (headers, most) = (objects.headers(), objects.resources.max_text());
        let all: Vec<&Entry> = attribute_files(index).collect();
        // A partial clone may lack those that are unused.
        let ignored = unused_attributes(index, &all).into_iter().map(ToOwned::to_owned).collect();
        let mut files = AttributeFiles { ignored, bytes: 0 };
        for entry in all {
            if files.ignore(entry.path(index)) {
                continue;
            }
            let size = headers.header(&entry.id).map_err(|err| missing(id, &err))?.size;
            if size > MAX_ATTRIBUTE_FILE {
                files.ignored.insert(entry.path(index).to_owned());
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

    /// Whether any of the files is as wanted. Reading these few first is cheaper than matching every path.
    pub(super) fn any(
        &self,
        objects: &Objects,
        index: &State,
        is_wanted: impl Fn(&Entry, &[u8]) -> bool,
    ) -> Result<bool> {
        let mut buffer = Vec::new();
        for entry in attribute_files(index).filter(|entry| !self.ignore(entry.path(index))) {
            let text =
                objects.find(&entry.id, &mut buffer).map_err(|err| missing(CommitId(entry.id), &err))?;
            if is_wanted(entry, text.data) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn are_large(&self) -> bool {
        self.bytes > MAX_COPIED_ATTRIBUTES
    }

    pub(super) fn ignore(&self, path: &BStr) -> bool {
        self.ignored.contains(path)
    }
}
