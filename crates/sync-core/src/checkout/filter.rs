//! Files whose form in the working tree gix does not produce as git does: `ident` and the UTF-16 and UTF-32
//! forms of `working-tree-encoding`. Everything else is left to gix.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use gix::bstr::ByteSlice;
use gix::filter::plumbing::Pipeline;
use gix::filter::plumbing::driver::apply::Delay;
use gix::filter::plumbing::pipeline::convert::to_worktree::{Options, UnknownEncoding};
use gix::index::entry::{Flags, Mode};
use gix::worktree::stack::state::{Attributes, attributes::Source};

use super::{missing, stat_of, to_path};
use crate::error::{Context, Error, Result};
use crate::{CommitId, Interrupt};

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

/// Write the files that need it, mark them as done and return how many there were.
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
    let case = gix::glob::pattern::Case::Sensitive;
    let state = gix::worktree::stack::State::AttributesStack(attributes().step(step)?);
    let mappings = state.id_mappings_from_index(index, index.path_backing(), case);
    let mut stack = gix::worktree::Stack::new(dir, state, case, Vec::new(), mappings);
    let mut found = stack.selected_attribute_matches(["ident", "working-tree-encoding"]);
    let mut pipeline = pipeline(repo);
    let mut parents = Parents { dir, last: None };
    let mut written = 0;
    let (entries, paths) = index.entries_mut_and_pathbacking();
    for entry in entries {
        let is_file = matches!(entry.mode, Mode::FILE | Mode::FILE_EXECUTABLE);
        if !is_file || entry.flags.contains(Flags::SKIP_WORKTREE) {
            continue;
        }
        interrupt.check().step(step)?;
        let path = entry.path_in(paths);
        let platform = stack.at_path(to_path(path), Some(entry.mode), &repo.objects).step(step)?;
        platform.matching_attributes(&mut found);
        let special = Special::of(&found);
        if !special.is_any() {
            continue;
        }
        let blob = repo.find_blob(entry.id).map_err(|err| missing(CommitId(entry.id), &err))?;
        let expanded =
            if special.ident { expand_ident(&blob.data, &entry.id.to_string()) } else { blob.data.clone() };
        let options = Options { can_delay: Delay::Forbid, unknown_encoding: UnknownEncoding::Ignore };
        let attributes = &mut |_: &gix::bstr::BStr, out: &mut _| {
            platform.matching_attributes(out);
        };
        let converted = pipeline.convert_to_worktree(&expanded, path, attributes, options).step(step)?;
        let utf8 =
            converted.as_bytes().ok_or_else(|| Error::io(step(), &io::Error::other("a filter ran")))?;
        let encoded = special.encoding.and_then(|encoding| encoding.encode(utf8));
        let relative = to_path(path);
        parents.create(relative).step(step)?;
        let target = dir.join(relative);
        create(&target, entry.mode, encoded.as_deref().unwrap_or(utf8))
            .step(|| format!("write {}", target.display()))?;
        entry.stat = stat_of(&target).step(step)?;
        entry.flags.insert(Flags::SKIP_WORKTREE);
        written += 1;
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
    for entry in index.entries() {
        if entry.path(index).rsplit_str("/").next() != Some(b".gitattributes") || entry.mode == Mode::SYMLINK
        {
            continue;
        }
        let text = repo.find_object(entry.id).map_err(|err| missing(CommitId(entry.id), &err))?;
        if is_special(&text.data) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn create(path: &Path, mode: Mode, content: &[u8]) -> io::Result<()> {
    let permissions = if mode == Mode::FILE_EXECUTABLE { 0o777 } else { 0o666 };
    let mut file = fs_err::OpenOptions::new();
    file.write(true).create_new(true);
    file.options_mut().mode(permissions);
    file.open(path)?.write_all(content)
}

/// What has to be done here for one path.
struct Special {
    ident: bool,
    encoding: Option<Encoding>,
}

impl Special {
    fn of(found: &gix::attrs::search::Outcome) -> Special {
        let mut special = Special { ident: false, encoding: None };
        for found in found.iter_selected() {
            match (found.assignment.name.as_str(), found.assignment.state) {
                ("ident", gix::attrs::StateRef::Set) => special.ident = true,
                ("working-tree-encoding", gix::attrs::StateRef::Value(name)) => {
                    special.encoding = Encoding::of(&name.as_bstr().to_str_lossy());
                }
                _ => {}
            }
        }
        special
    }

    fn is_any(&self) -> bool {
        self.ident || self.encoding.is_some()
    }
}

/// The encodings that gix passes over.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Encoding {
    wide: bool,
    big_endian: bool,
    mark: bool,
}

impl Encoding {
    /// Names as git compares them: without regard to case and to the dash after `UTF`.
    fn of(name: &str) -> Option<Encoding> {
        let name = name.to_ascii_uppercase();
        let rest = name.strip_prefix("UTF")?;
        let rest = rest.strip_prefix('-').unwrap_or(rest);
        let (wide, rest) = match (rest.strip_prefix("16"), rest.strip_prefix("32")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return None,
        };
        // A bare name means a mark and, as iconv has it here, the machine's byte order.
        let (big_endian, mark) = match rest {
            "" | "LE-BOM" => (cfg!(target_endian = "big") && rest.is_empty(), true),
            "BE-BOM" => (true, true),
            "LE" => (false, false),
            "BE" => (true, false),
            _ => return None,
        };
        Some(Encoding { wide, big_endian, mark })
    }

    /// `None` where the text is not UTF-8: it is then left as it is, as git does.
    fn encode(self, text: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(text).ok()?;
        let mut bytes = Vec::with_capacity(text.len() * 2 + 4);
        let mark = if self.mark { "\u{feff}" } else { "" };
        for c in mark.chars().chain(text.chars()) {
            if self.wide {
                let unit = u32::from(c);
                bytes.extend(if self.big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() });
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                bytes.extend(if self.big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() });
            }
        }
        Some(bytes)
    }
}

