//! TLS errors in plain words: rustls mostly shows the names of its enum variants.

use std::sync::Arc;
use std::{fmt, io};

use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{AlertDescription as Alert, CertificateError, OtherError, PeerIncompatible};
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// A TLS error in plain words.
pub(super) fn explain(err: io::Error) -> io::Error {
    match err.get_ref().and_then(|err| err.downcast_ref()).and_then(words) {
        Some(text) => io::Error::other(text),
        None => err,
    }
}

/// The same for an error during the handshake.
pub(super) fn explain_handshake(err: io::Error) -> io::Error {
    match err.kind() {
        kind @ io::ErrorKind::UnexpectedEof => {
            io::Error::new(kind, "the server closed the connection during the TLS handshake")
        }
        _ => explain(err),
    }
}

fn words(err: &rustls::Error) -> Option<String> {
    use rustls::Error as E;
    Some(match err {
        E::InvalidCertificate(CertificateError::Other(OtherError(refused))) if refused.is::<Refused>() => {
            refused.to_string()
        }
        E::InvalidCertificate(cause) => format!("the server's certificate is refused: {}", plain(cause)),
        E::AlertReceived(alert) => alerted(*alert),
        E::PeerIncompatible(cause) => incompatible(cause),
        E::PeerMisbehaved(cause) => format!("the server violates the TLS protocol: {}", plain(cause)),
        E::InappropriateMessage { .. } | E::InappropriateHandshakeMessage { .. } => {
            "the server violates the TLS protocol: unexpected message".into()
        }
        E::InvalidMessage(cause) => {
            format!("the server does not speak TLS here ({}); are https and the port right?", plain(cause))
        }
        E::NoCertificatesPresented => "the server sent no certificate".into(),
        E::DecryptError => "the server's data was altered on the way".into(),
        E::InvalidCertRevocationList(cause) => format!("a revocation list is refused: {}", plain(cause)),
        E::InvalidEncryptedClientHello(cause) => format!("the TLS handshake failed: {}", plain(cause)),
        E::InconsistentKeys(cause) => format!("our key does not match our certificate: {}", plain(cause)),
        _ => return None,
    })
}

fn alerted(alert: Alert) -> String {
    match alert {
        Alert::CertificateRequired => "the server wants a client certificate (--client-cert-file)".into(),
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA => {
            format!("the server refuses our client certificate, or requires one: {}", plain(&alert))
        }
        Alert::HandshakeFailure | Alert::InsufficientSecurity => NOTHING_IN_COMMON.into(),
        Alert::ProtocolVersion => NO_VERSION.into(),
        Alert::UnrecognisedName => "the server does not know this host name".into(),
        Alert::Unknown(number) => format!("the server ended TLS with the unknown alert {number}"),
        alert => format!("the server ended TLS: {}", plain(&alert)),
    }
}

const NO_VERSION: &str = "the server speaks neither TLS 1.2 nor TLS 1.3";

const NOTHING_IN_COMMON: &str = "the server and we share no TLS cipher, key exchange or key type; it needs ECDHE with \
     AES-GCM or ChaCha20, and an RSA, P-256, P-384 or Ed25519 key";

fn incompatible(cause: &PeerIncompatible) -> String {
    use PeerIncompatible as P;
    match cause {
        P::ServerDoesNotSupportTls12Or13
        | P::ServerTlsVersionIsDisabledByOurConfig
        | P::Tls12NotOffered
        | P::Tls12NotOfferedOrEnabled => NO_VERSION.into(),
        P::NoCipherSuitesInCommon | P::NoKxGroupsInCommon | P::NoEcPointFormatsInCommon => {
            NOTHING_IN_COMMON.into()
        }
        cause => format!("the server's TLS is incompatible with ours: {}", plain(cause)),
    }
}

/// The name of an enum variant as words: `UnhandledCriticalExtension { .. }` is "unhandled critical extension".
fn plain(cause: &impl fmt::Debug) -> String {
    let mut text = String::new();
    for c in format!("{cause:?}").chars().take_while(char::is_ascii_alphanumeric) {
        if c.is_ascii_uppercase() && text.ends_with(|last: char| !last.is_ascii_uppercase()) {
            text.push(' ');
        }
        text.push(c);
    }
    // Abbreviations keep their upper case.
    let lower = |word: &str| match word.chars().filter(char::is_ascii_uppercase).count() {
        0 | 1 => word.to_ascii_lowercase(),
        _ => word.to_owned(),
    };
    text.split(' ').map(lower).collect::<Vec<_>>().join(" ")
}

