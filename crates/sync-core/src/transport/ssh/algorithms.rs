//! The algorithms that we offer: the defaults of OpenSSH in its order, as far as russh implements them.

use std::borrow::Cow;

use russh::{AlgorithmKind, Preferred, cipher, kex, mac};

/// `ext-info` lets the server list the signatures that it accepts; `kex-strict` prevents the Terrapin attack. Group
/// exchange and the fixed groups, which OpenSSH 10 has dropped, are for older servers; those with SHA-1 are left out.
const KEY_EXCHANGES: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_GEX_SHA256,
    kex::DH_G16_SHA512,
    kex::DH_G18_SHA512,
    kex::DH_G17_SHA512,
    kex::DH_G15_SHA512,
    kex::DH_G14_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

const CIPHERS: &[cipher::Name] = &[
    cipher::CHACHA20_POLY1305,
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
    cipher::AES_128_CTR,
    cipher::AES_192_CTR,
    cipher::AES_256_CTR,
];

/// The known attacks on SHA-1 do not affect an HMAC.
const MACS: &[mac::Name] = &[
    mac::HMAC_SHA256_ETM,
    mac::HMAC_SHA512_ETM,
    mac::HMAC_SHA1_ETM,
    mac::HMAC_SHA256,
    mac::HMAC_SHA512,
    mac::HMAC_SHA1,
];

pub(super) fn offered() -> Preferred {
    Preferred {
        kex: Cow::Borrowed(KEY_EXCHANGES),
        cipher: Cow::Borrowed(CIPHERS),
        mac: Cow::Borrowed(MACS),
        ..Preferred::DEFAULT
    }
}

/// The error that the server and we share no algorithm for one purpose.
pub(super) fn nothing_in_common(kind: &AlgorithmKind, ours: &[String], theirs: &[String]) -> String {
    let (purpose, setting) = match kind {
        AlgorithmKind::Kex => ("key exchange", "KexAlgorithms"),
        AlgorithmKind::Key => ("host key", "HostKeyAlgorithms and HostKey"),
        AlgorithmKind::Cipher => ("cipher", "Ciphers"),
        AlgorithmKind::Mac => ("MAC", "MACs"),
        AlgorithmKind::Compression => ("compression", "Compression"),
    };
    let (ours, theirs) = (listed(ours), listed(theirs));
    format!(
        "the server and we share no {purpose} algorithm: it offers {theirs}; supported are {ours}; enable \
         one of these on the server (sshd's {setting})"
    )
}

/// A list of algorithms, without the names that only announce a protocol extension.
fn listed(names: &[String]) -> String {
    let is_mark = |name: &String| name.starts_with("ext-info-") || name.starts_with("kex-strict-");
    let names: Vec<&str> = names.iter().filter(|name| !is_mark(name)).map(String::as_str).collect();
    if names.is_empty() { "none".into() } else { names.join(",") }
}
