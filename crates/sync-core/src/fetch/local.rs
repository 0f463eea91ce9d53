//! Fetching from a repository on this machine. We read it directly; gix would run `git-upload-pack`.

use std::io::Read;
use std::path::{Path, PathBuf};

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::objs::Exists;

use super::remote::{Arrived, Commits, Remote, WantedCommits};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::fetched::{StreamedFiles, Tip};
use crate::interrupt::Interrupt;
use crate::objects::closure::{boundary, closure};
use crate::progress::{Progress, Stage};
use crate::repack::copy_objects;
use crate::spec::Source;
use crate::spec::reference::AdvertisedRef;
use crate::store::Store;

fn open(path: &Path, source: &Source) -> Result<gix::Repository> {
    // The user named the path, so we trust it whatever its owner is. The git configuration of the machine is not read.
    // Like `git fetch`, we ignore replace refs and copy the original objects.
    let options = gix::open::Options::isolated()
        .with(gix::sec::Trust::Full)
        .config_overrides(["core.useReplaceRefs=false"]);
    if let Some(reason) = unsupported(path) {
        return Err(Error::new(ErrorKind::Configuration, format!("open {}", source.url), reason));
    }
    let mut repo = gix::open_opts(path, options)
        .map_err(|err| Error::new(ErrorKind::NotFound, format!("open {}", source.url), last_cause(&err)))?;
    repo.object_cache_size(None);
    Ok(repo)
}

/// Why we cannot read this repository, if git can and we cannot.
fn unsupported(path: &Path) -> Option<&'static str> {
    let mut start = [0; 16];
    let read = fs_err::File::open(path).and_then(|mut file| file.read(&mut start)).unwrap_or_default();
    if start[..read].starts_with(b"# v2 git bundle") || start[..read].starts_with(b"# v3 git bundle") {
        return Some("is a bundle, not a repository; convert it with git clone --bare");
    }
    let is_reftable = |dir: &Path| dir.join("reftable/tables.list").exists();
    (is_reftable(path) || is_reftable(&path.join(".git"))).then_some(
        "stores its references as reftable, which is not supported; convert them with git refs migrate \
         --ref-format=files",
    )
}

fn last_cause(err: &gix::Error) -> String {
    err.iter_errors().last().map(ToString::to_string).unwrap_or_default()
}

/// A repository on this machine.
pub(super) struct Local {
    path: PathBuf,
    interrupt: Interrupt,
    progress: Progress,
}

impl Local {
    pub(super) fn new(path: &Path, interrupt: Interrupt, progress: Progress) -> Self {
        Local { path: path.to_owned(), interrupt, progress }
    }
}

impl Remote for Local {
    fn list(&mut self, source: &Source, prefixes: &[String]) -> Result<Vec<AdvertisedRef>> {
        let repo = open(&self.path, source)?;
        let step = || format!("read the references of {}", source.url);
        let mut refs = Vec::new();
        for prefix in prefixes {
            if prefix == "HEAD" {
                refs.extend(repo.try_find_reference("HEAD").step(step)?.and_then(advertised_ref));
                continue;
            }
            let listed = repo.references().step(step)?;
            // gix takes paths only, which do not end in a dot.
            let listed = listed.prefixed(prefix.trim_end_matches('.')).step(step)?;
            let listed = listed
                .filter_map(|found| found.ok())
                .filter(|found| found.name().as_bstr().starts_with_str(prefix));
            refs.extend(listed.filter_map(advertised_ref));
        }
        Ok(refs)
    }

    /// Copy the objects that the tip needs and the store lacks, and update the store's shallow boundary.
    fn fetch(&mut self, source: &Source, tip: &Tip, store: &mut Store, _: Option<&Path>) -> Result<Arrived> {
        let step = || format!("fetch {} from {}", source.reference, source.url);
        let within = |err: Error| err.within(&step());
        self.progress.enter(Stage::Requesting);
        let repo = open(&self.path, source)?;
        let commit = repo
            .find_object(tip.commit.0)
            .and_then(|object| object.peel_to_commit())
            .map_err(|err| Error::new(ErrorKind::NotFound, step(), last_cause(&err)))?
            .id;
        store.prepare(repo.object_hash(), None)?;
        let mut here = store.repository()?;
        here.objects.refresh_never();
        let haves = store.haves(&here)?;
        let has_full_history = source.depth.0.is_none() && !store.is_shallow(&here).map_err(within)?;
        // If the store has the full history, every object in it is there with all that it refers to. We ask the object
        // database itself, because `has_object` always finds the empty tree.
        let is_complete = |id: &gix::oid| has_full_history && here.objects.exists(id);
        let is_known = |id: &gix::oid| !haves.is_empty() && here.objects.exists(id);
        let (objects, shallow) = (store.objects(&repo)?, boundary(&repo).step(step)?);
        let until = (&shallow, source.depth);
        let needed =
            closure(&objects, &[commit], until, is_known, is_complete, &self.interrupt).step(step)?;
        // First the boundary, then the commits: a kill in between must not leave commits whose parents are missing.
        store.extend_shallow(&here, &needed.boundary).map_err(within)?;
        if !needed.objects.is_empty() {
            copy_objects(
                &objects,
                &needed.objects,
                &store.pack_receiver(&self.progress, &self.interrupt),
                repo.path(),
            )?;
        }
        store.redraw_shallow(&here, &needed).map_err(within)?;
        Ok(Arrived { object: commit, files: StreamedFiles::default(), has_others: false })
    }

    /// All commits of the repository.
    fn commits(&mut self, source: &Source, _: &WantedCommits, store: &mut Store) -> Result<Option<Commits>> {
        let objects = store.objects(&open(&self.path, source)?)?;
        Ok(Some(Commits { objects, _dir: None }))
    }

    /// A local repository is fetched without a filter, so no blobs are missing.
    fn fetch_missing_blobs(&mut self, _: &Source, _: ObjectId, _: &Store) -> Result<()> {
        Ok(())
    }
}

/// `None` for a reference that names no object, such as `HEAD` of an empty repository, or whose name is not UTF-8.
fn advertised_ref(mut found: gix::Reference<'_>) -> Option<AdvertisedRef> {
    let name = String::from_utf8(found.name().as_bstr().to_vec()).ok()?;
    let object = found.follow_to_object().ok()?.detach();
    let packed = found.inner.peeled; // spares reading every tag
    let commit = packed.unwrap_or_else(|| found.peel_to_commit().map_or(object, |commit| commit.id));
    Some(AdvertisedRef { name, commit, tag: (commit != object).then_some(object) })
}
