//! Git's own variables: git-sync passes its environment to git.

/// Those that change what git does, but have no effect here.
pub const UNSUPPORTED: [&str; 28] = [
    "GIT_SSL_CIPHERS",
    "GIT_SSL_VERSION",
    "GIT_SSL_CERT_TYPE",
    "GIT_SSL_KEY_TYPE",
    "GIT_SSL_CERT_PASSWORD_PROTECTED",
    "GIT_PROXY_SSL_CERT",
    "GIT_PROXY_SSL_KEY",
    "GIT_PROXY_SSL_CERT_PASSWORD_PROTECTED",
    "GIT_HTTP_PROXY_AUTHMETHOD",
    "GIT_HTTP_LOW_SPEED_LIMIT",
    "GIT_HTTP_LOW_SPEED_TIME",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_ASKPASS",
    "SSH_ASKPASS",
    "GIT_PROXY_COMMAND",
    "GIT_PROTOCOL_FROM_USER",
    "GIT_CONFIG",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
];

/// More pairs than anyone sets, and few enough to look for each.
pub const MOST_PAIRS: usize = 10_000;

/// The names of the pairs that `GIT_CONFIG_COUNT` announces; `None` where it is no such number.
pub fn pairs(count: &str) -> Option<impl Iterator<Item = (String, String)> + use<>> {
    let count = if count.is_empty() { 0 } else { count.trim().parse().ok()? };
    let names = |number: usize| (format!("GIT_CONFIG_KEY_{number}"), format!("GIT_CONFIG_VALUE_{number}"));
    (count <= MOST_PAIRS).then(|| (0..count).map(names))
}
