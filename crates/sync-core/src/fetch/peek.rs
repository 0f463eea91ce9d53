//! Commits of a server without their trees: to judge a commit before it is fetched. They go to a temporary directory,
//! which is removed at once: a commit without its tree must not be in the store.

use std::collections::BTreeSet;

use gix::protocol::fetch::Shallow;

use super::network::Network;
use super::protocol::{Request, can_filter, object_kind};
use super::remote::{Commits, WantedCommits};
use super::request::{PackTarget, RequestFailure};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::fs_ext::TemporaryDir;
use crate::limits::Limits;
use crate::objects::Objects;
use crate::objects::packs::packs;
use crate::spec::Source;
use crate::store::Store;

/// The largest pack of commits, in bytes. Without their trees, 10,000 commits with long messages have about 10 MiB.
const MAX_PACK: u64 = 64 << 20;

impl Network {
    /// Fetch commits without their trees; `None` if the server cannot leave out trees.
    pub(super) fn fetch_commits(
        &mut self,
        source: &Source,
        wanted: &WantedCommits,
        store: &mut Store,
    ) -> Result<Option<Commits>> {
        let WantedCommits { want, commit, until, depth } = *wanted;
        let connection = self.connect(source)?;
        if !can_filter(&connection.handshake) {
            self.keep(connection);
            return Ok(None);
        }
        let kind = object_kind(&connection.handshake.capabilities);
        store.prepare(kind, source.filter.as_ref().map(|_| &source.url))?;
        let dir = store.git_dir().join("tmp-commits");
        let dir =
            TemporaryDir::create(dir).step(|| format!("fetch the commit {commit} from {}", source.url))?;
        let limits =
            Limits { pack_size: source.selection.limits.pack_size.min(MAX_PACK), ..Limits::default() };
        let target = PackTarget {
            pack_dir: dir.0.clone(),
            shallow_file: dir.0.join("shallow"),
            limits: &limits,
            tree: None,
        };
        let (haves, shallow) = (BTreeSet::from_iter(until), Shallow::DepthAtRemote(depth));
        let request = Request { wants: vec![want], haves, shallow, filter: Some("tree:0") };
        let answered = match self.request_into(&target, source, connection, &request, store) {
            // We may lack the commit that is left out, and with it the base of a delta.
            Err(RequestFailure::Pack(_)) if until.is_some() && !self.interrupt.is_triggered() => {
                let connection = self.connect(source)?;
                let alone = Request { haves: BTreeSet::new(), ..request };
                self.request_into(&target, source, connection, &alone, store)
            }
            answered => answered,
        };
        answered.map_err(RequestFailure::into_error)?;
        let repo = store.repository()?;
        let step = || format!("read the commits in {}", dir.0.display());
        let received = packs(&dir.0).step(step)?;
        let objects = Objects::of_packs(&received, &repo, &dir.0, store.resources()).step(step)?;
        // What is before the commit that is left out is left out, too.
        for id in [want, commit].into_iter().filter(|_| until.is_none()) {
            let step = || format!("fetch the commit {commit} from {}", source.url);
            if objects.content(&id).step(step)?.is_none() {
                return Err(Error::new(ErrorKind::Server, step(), "the server did not send it"));
            }
        }
        Ok(Some(Commits { objects, _dir: Some(dir) }))
    }
}
