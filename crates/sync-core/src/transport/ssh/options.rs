//! How to log in over SSH, and which servers to trust.

use std::path::PathBuf;
use std::time::Duration;

/// How to log in over SSH. Files are read again for every session. When one of them changes, its sessions are not used
/// any longer.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SshOptions {
    /// Private key files, tried in this order. A certificate beside a key, `<file>-cert.pub`, is offered first.
    pub keys: Vec<PathBuf>,
    /// Whether files in `keys` may be missing. Otherwise it is an error if none of them can be used and there is no
    /// `agent`.
    pub keys_are_optional: bool,
    /// A file whose first line is the passphrase for encrypted keys.
    pub passphrase_file: Option<PathBuf>,
    /// The socket of an SSH agent. Its keys are tried after those in `keys`.
    pub agent: Option<PathBuf>,
    /// Which servers to trust.
    pub host_keys: HostKeys,
    /// The clock: the time since 1970. Host certificates expire, so without a clock none is accepted.
    pub now: Option<fn() -> Duration>,
}

impl SshOptions {
    /// Whether a session that was opened with one of them may be used with the other.
    pub(crate) fn is_equivalent(&self, other: &SshOptions) -> bool {
        let SshOptions { keys, keys_are_optional, passphrase_file, agent, host_keys, now } = other;
        self.keys == *keys
            && self.keys_are_optional == *keys_are_optional
            && self.passphrase_file == *passphrase_file
            && self.agent == *agent
            && self.host_keys == *host_keys
            // Functions have no identity. What time it is, all clocks agree on.
            && self.now.is_some() == now.is_some()
    }
}

/// Which SSH servers to trust.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostKeys {
    /// No server: every session is refused.
    #[default]
    None,
    /// The servers in a `known_hosts` file of OpenSSH.
    File(PathBuf),
    /// Every server. An attacker on the network can then pose as the server.
    Any,
}
