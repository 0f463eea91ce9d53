//! Trusted host keys from `known_hosts` files, by the rules of OpenSSH: see sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".

use std::path::{Path, PathBuf};
use std::time::Duration;

use ring::hmac;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::known_hosts::{HostPatterns, Marker};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, Certificate, EcdsaCurve, HashAlg, PublicKey, PublicKeyOrCertificate};

use crate::bounded_read::{LARGEST_FILE, read_bounded};
use crate::wildcards::{list_matches, wildcard_match};

const DEFAULT_PORT: u16 = 22;

/// The entries of a `known_hosts` file for one server.
#[derive(Debug)]
pub(crate) struct KnownHost {
    file: PathBuf,
    host: String,
    /// The host as in the file: `host`, or `[host]:port`.
    name: String,
    /// Seconds since 1970.
    now: Option<u64>,
    /// The keys for `name`.
    keys: Vec<KeyData>,
    /// The keys for the host without its port. They are used if there are none for `name`.
    portless_keys: Vec<KeyData>,
    /// The certificate authorities, both for `name` and for the host without its port.
    authorities: Vec<KeyData>,
    revoked: Vec<KeyData>,
}

impl KnownHost {
    /// Read the file. `now` is the time since 1970; without it no certificate is accepted.
    pub(super) fn read(file: &Path, host: &str, port: u16, now: Option<Duration>) -> Result<Self, String> {
        // Comments may be in any encoding.
        let text = read_bounded(file, LARGEST_FILE).map_err(cannot_check)?;
        Self::parse(&String::from_utf8_lossy(&text), file, host, port, now)
    }

    pub(crate) fn parse(
        text: &str,
        file: &Path,
        host: &str,
        port: u16,
        now: Option<Duration>,
    ) -> Result<Self, String> {
        let name = if port == DEFAULT_PORT { host.to_owned() } else { format!("[{host}]:{port}") };
        let mut known = KnownHost {
            file: file.to_owned(),
            host: host.to_owned(),
            name,
            now: now.map(|now| now.as_secs()),
            keys: Vec::new(),
            portless_keys: Vec::new(),
            authorities: Vec::new(),
            revoked: Vec::new(),
        };
        for (number, line) in text.lines().enumerate() {
            known
                .add_line(line)
                .map_err(|fault| format!("line {} of {} {fault}", number + 1, file.display()))?;
        }
        Ok(known)
    }

