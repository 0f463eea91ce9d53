//! Our name and version, as servers see them.

/// The default `User-Agent` for HTTP. Some servers answer only if it begins with `git/`.
pub(crate) const USER_AGENT: &str = concat!("git/2.0 (syncline/", env!("CARGO_PKG_VERSION"), ")");

/// The `agent` capability of Git's protocol, which must not contain spaces.
pub(crate) const AGENT: &str = concat!("git/syncline-", env!("CARGO_PKG_VERSION"));
