//! Git's own variables: git-sync hands its environment to git.

/// What is heeded. What is said of certificates is OpenSSL's and curl's.
pub const HEEDED: [&str; 12] = [
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GIT_SSL_CERT",
    "GIT_SSL_KEY",
    "GIT_SSL_NO_VERIFY",
    "GIT_PROXY_SSL_CAINFO",
    "GIT_HTTP_USER_AGENT",
    "GIT_ALLOW_PROTOCOL",
    "GIT_CONFIG_COUNT",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// What would make a difference to git, but makes none here.
pub const UNHEEDED: [&str; 28] = [
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

/// More pairs than anybody sets, and few enough to look for each.
pub const MOST_PAIRS: usize = 10_000;

/// The names of the pairs that `GIT_CONFIG_COUNT` announces; `None` where it is no such number.
pub fn pairs(count: &str) -> Option<impl Iterator<Item = (String, String)> + use<>> {
    let count = if count.is_empty() { 0 } else { count.trim().parse().ok()? };
    let names = |number: usize| (format!("GIT_CONFIG_KEY_{number}"), format!("GIT_CONFIG_VALUE_{number}"));
    (count <= MOST_PAIRS).then(|| (0..count).map(names))
}
