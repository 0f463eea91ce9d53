//! When which commit was first seen at the reference. It is kept in a small file, for the next process.

use std::fmt::Write;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use gix::ObjectId;

use crate::bounded_read::{LARGEST_FILE, read_bounded};
use crate::fetched::Tip;
use crate::fs_ext::replace_file;
use crate::spec::reference::CommitId;
use crate::store::Store;
use crate::store::layout::SIGHTINGS;

/// How many commits are remembered. With the longest names that a server can list, 64 KiB each, they fit into
/// [`LARGEST_FILE`].
const MAX_SIGHTINGS: usize = 64;

/// A commit that was at the reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sighting {
    /// When it was first seen there, in seconds since 1970 (UTC).
    time: u64,
    pub(super) commit: CommitId,
    pub(super) tag: Option<ObjectId>,
    /// The full name of the reference, if the source names one.
    pub(super) name: Option<String>,
}

/// The commits that were at the reference, the newest last.
#[derive(Debug)]
pub(super) struct Sightings {
    path: PathBuf,
    pub(super) seen: Vec<Sighting>,
    /// What is in the file.
    stored: Vec<Sighting>,
}

impl Sightings {
    /// Read the file. What cannot be read counts as not seen: commits then wait once more.
    pub(super) fn load(store: &Store) -> Sightings {
        Sightings::read(store.git_dir().join(SIGHTINGS))
    }

    fn read(path: PathBuf) -> Sightings {
        let text = read_bounded(&path, LARGEST_FILE).unwrap_or_default();
        let text = String::from_utf8(text).unwrap_or_default();
        let seen: Vec<Sighting> = text.lines().filter_map(parse).collect();
        Sightings { path, stored: seen.clone(), seen }
    }

    /// Write the file, if it changed.
    pub(super) fn save(&self) -> io::Result<()> {
        if self.seen == self.stored {
            return Ok(());
        }
        let mut text = String::new();
        for Sighting { time, commit, tag, name } in &self.seen {
            let tag = tag.map_or("-".to_owned(), |tag| tag.to_string());
            let _ = writeln!(text, "{time} {commit} {tag} {}", name.as_deref().unwrap_or("-"));
        }
        replace_file(&self.path, &text)
    }

    /// Note that the reference names `tip` now.
    pub(super) fn add(&mut self, tip: &Tip, now: SystemTime) {
        let now = seconds(now);
        for sighting in &mut self.seen {
            // The clock was ahead: the time counts from now.
            sighting.time = sighting.time.min(now);
        }
        if !self.seen.iter().any(|seen| seen.is(tip)) {
            let excess = (self.seen.len() + 1).saturating_sub(MAX_SIGHTINGS);
            self.seen.drain(..excess);
            let (commit, tag, name) = (tip.commit, tip.tag, tip.reference.clone());
            self.seen.push(Sighting { time: now, commit, tag, name });
        }
    }
}

impl Sighting {
    /// Whether this is where `tip` points.
    pub(super) fn is(&self, tip: &Tip) -> bool {
        self.commit == tip.commit && self.name == tip.reference
    }

    pub(super) fn since(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.time)
    }

    pub(super) fn age(&self, now: SystemTime) -> Duration {
        Duration::from_secs(seconds(now).saturating_sub(self.time))
    }

    pub(super) fn tip(&self) -> Tip {
        let (commit, tag, reference) = (self.commit.0, self.tag, self.name.clone());
        Tip { want: tag.unwrap_or(commit), reference, tag, ..crate::fetched::tip(commit) }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn parse(line: &str) -> Option<Sighting> {
    let mut words = line.split(' ');
    let (time, commit) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (tag, name) = (words.next()?, words.next()?);
    let tag = if tag == "-" { None } else { Some(ObjectId::from_hex(tag.as_bytes()).ok()?) };
    let name = (name != "-").then(|| name.to_owned());
    words.next().is_none().then_some(Sighting { time, commit, tag, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tip(number: u8, name: &str) -> Tip {
        let id = ObjectId::Sha1([number; 20]);
        Tip { reference: Some(name.into()), ..crate::fetched::tip(id) }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn empty() -> (tempfile::TempDir, Sightings) {
        let dir = tempfile::tempdir().unwrap();
        let sightings = Sightings { path: dir.path().join("file"), seen: Vec::new(), stored: Vec::new() };
        (dir, sightings)
    }

    #[test]
    fn what_was_saved_is_read_again() {
        let (_dir, mut sightings) = empty();
        sightings.add(&tip(1, "refs/heads/main"), at(100));
        sightings.add(&Tip { tag: Some(ObjectId::Sha1([9; 20])), ..tip(2, "refs/tags/v1") }, at(200));
        sightings.add(&crate::fetched::tip(ObjectId::Sha1([3; 20])), at(300));
        sightings.save().unwrap();
        assert_eq!(Sightings::read(sightings.path).seen, sightings.seen);
    }

    #[test]
    fn names_of_any_length_are_read_again() {
        let (_dir, mut sightings) = empty();
        let name = format!("refs/heads/{}", "x".repeat(65_000));
        for number in 0..64 {
            sightings.add(&tip(number, &name), at(100));
        }
        sightings.save().unwrap();
        assert_eq!(Sightings::read(sightings.path).seen, sightings.seen);
    }

    #[test]
    fn a_line_that_is_cut_off_is_not_of_the_commit() {
        let (_dir, mut sightings) = empty();
        let seen = tip(1, "refs/heads/main");
        sightings.add(&seen, at(100));
        sightings.save().unwrap();
        let text = fs_err::read_to_string(&sightings.path).unwrap();
        let line = text.trim_end();
        assert!(parse(line).is_some_and(|found| found.is(&seen)));
        for end in 0..line.len() {
            assert!(parse(&line[..end]).is_none_or(|found| !found.is(&seen)), "{}", &line[..end]);
        }
    }

    #[test]
    fn a_line_that_is_damaged_counts_for_nothing() {
        let id = "1".repeat(40);
        for line in
            ["", "x", "1", &format!("1 {id}"), &format!("1 {id} - a b"), &format!("x {id} - a"), "1 2 - a"]
        {
            assert_eq!(parse(line), None, "{line:?}");
        }
        assert!(parse(&format!("1 {id} - a")).is_some());
    }

    #[test]
    fn a_commit_ages_from_when_it_was_first_seen() {
        let (_dir, mut sightings) = empty();
        sightings.add(&tip(1, "a"), at(100));
        sightings.add(&tip(1, "a"), at(150));
        assert_eq!(sightings.seen[0].age(at(160)), Duration::from_secs(60));
        assert_eq!(sightings.seen.len(), 1);
    }

    #[test]
    fn a_clock_that_was_ahead_makes_nothing_older() {
        let (_dir, mut sightings) = empty();
        sightings.add(&tip(1, "a"), at(1_000_000));
        assert_eq!(sightings.seen[0].age(at(100)), Duration::ZERO);
        sightings.add(&tip(2, "a"), at(100));
        assert_eq!(sightings.seen[0].age(at(160)), Duration::from_secs(60));
    }

    #[test]
    fn only_the_newest_are_kept() {
        let (_dir, mut sightings) = empty();
        for number in 0..70 {
            sightings.add(&tip(number, "a"), at(100));
        }
        assert_eq!(sightings.seen.len(), MAX_SIGHTINGS);
        assert_eq!(sightings.seen[0].commit, tip(6, "a").commit);
    }
}
