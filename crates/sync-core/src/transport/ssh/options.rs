//! How to log in over SSH, and which servers to trust.

use std::path::PathBuf;
use std::time::Duration;

/// How to log in over SSH. All files are read anew for every session, and a session ends when one was changed.
#[derive(Clone, Debug, Default)]
pub struct SshOptions {
    /// Files of private keys, tried in this order. A certificate beside one, `<file>-cert.pub`, is offered first.
    pub keys: Vec<PathBuf>,
    /// Whether the files in `keys` may be absent.
    pub keys_are_optional: bool,
    /// A file whose first line opens the keys that are encrypted.
    pub passphrase_file: Option<PathBuf>,
    /// The socket of an agent whose keys are tried after those.
    pub agent: Option<PathBuf>,
    /// Which servers to trust.
    pub host_keys: HostKeys,
    /// The time since 1970. Without it no host certificate is accepted.
    pub now: Option<fn() -> Duration>,
}

/// Which servers to trust.
#[derive(Clone, Debug, Default)]
pub enum HostKeys {
    /// None: every session is refused.
    #[default]
    None,
    /// Those in a file of OpenSSH's form: known_hosts.
    File(PathBuf),
    /// All, so that anybody on the way can pose as the server.
    Any,
}
