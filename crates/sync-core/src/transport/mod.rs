//! Ways to reach a repository. HTTP(S) and git:// speak git's protocol through gix's transport traits; a local
//! repository is read in process (gix itself would start `git-upload-pack`).

pub(crate) mod git;
pub(crate) mod http;
pub(crate) mod local;
mod socket;

/// How the program presents itself to servers. Some answer only to agents that begin with `git/`.
pub(crate) const USER_AGENT: &str = concat!("git/2.0 (syncline/", env!("CARGO_PKG_VERSION"), ")");

/// The same for the protocol's `agent` capability, which allows no spaces.
pub(crate) const AGENT: &str = concat!("git/syncline-", env!("CARGO_PKG_VERSION"));

/// Settings of the connection that are not part of the [`crate::Source`].
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// Files of PEM certificates to trust for HTTPS besides the bundled roots. Unreadable ones are errors.
    pub ca_files: Vec<std::path::PathBuf>,
}
