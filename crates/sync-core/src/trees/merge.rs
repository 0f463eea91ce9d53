//! Turning a known index into that of another commit, in place: what is the same is neither copied nor read again. So
//! a change costs no second index, and little time for the entries that stay.

use std::ops::Range;

use gix::ObjectId;
use gix::bstr::{BStr, BString};
use gix::index::entry::{Flags, Mode, Stat};

use super::cache::TreeCache;
use super::{CommitFiles, ReplacedFile, TreeTotals};
use crate::attributes::is_attributes;
use crate::worktree::entry::{has_file, set_no_file};

/// Takes the files of a commit in the order of an index.
pub(super) struct Merge {
    known: TreeCache,
    /// The number of entries that were known. Entries that are added come after them.
    count: usize,
    /// The first known entry that is not yet compared.
    next: usize,
    /// Known entries of paths that the commit does not have.
    gone: Vec<Range<usize>>,
    replaced: Vec<ReplacedFile>,
    has_same_attributes: bool,
}

impl Merge {
    pub(super) fn into(known: TreeCache) -> Self {
        let count = known.index.entries().len();
        Merge { known, count, next: 0, gone: Vec::new(), replaced: Vec::new(), has_same_attributes: true }
    }

    /// The next file of the commit.
    pub(super) fn add(&mut self, path: &BStr, id: ObjectId, mode: Mode) {
        let index = &self.known.index;
        let rest = &index.entries()[self.next..self.count];
        let before = rest.iter().take_while(|entry| entry.path(index) < path).count();
        let is_known = rest.get(before).is_some_and(|entry| entry.path(index) == path);
        self.drop_until(self.next + before);
        if !is_known {
            self.has_same_attributes &= !is_attributes(path);
            self.known.index.dangerously_push_entry(Stat::default(), id, Flags::empty(), mode, path);
            return;
        }
        let at = self.next;
        self.next += 1;
        let entry = &self.known.index.entries()[at];
        if entry.id != id || entry.mode != mode {
            self.replace(at);
            let entry = &mut self.known.index.entries_mut()[at];
            (entry.id, entry.mode) = (id, mode);
            set_no_file(entry);
        }
    }

    /// If the tree `id` is known at `path`, keep all files in and below it. Returns its totals.
    pub(super) fn keep(&mut self, path: &BString, id: &gix::oid) -> Option<TreeTotals> {
        let tree = self.known.tree(path, id)?;
        let (entries, totals) = (tree.entries.clone(), tree.totals);
        self.drop_until(entries.start);
        self.next = entries.end;
        Some(totals)
    }

    /// The files of the commit, after the last one was added.
    pub(super) fn finish(mut self) -> CommitFiles {
        self.drop_until(self.count);
        let Merge { known, count, gone, replaced, has_same_attributes, .. } = self;
        let mut index = known.index;
        let has_more = index.entries().len() > count;
        let mut gone = gone.into_iter().flatten().peekable();
        if gone.peek().is_some() {
            index.remove_entries(|at, _, _| gone.next_if_eq(&at).is_some());
        }
        if has_more && count > 0 {
            index.sort_entries();
        }
        CommitFiles { index, replaced, has_same_attributes }
    }

    /// The commit does not have the paths of the next entries.
    fn drop_until(&mut self, end: usize) {
        if self.next < end {
            (self.next..end).for_each(|at| self.replace(at));
            self.gone.push(self.next..end);
            self.next = end;
        }
    }

    fn replace(&mut self, at: usize) {
        let entry = &self.known.index.entries()[at];
        let path = entry.path(&self.known.index);
        self.has_same_attributes &= !is_attributes(path);
        if has_file(entry) {
            self.replaced.push(ReplacedFile { path: path.to_owned(), id: entry.id, stat: entry.stat });
        }
    }
}

#[cfg(test)]
mod tests {
    use gix::hash::Kind;
    use gix::index::State;

    use super::*;

    fn id(content: &str) -> ObjectId {
        gix::objs::compute_hash(Kind::Sha1, gix::objs::Kind::Blob, content.as_bytes()).unwrap()
    }

    /// What becomes of an index with `before` when its commit has `after`: paths with contents. A content of `-` is
    /// that of an entry without a file.
    fn merged(before: &[(&str, &str)], after: &[(&str, &str)]) -> CommitFiles {
        let mut index = State::new(Kind::Sha1);
        for (path, content) in before {
            let flags = if *content == "-" { Flags::SKIP_WORKTREE } else { Flags::empty() };
            let stat = Stat { size: 7, ..Stat::default() };
            index.dangerously_push_entry(stat, id(content), flags, Mode::FILE, BStr::new(path));
        }
        let mut merge = Merge::into(TreeCache::of(index).unwrap());
        for (path, content) in after {
            merge.add(BStr::new(path), id(content), Mode::FILE);
        }
        merge.finish()
    }

    #[test]
    fn the_index_becomes_that_of_the_commit() {
        let trees: [&[(&str, &str)]; 7] = [
            &[],
            &[("a", "1"), ("b", "2"), ("c/d", "3"), ("c/e", "-")],
            &[("a", "1"), ("b", "4"), ("c/d", "3"), ("c/e", "-")],
            &[("a/b", "1"), ("b", "2"), ("c", "3")],
            &[("0", "1"), ("a", "1"), ("c/d", "-"), ("c/dd", "3"), ("z", "9")],
            &[("c/.gitattributes", "1"), ("c/d", "3")],
            &[("z", "1")],
        ];
        for before in trees {
            for after in trees {
                let CommitFiles { index, replaced, .. } = merged(before, after);
                let found = index.entries().iter().map(|entry| (entry.path(&index), entry.id));
                assert!(found.eq(after.iter().map(|(path, content)| (BStr::new(path), id(content)))));
                let had_file = |(_, content): &&(&str, &str)| *content != "-";
                let kept = before.iter().filter(had_file).filter(|file| after.contains(file));
                let known = index.entries().iter().filter(|entry| has_file(entry));
                assert!(known.clone().all(|entry| entry.stat.size == 7));
                assert!(known.map(|entry| entry.path(&index)).eq(kept.map(|(path, _)| BStr::new(path))));
                let others = before.iter().filter(had_file).filter(|file| !after.contains(file));
                assert!(replaced.iter().map(|file| &file.path).eq(others.map(|(path, _)| path)));
            }
        }
    }

    #[test]
    fn a_change_of_an_attribute_file_is_noticed() {
        let with = |content| [("a", "1"), ("b/.gitattributes", content), ("c.gitattributes", "1")];
        assert!(merged(&with("1"), &with("1")).has_same_attributes);
        assert!(merged(&with("1"), &[&with("1")[..2], &[("d", "1")]].concat()).has_same_attributes);
        assert!(!merged(&with("1"), &with("2")).has_same_attributes);
        assert!(!merged(&with("1"), &with("1")[..1]).has_same_attributes);
        assert!(!merged(&with("1")[..1], &with("1")).has_same_attributes);
    }
}
