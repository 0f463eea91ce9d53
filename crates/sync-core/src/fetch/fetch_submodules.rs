//! Fetching the submodules of a commit, each into its own store.

use gix::ObjectId;

use super::Fetcher;
use super::submodules::{Location, WantedSubmodule, wanted};
use crate::error::{Error, ErrorKind, Result};
use crate::fetched::{Fetched, FetchedSubmodule, StreamedFiles, tip};
use crate::spec::lfs::LfsSelection;
use crate::spec::reference::{CommitId, Reference};
use crate::spec::submodules::{MAX_DEPTH, SubmoduleMode};
use crate::spec::{Selection, Source};
use crate::store::Store;

impl Fetcher {
    /// Fetch the submodules of a commit, `levels` deep. `count` is the number of all submodules so far. A submodule
    /// whose commit is in its store already needs no network.
    pub(super) fn fetch_submodules(
        &self,
        commit: ObjectId,
        location: &Location,
        store: &Store,
        levels: usize,
        count: &mut u64,
    ) -> Result<Vec<FetchedSubmodule>> {
        if levels == 0 {
            return Ok(Vec::new());
        }
        let mut submodules = Vec::new();
        let selection = &self.source.selection;
        // Sparse patterns, the subdirectory and the LFS server are of the top repository; submodules are checked out
        // completely.
        let lfs = selection.lfs.clone().map(|lfs| LfsSelection { url: None, ..lfs });
        let whole = Selection { sparse: None, subdirectory: None, lfs, ..selection.clone() };
        let selected = if *count == 0 { selection } else { &whole };
        for WantedSubmodule { path, commit, location } in
            wanted(store, commit, location, selected, &self.options)?
        {
            let url = &location.url;
            *count += 1;
            let step = || format!("fetch submodule {path:?} from {url}");
            let refused = |reason: String| Error::new(ErrorKind::Rejected, step(), reason);
            selection.limits.check_submodules(*count).map_err(|excess| refused(excess.to_string()))?;
            if levels == 1 && selection.submodules == SubmoduleMode::Recursive {
                return Err(refused(format!("submodules are nested more than {MAX_DEPTH} deep")));
            }
            let mut submodule = store.submodule(url)?;
            let source = Source {
                url: url.clone(),
                written: location.written.clone(),
                reference: Reference::Commit(CommitId(commit)),
                selection: whole.clone(),
                ..self.source.clone()
            };
            let (options, connections) = (self.options.clone(), self.connections.clone());
            let (interrupt, progress) = (self.interrupt.clone(), self.progress.clone());
            let mut fetcher = Fetcher::with_connections(source, options, interrupt, progress, connections);
            // A partial store may lack blobs that this checkout needs; any other store has each commit with its whole
            // tree.
            let received = match (submodule.has_commit(commit), submodule.is_partial(), &self.source.filter) {
                (true, false, _) => Ok(()),
                (true, true, Some(_)) => {
                    fetcher.remote.fetch_missing_blobs(&fetcher.source, commit, &submodule)
                }
                _ => fetcher.fetch_commit(&tip(commit), &mut submodule, None).map(|_| ()),
            };
            received.map_err(|err| fetcher.hide_secrets(err).within(&step()))?;
            let nested = self.fetch_submodules(commit, &location, &submodule, levels - 1, count)?;
            submodules.push(FetchedSubmodule {
                path,
                url: location.url,
                fetched: Fetched {
                    commit: CommitId(commit),
                    selection: whole.clone(),
                    submodules: nested,
                    lfs: fetcher.lfs(None),
                    early: StreamedFiles::default(),
                },
            });
        }
        Ok(submodules)
    }
}