    /// Add one line. As in OpenSSH, invalid lines are ignored; unlike there, an invalid `@revoked` line is an error.
    fn add_line(&mut self, line: &str) -> Result<(), &'static str> {
        let mut words = line.split_ascii_whitespace().peekable();
        let marker = match words.peek() {
            Some(word) if word.starts_with('#') => return Ok(()),
            Some(word) if word.starts_with('@') => {
                Some(word.parse::<Marker>().map_err(|_| "has an unknown marker")?)
            }
            _ => None,
        };
        if marker.is_some() {
            words.next();
        }
        let hosts = words.next().unwrap_or_default().parse().ok();
        let key = match (words.next(), words.next()) {
            (Some(kind), Some(key)) => PublicKey::from_openssh(&format!("{kind} {key}")).ok(),
            _ => None,
        };
        let covers = |name| hosts.as_ref().map(|hosts| covers(hosts, name));
        let (is_exact, is_host) = (covers(&self.name), covers(&self.host));
        let list = match (marker, &key) {
            (Some(Marker::Revoked), None) => return Err("revokes a key that cannot be read"),
            (Some(Marker::Revoked), _) if is_exact != Some(false) || is_host != Some(false) => {
                &mut self.revoked
            }
            (Some(Marker::Revoked), _) => return Ok(()),
            (Some(Marker::CertAuthority), _) if is_exact == Some(true) || is_host == Some(true) => {
                &mut self.authorities
            }
            (Some(Marker::CertAuthority), _) => return Ok(()),
            (None, _) if is_exact == Some(true) => &mut self.keys,
            (None, _) if is_host == Some(true) => &mut self.portless_keys,
            (None, _) => return Ok(()),
        };
        list.extend(key.map(|key| key.key_data().clone()));
        Ok(())
    }

    /// The keys that are used.
    fn known(&self) -> &[KeyData] {
        if self.keys.is_empty() { &self.portless_keys } else { &self.keys }
    }

    /// The host key algorithms to ask for, without SHA-1. Those of known keys come first, since a server with several
    /// keys presents only one.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        let mut all = all_algorithms();
        let known = self.known();
        let is_known = |asked: &Algorithm| known.iter().any(|key| same_kind(&key.algorithm(), asked));
        all.sort_by_key(|asked| !is_known(asked));
        all
    }

    /// The host certificate algorithms to ask for.
    pub(super) fn certificate_algorithms(&self) -> Vec<Algorithm> {
        if self.authorities.is_empty() { Vec::new() } else { all_algorithms() }
    }

    /// Check the key or certificate that the server presents. The error says why it is not trusted and what to do.
    pub(crate) fn check(&self, presented: &PublicKeyOrCertificate) -> Result<(), String> {
        let (name, file, key) = (&self.name, self.file.display(), presented.public_key());
        let shown = describe(key.key_data());
        let authority = presented.certificate().map(Certificate::signature_key);
        if self.revoked.iter().any(|revoked| revoked == key.key_data() || Some(revoked) == authority) {
            return Err(format!("the host key of {name} is revoked in {file}; it presented {shown}"));
        }
        // A known key needs no certificate; whether it has a valid one does not matter.
        if self.known().contains(key.key_data()) {
            return Ok(());
        }
        if let Some(certificate) = presented.certificate()
            && self.authorities.contains(certificate.signature_key())
        {
            return self.check_certificate(certificate).map_err(|fault| {
                format!("the host certificate of {name} {fault}; it is for {shown}; let its owner renew it")
            });
        }
        match self.keys.iter().find(|known| known.algorithm() == key.key_data().algorithm()) {
            Some(known) => Err(format!(
                "the host key of {name} has changed: {file} has {}, but it presented {shown}; an attacker may be \
                 posing as the server; replace the key only after checking it",
                describe(known)
            )),
            None => Err(format!(
                "the host key of {name} is not in {file}; it presented {shown}; add the key after checking it"
            )),
        }
    }

    /// Check a certificate of a trusted authority.
    fn check_certificate(&self, certificate: &Certificate) -> Result<(), String> {
        let now = self.now.ok_or("cannot be checked without a clock")?;
        if certificate.cert_type() != CertType::Host {
            return Err("is not a host certificate".into());
        }
        let principals = certificate.valid_principals();
        // As in OpenSSH, a certificate without principals is for every host.
        let is_host =
            |pattern: &String| wildcard_match(&pattern.to_ascii_lowercase(), &self.host.to_ascii_lowercase());
        if !principals.is_empty() && !principals.iter().any(is_host) {
            return Err(format!("is for {} only", principals.join(", ")));
        }
        if now < certificate.valid_after() {
            return Err("is not valid yet".into());
        }
        if now >= certificate.valid_before() {
            return Err("has expired".into());
        }
        if certificate.critical_options().iter().next().is_some() {
            return Err("has unknown critical options".into());
        }
        if certificate.signature().algorithm() == (Algorithm::Rsa { hash: None }) {
            return Err("is signed with SHA-1".into());
        }
        let authority = certificate.signature_key().fingerprint(HashAlg::Sha256);
        certificate.validate_at(now, [&authority]).map_err(|_| "has an invalid signature".to_owned())
    }
}

/// The algorithm and fingerprint of a key: `ssh-ed25519 SHA256:…`.
pub(super) fn describe(key: &KeyData) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

/// The error that host keys cannot be checked, because of `why`.
pub(super) fn cannot_check(why: impl std::fmt::Display) -> String {
    format!("cannot check the host key: {why}; name a file that holds the server's key")
}

/// All host key algorithms except those with SHA-1.
pub(super) fn all_algorithms() -> Vec<Algorithm> {
    let curves = [EcdsaCurve::NistP256, EcdsaCurve::NistP384, EcdsaCurve::NistP521];
    let hashes = [HashAlg::Sha512, HashAlg::Sha256];
    let mut all = vec![Algorithm::Ed25519];
    all.extend(curves.map(|curve| Algorithm::Ecdsa { curve }));
    all.extend(hashes.map(|hash| Algorithm::Rsa { hash: Some(hash) }));
    all
}

fn same_kind(key: &Algorithm, asked: &Algorithm) -> bool {
    matches!((key, asked), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. })) || key == asked
}

