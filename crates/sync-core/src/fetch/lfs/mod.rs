//! Objects of Git LFS: from a server over HTTP, whose place an SSH server may tell, or from a local repository.

#[cfg_attr(not(feature = "http"), path = "download_absent.rs")]
mod download;
#[cfg(feature = "http")]
mod fault;
mod local;
#[cfg(feature = "http")]
mod ssh;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crate::error::{Context, Error, ErrorKind, Result};
use crate::fetched::{LfsReceived, LfsRemote, WantedContent};
use crate::interrupt::Interrupt;
use crate::lfs::endpoint::{Endpoint, RepositoryConfig};
use crate::lfs::store::LfsStore;
use crate::progress::{Progress, Stage};
use crate::resources::Resources;
use crate::spec::lfs::{LfsSelection, MissingContent};
use crate::transport::connections::Connections;
use crate::transport::options::ConnectOptions;
use crate::url::{Kind, RemoteUrl};

/// Fetches the objects of one repository.
pub(super) struct LfsFetcher {
    pub(super) remote: RemoteUrl,
    pub(super) selection: LfsSelection,
    /// The full name of the reference that is followed.
    pub(super) reference: Option<String>,
    pub(super) options: Arc<ConnectOptions>,
    pub(super) connections: Connections,
    pub(super) interrupt: Interrupt,
    pub(super) progress: Progress,
}

/// Names and values.
#[cfg(feature = "http")]
type Headers = Vec<(String, String)>;

/// An object that the server does not have.
struct Missing<'a> {
    wanted: &'a WantedContent,
    /// The server's words.
    reason: String,
}

impl LfsRemote for LfsFetcher {
    fn check(&self, config: &RepositoryConfig) -> Result<()> {
        self.endpoint(config).map(|_| ())
    }

    fn fetch(
        &self,
        wanted: &[WantedContent],
        config: &RepositoryConfig,
        store: &LfsStore,
    ) -> Result<LfsReceived> {
        let step = || format!("fetch Git LFS objects of {}", self.remote);
        self.progress.enter(Stage::FetchingLfs);
        self.progress.set_total(wanted.len());
        let wanted_ids = wanted.iter().map(|wanted| wanted.object.oid).collect();
        store.create().and_then(|()| store.keep_parts(&wanted_ids)).step(step)?;
        let endpoint = self.endpoint(config)?;
        let (place, lacking) = match (&endpoint, &self.remote.0) {
            (Endpoint::Local, Kind::Local(path)) => {
                (path.display().to_string(), local::copy(self, path, wanted, store)?)
            }
            _ => {
                download::from_server(self, &endpoint, wanted, store).map_err(|err| self.hide_secrets(err))?
            }
        };
        let missing: HashSet<_> = lacking.iter().map(|missing| missing.wanted.object.oid).collect();
        if let (Some(first), MissingContent::Refuse) = (lacking.first(), self.selection.missing) {
            let more = match lacking.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            let text = format!("the server does not have it: {}{more}", first.reason);
            return Err(Error::new(ErrorKind::NotFound, step_of(first.wanted, &place), text));
        }
        Ok(LfsReceived { fetched: wanted.len() - missing.len(), missing })
    }
}

impl LfsFetcher {
    fn endpoint(&self, config: &RepositoryConfig) -> Result<Endpoint> {
        let step = || format!("find the Git LFS server of {}", self.remote);
        Endpoint::of(&self.remote, &self.selection, config)
            .map_err(|fault| Error::new(ErrorKind::Rejected, step(), fault))
    }

    fn hide_secrets(&self, err: Error) -> Error {
        let urls = [Some(&self.remote), self.selection.url.as_ref()].into_iter().flatten();
        let logins = urls.flat_map(RemoteUrl::secrets);
        err.hiding(&self.options.secrets().into_iter().chain(logins).collect::<Vec<_>>())
    }

    /// How many objects arrive at once. Each takes some memory.
    fn transfers(&self) -> usize {
        let fitting = match self.options.resources {
            Resources { memory: Some(memory), threads, .. } if memory < 64 << 20 => 2 * threads,
            _ => usize::MAX,
        };
        self.selection.transfers.get().min(fitting).max(1)
    }
}

fn step_of(wanted: &WantedContent, place: &str) -> String {
    format!("fetch Git LFS object of {:?} ({}) from {place}", wanted.path, wanted.object)
}

impl fmt::Debug for LfsFetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LfsFetcher").field("remote", &self.remote).finish_non_exhaustive()
    }
}