/// `$Id$` and `$Id: anything without spaces$` become `$Id: <id> $`; an id of another system, which has spaces
/// inside, stays.
fn expand_ident(text: &[u8], id: &str) -> Vec<u8> {
    let mut expanded = Vec::with_capacity(text.len() + id.len());
    let mut rest = text;
    while let Some(at) = rest.find("$Id") {
        let (before, tail) = rest.split_at(at + 3);
        expanded.extend_from_slice(before);
        rest = tail;
        let keyword_end = match tail.first() {
            Some(b'$') => Some(1),
            Some(b':') => end_of_own_ident(tail),
            _ => None,
        };
        if let Some(end) = keyword_end {
            expanded.extend_from_slice(format!(": {id} $").as_bytes());
            rest = &tail[end..];
        }
    }
    expanded.extend_from_slice(rest);
    expanded
}

/// The end of `: …$` on the same line, unless it has a space in the middle.
fn end_of_own_ident(tail: &[u8]) -> Option<usize> {
    let end = tail.find_byteset("$\n").filter(|end| tail[*end] == b'$')?;
    let foreign = tail[1..end].iter().enumerate().any(|(at, byte)| at > 0 && *byte == b' ' && at + 2 < end);
    (!foreign).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idents_expand_as_git_does() {
        for (text, expected) in [
            ("a $Id$ b", "a $Id: X $ b"),
            ("$Id: old $", "$Id: X $"),
            ("$Id:$ $Id$", "$Id: X $ $Id: X $"),
            ("$Id: file,v 1.2 2001 $", "$Id: file,v 1.2 2001 $"),
            ("$Id: broken\n$", "$Id: broken\n$"),
            ("$Identity$ $Id", "$Identity$ $Id"),
        ] {
            assert_eq!(expand_ident(text.as_bytes(), "X").as_bstr(), expected);
        }
    }

    #[test]
    fn wide_encodings_have_their_order_and_mark() {
        let encode = |name, text: &str| Encoding::of(name).unwrap().encode(text.as_bytes()).unwrap();
        assert_eq!(encode("UTF-16LE", "aß"), [0x61, 0, 0xdf, 0]);
        assert_eq!(encode("utf16be", "a"), [0, 0x61]);
        assert_eq!(encode("UTF-16LE-BOM", "a"), [0xff, 0xfe, 0x61, 0]);
        assert_eq!(encode("UTF-32BE", "a"), [0, 0, 0, 0x61]);
        assert_eq!(encode("UTF-16LE", "😀"), [0x3d, 0xd8, 0, 0xde]);
        for name in ["UTF-8", "ISO-8859-1", "UTF-7", "UTF-16XE"] {
            assert_eq!(Encoding::of(name), None, "{name}");
        }
    }
}