/// Whether the host field of a line covers a name.
fn covers(hosts: &HostPatterns, name: &str) -> bool {
    let patterns = match hosts {
        HostPatterns::HashedName { salt, hash } => {
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
            return hmac::verify(&key, name.as_bytes(), hash).is_ok();
        }
        HostPatterns::Patterns(patterns) => patterns,
    };
    // Names are compared without regard to case.
    let patterns: Vec<String> = patterns.iter().map(|pattern| pattern.to_ascii_lowercase()).collect();
    list_matches(patterns.iter().map(String::as_str), &name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    fn known(line: &str, host: &str, port: u16) -> Result<KnownHost, String> {
        KnownHost::parse(line, Path::new("/known_hosts"), host, port, None)
    }

    #[test]
    fn names_are_matched_as_openssh_does() {
        for (hosts, host, port, expected) in [
            ("host", "host", 22, true),
            ("HOST", "host", 22, true),
            ("host", "host.evil", 22, false),
            ("host", "host", 2222, true),
            ("[host]:2222", "host", 2222, true),
            ("[host]:2222", "host", 22, false),
            ("[host]:22", "host", 22, false),
            ("[*.example.com]:*", "a.example.com", 2222, true),
            ("*.example.com", "a.b.example.com", 22, true),
            ("*.example.com", "example.com", 22, false),
            ("h?st", "host", 22, true),
            ("h?st", "hst", 22, false),
            ("*a*b", "xaxxab", 22, true),
            ("*", "", 22, true),
            ("a,b,host", "host", 22, true),
            ("!host,*", "host", 22, false),
            ("*,!host", "host", 22, false),
            ("!a,*", "host", 22, true),
            ("!a", "host", 22, false),
            ("10.0.0.*", "10.0.0.7", 22, true),
            ("::1", "::1", 22, true),
            // HMAC-SHA1 of the name with the key `salt`.
            ("|1|c2FsdA==|HTaAJnQ397DFDw7nGYI3YRODWDA=", "host", 22, true),
            ("|1|c2FsdA==|HTaAJnQ397DFDw7nGYI3YRODWDA=", "hosts", 22, false),
            ("|1|c2FsdA==", "host", 22, false),
            ("|1|?|?", "host", 22, false),
            ("", "host", 22, false),
        ] {
            let line = format!("{hosts} {KEY}");
            let found = !known(&line, host, port).unwrap().known().is_empty();
            assert_eq!(found, expected, "{hosts} {host} {port}");
        }
    }

    #[test]
    fn any_blanks_separate_the_words_of_a_line() {
        let key = KEY.replace(' ', " \t");
        for line in [format!(" \thost\t{key}\tcomment # more "), format!("host  {key}\r")] {
            assert_eq!(known(&line, "host", 22).unwrap().keys.len(), 1, "{line:?}");
        }
        assert_eq!(known(&format!("@revoked\t *  {key}"), "host", 22).unwrap().revoked.len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_passed_over_unless_it_forbids() {
        for line in ["", "# host x", "host", "host ssh-ed25519", "host ssh-ed25519 AAAA", "host 1024 37 1590"]
        {
            assert!(known(line, "host", 22).unwrap().known().is_empty(), "{line}");
        }
        assert!(known("@cert-authority * ssh-ed25519 AAAA", "host", 22).is_ok());
        for line in ["@revoked * ssh-ed25519 AAAA", "@revoked", "@revokd * x y", "@ host"] {
            let fault = known(&format!("\n{line}"), "host", 22).unwrap_err();
            assert!(fault.starts_with("line 2 of "), "{fault}");
        }
    }

    #[test]
    fn a_revoked_key_is_revoked_where_its_line_says_and_where_that_cannot_be_told() {
        for (hosts, port, expected) in
            [("*", 22, true), ("host", 2222, true), ("[host]:2222", 22, false), ("|1|?|?", 22, true)]
        {
            let known = known(&format!("@revoked {hosts} {KEY}"), "host", port).unwrap();
            assert_eq!(!known.revoked.is_empty(), expected, "{hosts}");
        }
    }

    #[test]
    fn the_kinds_that_are_known_are_asked_for_first_and_never_sha_1() {
        let known = known(&format!("other {KEY}\nhost {KEY}"), "host", 22).unwrap();
        assert_eq!(known.algorithms()[0], Algorithm::Ed25519);
        assert_eq!(known.algorithms().len(), 6);
        assert!(!known.algorithms().contains(&Algorithm::Rsa { hash: None }));
        assert!(known.certificate_algorithms().is_empty());
    }

    #[test]
    fn keys_and_authorities_of_any_port_count_each_by_themselves() {
        for (lines, keys, authorities) in [
            (format!("host {KEY}\n@cert-authority host {KEY}"), 1, 1),
            (format!("[host]:2222 {KEY}\n@cert-authority host {KEY}"), 1, 1),
            (format!("@cert-authority [host]:2222 {KEY}\nhost {KEY}"), 1, 1),
            (format!("[host]:2222 {KEY}\nhost {KEY}"), 1, 0),
        ] {
            let known = known(&lines, "host", 2222).unwrap();
            assert_eq!((known.known().len(), known.authorities.len()), (keys, authorities), "{lines}");
        }
    }
}
