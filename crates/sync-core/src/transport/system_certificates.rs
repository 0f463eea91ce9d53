//! The certificate authorities that the system trusts.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::options::{ConnectOptions, HttpSetting};
use super::tls::count_certificates;

/// Where systems keep their bundle. A container image may have none.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

impl ConnectOptions {
    /// Trust the certificate authorities of the system in addition to the bundled ones. This uses the first file that
    /// contains certificates among the paths where systems keep them. It reads no environment variable.
    ///
    /// It never fails: files and certificates that cannot be used are skipped. Returns one warning for each.
    #[must_use = "the warnings say which certificates are not trusted"]
    pub fn trust_system_certificates(&mut self) -> Vec<String> {
        let mut warnings = Vec::new();
        let bundle = first_usable(&BUNDLES.map(Path::new), &mut warnings);
        self.http.extend(bundle.map(|file| (None, HttpSetting::SystemCaFile(file))));
        warnings
    }
}

/// The first file that contains certificates.
fn first_usable(files: &[&Path], warnings: &mut Vec<String>) -> Option<PathBuf> {
    for path in files {
        let fault = match count_certificates(path) {
            Ok((0, _)) => "holds no certificate and is ignored".into(),
            Ok((_, 0)) => return Some(path.to_path_buf()),
            Ok((_, damaged)) => {
                let text = "of its certificates cannot be read; the others are trusted";
                warnings.push(format!("{}: {damaged} {text}", path.display()));
                return Some(path.to_path_buf());
            }
            Err(err) if matches!(err.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            Err(err) => format!("cannot be read and is ignored: {}", err.kind()),
        };
        warnings.push(format!(
            "{} {fault}; the bundled authorities and those given by options are still trusted",
            path.display()
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("authority.pem");

    #[test]
    fn a_bundle_that_nobody_named_never_stops_anything() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let noise = "-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----\n";
        let dir = tempfile::tempdir().unwrap();
        for (content, is_usable, warning) in [
            (GOOD.to_owned(), true, None),
            (String::new(), false, Some("holds no certificate")),
            ("words\n".into(), false, Some("holds no certificate")),
            (broken.into(), false, Some("holds no certificate")),
            (format!("{broken}{GOOD}"), true, Some("1 of its certificates")),
            (format!("{noise}{GOOD}{broken}"), true, Some("2 of its certificates")),
        ] {
            let (path, mut warnings) = (dir.path().join("bundle"), Vec::new());
            fs_err::write(&path, &content).unwrap();
            let found = first_usable(&[&dir.path().join("none"), &path], &mut warnings);
            assert_eq!(found.is_some(), is_usable, "{content}");
            assert_eq!(warnings.len(), usize::from(warning.is_some()), "{warnings:?}");
            assert!(
                warnings.iter().all(|text| warning.is_some_and(|word| text.contains(word))),
                "{warnings:?}"
            );
        }
    }

    #[test]
    fn the_next_place_counts_where_one_is_of_no_use() {
        let dir = tempfile::tempdir().unwrap();
        let (empty, good) = (dir.path().join("empty"), dir.path().join("good"));
        fs_err::write(&empty, "").unwrap();
        fs_err::write(&good, GOOD).unwrap();
        let mut warnings = Vec::new();
        assert_eq!(first_usable(&[dir.path(), &empty, &good], &mut warnings), Some(good));
        assert_eq!(warnings.len(), 2, "{warnings:?}");
    }
}
