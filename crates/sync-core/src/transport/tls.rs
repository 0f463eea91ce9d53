//! TLS 1.2 and 1.3 with rustls: which certificates we trust, and our own.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, io};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned,
};
use x509_cert::der::Decode;

use super::stream::Stream;
use super::tls_errors::{describe, explain_handshake};
use crate::bounded_read::{LARGEST_FILE, read_bounded};

/// The user's settings for TLS.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TlsOptions {
    pub(crate) ca_files: Vec<PathBuf>,
    pub(crate) ca_directories: Vec<PathBuf>,
    /// The user did not name these files, so anything in them that cannot be read is skipped.
    pub(crate) system_ca_files: Vec<PathBuf>,
    pub(crate) client_cert: Option<PathBuf>,
    /// By default the key is in the file of the certificate.
    pub(crate) client_key: Option<PathBuf>,
    /// Whether any certificate is accepted.
    pub(crate) insecure: bool,
}

/// Makes TLS connections. The files are read at the first one. With the authorities of a system, what they hold is a
/// third of a MiB, so many connections share it.
#[derive(Debug)]
pub(crate) struct Tls {
    options: TlsOptions,
    config: Mutex<Option<Arc<ClientConfig>>>,
}

impl Tls {
    pub(crate) fn new(options: TlsOptions) -> Self {
        Tls { options, config: Mutex::default() }
    }

    pub(super) fn options(&self) -> &TlsOptions {
        &self.options
    }

    /// Read the files again for the next connection.
    pub(super) fn forget(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<ClientConfig>>> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn config(&self) -> io::Result<Arc<ClientConfig>> {
        if let Some(config) = self.lock().clone() {
            return Ok(config);
        }
        let config = Arc::new(self.options.build()?);
        Ok(self.lock().get_or_insert(config).clone())
    }

    /// TLS over a stream, after the handshake.
    pub(crate) fn wrap(&self, mut stream: Stream, host: &str) -> io::Result<Stream> {
        let config = self.config()?;
        // A trailing dot marks an absolute DNS name; certificates omit it.
        let host = host.strip_suffix('.').unwrap_or(host);
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| io::Error::other(format!("{host} cannot be the name in a certificate")))?;
        let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).map_err(explain_handshake)?;
        }
        Ok(Stream::Tls(Box::new(StreamOwned::new(connection, stream))))
    }
}

impl TlsOptions {
    pub(super) fn build(&self) -> io::Result<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
        let given = self.given()?;
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        roots.add_parsable_certificates(given.iter().cloned());
        let known = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone());
        let known = if self.insecure { None } else { Some(known.build().map_err(io::Error::other)?) };
        let verifier = Verifier { known, given, algorithms: provider.signature_verification_algorithms };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let Some(cert_file) = &self.client_cert else { return Ok(config.with_no_client_auth()) };
        let key_file = self.client_key.as_ref().unwrap_or(cert_file);
        let named =
            |path: &Path, err: &dyn fmt::Display| io::Error::other(format!("{}: {err}", path.display()));
        let key = PrivateKeyDer::from_pem_slice(&read_bounded(key_file, LARGEST_FILE)?)
            .map_err(|_| named(key_file, &"holds no unencrypted PEM private key"))?;
        config
            .with_client_auth_cert(certificates(cert_file)?, key)
            .map_err(|err| named(cert_file, &format!("does not match its key: {err}")))
    }

    fn given(&self) -> io::Result<Vec<CertificateDer<'static>>> {
        let mut given = Vec::new();
        for path in &self.ca_files {
            given.extend(certificates(path)?);
        }
        for directory in &self.ca_directories {
            given.extend(certificates_in(directory)?);
        }
        for path in &self.system_ca_files {
            given.extend(read_bounded(path, LARGEST_FILE).iter().flat_map(|pem| readable(pem)));
        }
        Ok(given)
    }
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let pem = read_bounded(path, LARGEST_FILE)?;
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let fault = match found {
        Ok(found) if !found.is_empty() => return Ok(found),
        Ok(_) => "holds no PEM certificate",
        Err(_) => "holds a damaged or incomplete PEM certificate",
    };
    Err(io::Error::other(format!("{}: {fault}", path.display())))
}

fn readable(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect()
}

/// All certificates in the files of a directory, which may contain other files, too.
fn certificates_in(directory: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(directory)? {
        let path = entry?.path();
        if path.is_file() {
            found.extend(readable(&read_bounded(&path, LARGEST_FILE)?));
        }
    }
    Ok(found)
}

/// How many usable certificates a file contains, and how many that are damaged.
pub(super) fn count_certificates(path: &Path) -> io::Result<(usize, usize)> {
    let pem = read_bounded(path, LARGEST_FILE)?;
    let (found, damaged): (Vec<_>, Vec<_>) =
        CertificateDer::pem_slice_iter(&pem).partition(|found: &Result<CertificateDer<'_>, _>| found.is_ok());
    let (good, useless) = RootCertStore::empty().add_parsable_certificates(found.into_iter().flatten());
    Ok((good, useless + damaged.len()))
}

/// Decides whether to trust the certificate of a server.
#[derive(Debug)]
struct Verifier {
    /// Checks the chain up to a trusted authority; `None` accepts any certificate.
    known: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates from the user's files. Private servers often have a self-signed certificate, which webpki does not
    /// accept from a server, so these are compared.
    given: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(known) = &self.known else { return Ok(ServerCertVerified::assertion()) };
        if self.given.iter().any(|given| given == end_entity) && is_valid_at(end_entity, now) {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)
                .map_err(|err| describe(err, &[end_entity], server_name, now))?;
            return Ok(ServerCertVerified::assertion());
        }
        known.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now).map_err(|err| {
            let chain: Vec<_> = std::iter::once(end_entity).chain(intermediates).collect();
            describe(err, &chain, server_name, now)
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn is_valid_at(der: &CertificateDer<'_>, now: UnixTime) -> bool {
    x509_cert::Certificate::from_der(der).is_ok_and(|cert| {
        let validity = *cert.tbs_certificate().validity();
        let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
        (seconds(validity.not_before)..=seconds(validity.not_after)).contains(&now.as_secs())
    })
}
