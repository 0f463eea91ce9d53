//! Which objects a commit needs, and how they get from one object database into a pack of ours. Used to fetch
//! from a local repository and to fold the store's packs together.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Write};
use std::path::Path;

use gix::ObjectId;
use gix::odb::pack::Find;
use gix::odb::pack::cache::DecodeEntry;
use gix::odb::pack::data::entry::Location;
use gix::odb::pack::data::output::{bytes, count, entry};

use crate::error::{Context, Error, Result};
use crate::progress::{Progress, Stage};
use crate::source::Depth;
use crate::{Interrupt, Recovery};

/// The largest single object or delta that is unpacked into memory.
const ALLOCATION_LIMIT: usize = 2 << 30;

/// How many threads inflate and hash: more gain little and cost memory.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(4)
}

/// Everything some commits need.
pub(crate) struct Closure {
    /// Commits, trees and blobs, each once.
    pub(crate) objects: Vec<ObjectId>,
    /// All commits that were passed, known ones included.
    pub(crate) commits: Vec<ObjectId>,
    /// Those of them whose parents were left out.
    pub(crate) boundary: Vec<ObjectId>,
}

/// The commits of a repository whose parents are not there: its shallow boundary.
pub(crate) fn boundary(repo: &gix::Repository) -> gix::Result<BTreeSet<ObjectId>> {
    Ok(repo.shallow_commits()?.map(|ids| ids.iter().copied().collect()).unwrap_or_default())
}

/// Walk from `tips` down to `depth` through `repo`, leaving out whatever `is_known` and all that it needs.
///
/// `is_complete` says of a commit that its whole history is known, so that the walk may end there.
pub(crate) fn closure(
    repo: &gix::Repository,
    tips: &[ObjectId],
    depth: Depth,
    is_known: impl Fn(&gix::oid) -> bool,
    is_complete: impl Fn(&gix::oid) -> bool,
    interrupt: &Interrupt,
) -> gix::Result<Closure> {
    let shallow = boundary(repo)?;
    let limit = depth.0.map_or(u32::MAX, Into::into);
    let mut objects = Vec::new();
    let mut commits = Vec::new();
    let mut boundary = Vec::new();
    let mut seen = gix::hashtable::HashSet::default();
    let mut level: Vec<ObjectId> = tips.iter().copied().filter(|id| seen.insert(*id)).collect();
    let mut distance = 0;
    while !level.is_empty() {
        distance += 1;
        let mut parents = Vec::new();
        for id in std::mem::take(&mut level) {
            if is_complete(&id) {
                continue;
            }
            interrupt.check().map_err(gix::Error::from_error)?;
            let commit = repo.find_commit(id)?;
            commits.push(id);
            if !is_known(&id) {
                objects.push(id);
                add_tree(repo, commit.tree_id()?.detach(), &is_known, &mut seen, &mut objects, interrupt)?;
            }
            if shallow.contains(&id) || (distance >= limit && commit.parent_ids().next().is_some()) {
                boundary.push(id);
            } else {
                parents.extend(commit.parent_ids().map(gix::Id::detach).filter(|id| seen.insert(*id)));
            }
        }
        level = parents;
    }
    Ok(Closure { objects, commits, boundary })
}

fn add_tree(
    repo: &gix::Repository,
    tree: ObjectId,
    is_known: &impl Fn(&gix::oid) -> bool,
    seen: &mut gix::hashtable::HashSet<ObjectId>,
    objects: &mut Vec<ObjectId>,
    interrupt: &Interrupt,
) -> gix::Result<()> {
    let mut trees = vec![tree];
    while let Some(id) = trees.pop() {
        if !seen.insert(id) || is_known(&id) {
            continue;
        }
        interrupt.check().map_err(gix::Error::from_error)?;
        objects.push(id);
        let tree = repo.find_tree(id)?;
        for entry in tree.iter() {
            let entry = entry?;
            let id = entry.id().detach();
            match entry.mode().kind() {
                gix::objs::tree::EntryKind::Tree => trees.push(id),
                gix::objs::tree::EntryKind::Commit => {}
                _ if is_known(&id) => {}
                _ => {
                    if seen.insert(id) {
                        objects.push(id);
                    }
                }
            }
        }
    }
    Ok(())
}

/// How packs are received and indexed, whatever their origin.
pub(crate) fn pack_options() -> gix::odb::pack::bundle::write::Options {
    gix::odb::pack::bundle::write::Options {
        thread_limit: Some(threads()),
        alloc_limit_bytes: Some(ALLOCATION_LIMIT),
        ..Default::default()
    }
}