/// A refused certificate, in plain words.
#[derive(Debug)]
struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// The same error, naming the certificate of the chain that is refused.
pub(super) fn describe(
    err: rustls::Error,
    chain: &[&CertificateDer<'_>],
    name: &ServerName<'_>,
    now: UnixTime,
) -> rustls::Error {
    let rustls::Error::InvalidCertificate(cause) = &err else { return err };
    let parsed: Result<Vec<_>, _> = chain.iter().map(|der| Certificate::from_der(der)).collect();
    let Some((all, der)) = parsed.ok().zip(chain.first()).filter(|(all, _)| !all.is_empty()) else {
        return err;
    };
    let text = refusal(cause, &all, der, name, now);
    CertificateError::Other(OtherError(Arc::new(Refused(text)))).into()
}

fn refusal(
    cause: &CertificateError,
    all: &[Certificate],
    der: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> String {
    use CertificateError as E;
    let (server, last) = (&all[0], &all[all.len() - 1]);
    let subject = |cert: &Certificate| cert.tbs_certificate().subject().to_string();
    let issuer = |cert: &Certificate| cert.tbs_certificate().issuer().to_string();
    let validity = |cert: &Certificate| *cert.tbs_certificate().validity();
    let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
    let is_own = subject(server) == issuer(server);
    match cause {
        E::Expired | E::ExpiredContext { .. } => {
            let expired =
                all.iter().find(|cert| seconds(validity(cert).not_after) < now.as_secs()).unwrap_or(server);
            let (subject, end) = (subject(expired), validity(expired).not_after.to_date_time());
            format!("the certificate of {subject} expired at {end}")
        }
        E::NotValidYet | E::NotValidYetContext { .. } => {
            let early =
                all.iter().find(|cert| seconds(validity(cert).not_before) > now.as_secs()).unwrap_or(server);
            let (subject, start) = (subject(early), validity(early).not_before.to_date_time());
            format!("the certificate of {subject} is not valid before {start}; is the clock right?")
        }
        E::NotValidForName => format!("the certificate of {} is not for {}", subject(server), name.to_str()),
        E::NotValidForNameContext { presented, .. } if presented.is_empty() => format!(
            "the certificate of {} is not for {}: it has no subjectAltName, and the name in CN is ignored",
            subject(server),
            name.to_str()
        ),
        E::NotValidForNameContext { presented, .. } => format!(
            "the certificate of {} is not for {}: it names {}",
            subject(server),
            name.to_str(),
            presented.join(", ")
        ),
        E::UnknownIssuer | E::Other(_) if is_own => format!(
            "the certificate of {} is self-signed and not trusted (SHA-256 {}); if it is the right one, trust it with \
             --ca-file or GIT_SSL_CAINFO",
            subject(server),
            fingerprint(der)
        ),
        E::Other(OtherError(cause)) if cause.to_string() == "CaUsedAsEndEntity" => format!(
            "the certificate of {} is one for an authority, not for a server (SHA-256 {}); if it is the right one, \
             trust it with --ca-file or GIT_SSL_CAINFO",
            subject(server),
            fingerprint(der)
        ),
        E::UnknownIssuer => format!(
            "the certificate of {} is issued by {}, which is not trusted; trust it with --ca-file or GIT_SSL_CAINFO",
            subject(server),
            issuer(last)
        ),
        E::UnsupportedSignatureAlgorithmContext { .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => format!(
            "the certificate of {} has an unsupported signature; supported are RSA with SHA-2, ECDSA with P-256 or \
             P-384, and Ed25519",
            subject(server)
        ),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            format!("the certificate of {} is not for servers (extended key usage)", subject(server))
        }
        E::Other(OtherError(cause)) => {
            format!("the certificate of {} is refused: {}", subject(server), plain(cause))
        }
        other => format!("the certificate of {} is refused: {}", subject(server), plain(other)),
    }
}

/// The fingerprint as `openssl x509 -fingerprint -sha256` prints it.
fn fingerprint(der: &CertificateDer<'_>) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, der);
    digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use rustls::{InvalidMessage, PeerMisbehaved};

    use super::*;

    #[test]
    fn names_of_the_source_become_words() {
        for (cause, words) in [
            (&Alert::HandshakeFailure as &dyn fmt::Debug, "handshake failure"),
            (&Alert::UnknownCA, "unknown CA"),
            (&CertificateError::BadEncoding, "bad encoding"),
            (&InvalidMessage::InvalidContentType, "invalid content type"),
        ] {
            assert_eq!(plain(&cause), words);
        }
    }

    #[test]
    fn no_error_of_tls_is_shown_as_its_source_names_it() {
        use rustls::Error as E;
        for (err, words) in [
            (E::AlertReceived(Alert::HandshakeFailure), "share no TLS cipher"),
            (E::AlertReceived(Alert::InsufficientSecurity), "share no TLS cipher"),
            (E::AlertReceived(Alert::ProtocolVersion), "neither TLS 1.2 nor TLS 1.3"),
            (E::AlertReceived(Alert::InternalError), "the server ended TLS: internal error"),
            (E::AlertReceived(Alert::CertificateExpired), "or requires one: certificate expired"),
            (E::AlertReceived(Alert::Unknown(99)), "the server ended TLS with the unknown alert 99"),
            (E::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13), "neither TLS 1.2"),
            (E::PeerIncompatible(PeerIncompatible::NoKxGroupsInCommon), "share no TLS cipher"),
            (
                E::PeerIncompatible(PeerIncompatible::NullCompressionRequired),
                "is incompatible with ours: null compression required",
            ),
            (E::PeerMisbehaved(PeerMisbehaved::TooManyEmptyFragments), "too many empty fragments"),
            (E::InvalidMessage(InvalidMessage::InvalidContentType), "does not speak TLS here"),
            (E::InvalidCertificate(CertificateError::BadSignature), "is refused: bad signature"),
        ] {
            let text = explain(io::Error::new(io::ErrorKind::InvalidData, err)).to_string();
            assert!(text.contains(words), "{text}");
        }
    }
}
