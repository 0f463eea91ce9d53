//! How to log in over SSH.

use sync_core::{HostKeys, RemoteUrl, SshOptions};

use crate::clock;
use crate::options::{SSH_KEY_FILE, SSH_KEY_PASSPHRASE_FILE, SSH_KNOWN_HOSTS, SSH_KNOWN_HOSTS_FILE};
use crate::reader::OptionReader;

/// Where git-sync's secret is mounted.
const KEY_FILE: &str = "/etc/git-secret/ssh";

/// What the options say.
pub fn ssh(r: &mut OptionReader) -> SshOptions {
    let given = r.paths(&SSH_KEY_FILE);
    let keys_are_optional = given.is_empty();
    let known_hosts = r.path_or_default(&SSH_KNOWN_HOSTS_FILE);
    let host_keys = if r.get(&SSH_KNOWN_HOSTS) { HostKeys::File(known_hosts) } else { HostKeys::Any };
    let mut options = SshOptions::default();
    options.keys = if keys_are_optional { vec![KEY_FILE.into()] } else { given };
    options.keys_are_optional = keys_are_optional;
    options.passphrase_file = r.path(&SSH_KEY_PASSPHRASE_FILE);
    options.agent = r.environment.path("SSH_AUTH_SOCK");
    options.host_keys = host_keys;
    options.now = Some(clock::since_1970);
    options
}

/// There is a warning if any server is taken for the right one. Charts turn the check off for HTTPS, too, where it means
/// nothing.
pub fn warn_of_any_host(r: &mut OptionReader, options: &SshOptions, url: &RemoteUrl) {
    if matches!(options.host_keys, HostKeys::Any) && url.protocol() == "ssh" {
        r.warn(
            "--ssh-known-hosts is off: an attacker on the network can pose as the ssh server and change what is synced",
        );
    }
}