/// Read a pack into `directory` and index it there; nothing is left of one that turns out broken.
/// `bases` resolves the deltas of a thin pack.
pub(crate) fn receive_pack(
    pack: &mut dyn io::BufRead,
    directory: &Path,
    bases: Option<gix::OdbHandle>,
    hash: gix::hash::Kind,
    progress: &mut dyn gix::DynNestedProgress,
    interrupt: &Interrupt,
) -> gix::Result<Option<std::path::PathBuf>> {
    let outcome = gix::odb::pack::Bundle::write_to_directory(
        pack,
        Some(directory),
        progress,
        interrupt.flag(),
        bases,
        hash,
        pack_options(),
    )?;
    // gix leaves a .keep file, which would protect the pack from every later clean-up.
    if let Some(keep) = outcome.keep_path {
        fs_err::remove_file(keep).map_err(gix::Error::from_error)?;
    }
    Ok(outcome.data_path)
}

/// Copy `objects` of `repo` as one pack into `directory`. Returns the pack's path.
pub(crate) fn copy_objects(
    repo: &gix::Repository,
    objects: &[ObjectId],
    directory: &Path,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<Option<std::path::PathBuf>> {
    let step = || {
        format!("copy {} objects from {} to {}", objects.len(), repo.path().display(), directory.display())
    };
    let (reader, writer) = io::pipe().step(step)?;
    let mut odb = repo.objects.clone().into_inner();
    odb.prevent_pack_unload();
    let odb = WithEmptyTree(odb.into_arc().step(step)?);
    let hash = repo.object_hash();
    let step = step();
    std::thread::scope(|scope| {
        let producer = scope.spawn(move || write_pack(odb, objects, hash, writer, interrupt));
        let mut reader = BufReader::with_capacity(64 * 1024, reader);
        progress.enter(Stage::Receiving);
        let received = receive_pack(&mut reader, directory, None, hash, &mut progress.gix(), interrupt);
        drop(reader); // a producer that still writes gets a broken pipe
        let produced =
            producer.join().map_err(|_| Error::new(Recovery::Retry, &step, "the packing thread died"))?;
        // The producer's error is the cause; the receiver then only saw a truncated pack.
        match (produced, received) {
            (Err(err), Err(received)) if is_broken_pipe(&err) => Err(Error::gix(&step, &received)),
            (Err(err), _) => Err(Error::gix(&step, &err)),
            (Ok(()), received) => received.map_err(|err| Error::gix(&step, &err)),
        }
    })
}

fn is_broken_pipe(err: &gix::Error) -> bool {
    err.downcast_any_ref::<io::Error>().is_some_and(|err| err.kind() == io::ErrorKind::BrokenPipe)
}

/// The empty tree need not be stored anywhere: git knows it by heart.
#[derive(Clone)]
struct WithEmptyTree(gix::odb::HandleArc);

impl Find for WithEmptyTree {
    fn contains(&self, id: &gix::oid) -> bool {
        id.is_empty_tree() || Find::contains(&self.0, id)
    }

    fn try_find_cached<'a>(
        &self,
        id: &gix::oid,
        buffer: &'a mut Vec<u8>,
        cache: &mut dyn DecodeEntry,
    ) -> gix::Result<Option<(gix::objs::Data<'a>, Option<Location>)>> {
        if !id.is_empty_tree() {
            return self.0.try_find_cached(id, buffer, cache);
        }
        buffer.clear();
        let data = gix::objs::Data::new(buffer, gix::objs::Kind::Tree, id.kind());
        Ok(Some((data, None)))
    }

    fn location_by_oid(&self, id: &gix::oid, buffer: &mut Vec<u8>) -> gix::Result<Option<Location>> {
        self.0.location_by_oid(id, buffer)
    }

    fn pack_offsets_and_oid(&self, pack: u32) -> gix::Result<Option<Vec<(u64, ObjectId)>>> {
        self.0.pack_offsets_and_oid(pack)
    }

    fn entry_by_location(&self, location: &Location) -> Option<gix::odb::pack::find::Entry> {
        self.0.entry_by_location(location)
    }
}

fn write_pack(
    odb: WithEmptyTree,
    objects: &[ObjectId],
    hash: gix::hash::Kind,
    writer: impl Write,
    interrupt: &Interrupt,
) -> gix::Result<()> {
    let (counts, _) = count::objects_unthreaded(
        &odb,
        &mut objects.iter().copied().map(Ok),
        &gix::progress::Discard,
        interrupt.flag(),
        count::objects::ObjectExpansion::AsIs,
    )?;
    let total = u32::try_from(counts.len()).map_err(gix::Error::from_error)?;
    let options = entry::iter_from_counts::Options {
        thread_limit: Some(threads()),
        mode: entry::iter_from_counts::Mode::PackCopyAndBaseObjects,
        allow_thin_pack: false,
        ..Default::default()
    };
    let entries = entry::iter_from_counts(counts, odb, Box::new(gix::progress::Discard), options)?;
    let in_order = gix::parallel::InOrderIter::from(entries);
    let version = gix::odb::pack::data::Version::V2;
    let mut writer = io::BufWriter::with_capacity(64 * 1024, writer);
    for written in bytes::FromEntriesIter::new(in_order, &mut writer, total, version, hash) {
        written?;
        interrupt.check().map_err(gix::Error::from_error)?;
    }
    writer.flush().map_err(gix::Error::from_error)
}
