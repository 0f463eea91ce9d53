//! How to log in over SSH.

use std::path::{Path, PathBuf};

use sync_core::{HostKeys, SshOptions};

use super::faults::Reader;
use super::values;
use crate::clock;

/// git-sync's, where its secret is mounted.
const KEY_FILE: &str = "/etc/git-secret/ssh";
const KNOWN_HOSTS_FILE: &str = "/etc/git-secret/known_hosts";

/// What the options say, and a warning where they make the connection unsafe. Relative paths are taken from `cwd`.
pub fn ssh(r: &mut Reader, cwd: &Path, warnings: &mut Vec<String>) -> SshOptions {
    let given = r.paths("ssh-key-file");
    let keys_are_optional = given.is_empty();
    let keys = if keys_are_optional { vec![KEY_FILE.into()] } else { given };
    let known_hosts = r.path("ssh-known-hosts-file").unwrap_or_else(|| KNOWN_HOSTS_FILE.into());
    let host_keys = if r.or("ssh-known-hosts", true, values::boolean) {
        HostKeys::File(cwd.join(known_hosts))
    } else {
        warnings.push(
            "--ssh-known-hosts is off: anybody on the way can pose as an ssh server and change what is synced"
                .into(),
        );
        HostKeys::Any
    };
    let absolute = |path: PathBuf| cwd.join(path);
    SshOptions {
        keys: keys.into_iter().map(absolute).collect(),
        keys_are_optional,
        passphrase_file: r.path("ssh-key-passphrase-file").map(absolute),
        agent: None,
        host_keys,
        now: Some(clock::since_1970),
    }
}
