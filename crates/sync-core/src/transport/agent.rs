//! How we present ourselves to servers.

/// How the program presents itself to servers. Some answer only to agents that begin with `git/`.
pub(crate) const USER_AGENT: &str = concat!("git/2.0 (syncline/", env!("CARGO_PKG_VERSION"), ")");

/// The same for the protocol's `agent` capability, which allows no spaces.
pub(crate) const AGENT: &str = concat!("git/syncline-", env!("CARGO_PKG_VERSION"));
