//! Tokens of a GitHub App's installation.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;
use sync_core::{Auth, Error, ErrorKind, HttpRequest, Result, Secret};

use super::credential::{SecretSource, either};
use super::http::Http;
use super::secret_files;
use super::source::{SourceKind, TokenSource, are_equal, shared};
use super::token::{self, Token, USUAL_LIFE};
use crate::clock::{now, since_1970};
use crate::options::{
    GITHUB_APP_APPLICATION_ID, GITHUB_APP_CLIENT_ID, GITHUB_APP_INSTALLATION_ID, GITHUB_APP_PRIVATE_KEY,
    GITHUB_APP_PRIVATE_KEY_FILE, GITHUB_BASE_URL,
};
use crate::reader::OptionReader;

pub(super) const KIND: SourceKind = SourceKind {
    option: GITHUB_APP_INSTALLATION_ID.row(),
    metric: (
        "git_sync_refresh_github_app_token_count",
        "How many times the GitHub app token was refreshed, partitioned by state",
    ),
    wins: true,
    read: |r| shared(read(r)),
};

/// An installation of a GitHub App.
#[derive(Clone, Debug, PartialEq)]
struct GitHubApp {
    /// Without a slash at its end.
    base_url: String,
    /// The client ID or application ID.
    issuer: String,
    installation: u64,
    /// In PEM.
    key: SecretSource,
}

/// GitHub accepts ten minutes; clocks may differ.
const BACK_DATED: u64 = 60;
const LIFE: u64 = 9 * 60;

/// git-sync's rules; a key alone means nothing.
fn read(r: &mut OptionReader) -> Option<GitHubApp> {
    let base_url = r.get(&GITHUB_BASE_URL).trim_end_matches('/').to_owned();
    // 0 stands for none.
    let mut id = |option| r.given(option).filter(|id| *id != 0);
    let (application, installation) = (id(&GITHUB_APP_APPLICATION_ID), id(&GITHUB_APP_INSTALLATION_ID));
    let client = r.find(&GITHUB_APP_CLIENT_ID);
    let given = r.secret(&GITHUB_APP_PRIVATE_KEY);
    let file = r.path(&GITHUB_APP_PRIVATE_KEY_FILE);
    let issuer = match (client, application) {
        (None, None) => {
            if installation.is_some() {
                let text = "needs --github-app-client-id or --github-app-application-id";
                r.error(&GITHUB_APP_INSTALLATION_ID, text);
            }
            return None;
        }
        (Some(client), None) => client,
        (None, Some(application)) => application.to_string(),
        (Some(client), Some(_)) => {
            r.error(&GITHUB_APP_CLIENT_ID, "cannot be combined with --github-app-application-id");
            client
        }
    };
    if installation.is_none() {
        r.error(&GITHUB_APP_INSTALLATION_ID, "must be given for a GitHub App");
    }
    let key = either(r, (&GITHUB_APP_PRIVATE_KEY, given), (&GITHUB_APP_PRIVATE_KEY_FILE, file));
    if key.is_none() {
        let text = "or GITSYNC_GITHUB_APP_PRIVATE_KEY must be given for a GitHub App";
        r.error(&GITHUB_APP_PRIVATE_KEY_FILE, text);
    }
    Some(GitHubApp { base_url, issuer, installation: installation?, key: key? })
}

impl TokenSource for GitHubApp {
    fn is_same(&self, other: &dyn TokenSource) -> bool {
        are_equal(self, other)
    }

    fn fetch(&self, http: &Http) -> Result<Token> {
        let pem = match &self.key {
            SecretSource::Given(pem) => pem.clone(),
            SecretSource::File(path) => secret_files::text("the GitHub App's private key", path)?.into(),
        };
        let jwt = jwt(&self.issuer, &pem, since_1970().as_secs())
            .map_err(|error| Error::new(ErrorKind::Configuration, "sign as the GitHub App", error))?;
        let headers = [
            ("Authorization", format!("Bearer {}", jwt.expose())),
            ("Accept", "application/vnd.github+json".into()),
            ("X-GitHub-Api-Version", "2022-11-28".into()),
        ];
        let url = format!("{}/app/installations/{}/access_tokens", self.base_url, self.installation);
        let mut request = HttpRequest::new("POST", url, http.timeout);
        request.headers = headers.map(|(name, value)| (name.to_owned(), value)).into();
        let (token, answer) = token::ask(&request, (201, "token"), http, &[jwt])?;
        let end = answer["expires_at"].as_str().and_then(|text| humantime::parse_rfc3339(text).ok());
        // git-sync's user name; GitHub checks the token only.
        Ok(Token::new(Auth::basic("-", token), end.unwrap_or_else(|| now() + USUAL_LIFE)))
    }
}

/// RFC 7519 with RS256.
fn jwt(issuer: &str, pem: &Secret, now: u64) -> std::result::Result<Secret, String> {
    let key = key(pem)?;
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let claims = json!({ "iss": issuer, "iat": now.saturating_sub(BACK_DATED), "exp": now + LIFE });
    let signed = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| "the private key cannot sign")?;
    Ok(format!("{signed}.{}", BASE64.encode(signature)).into())
}

fn key(pem: &Secret) -> std::result::Result<RsaKeyPair, String> {
    let parsed = match PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()) {
        Ok(PrivateKeyDer::Pkcs1(key)) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        Ok(PrivateKeyDer::Pkcs8(key)) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        _ => return Err("the private key is not an RSA key in PEM (PKCS#1 or PKCS#8, not encrypted)".into()),
    };
    parsed.map_err(|why| format!("the private key cannot be used: {why}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::tests::origins;

    const KEY: [(&str, &str); 1] = [("GITSYNC_GITHUB_APP_PRIVATE_KEY", "canary")];

    fn app(argv: &[&str], variables: &[(&str, &str)]) -> Option<GitHubApp> {
        crate::reader::tests::read(argv, variables, read).unwrap()
    }

    #[test]
    fn a_github_app_is_complete_or_all_its_errors_are_reported() {
        let whole = ["--github-app-client-id=Iv1", "--github-app-installation-id=0x10"];
        let found = app(&whole, &KEY).unwrap();
        assert_eq!((found.issuer.as_str(), found.installation), ("Iv1", 16));
        assert_eq!(found.base_url, "https://api.github.com");
        let numbered = [
            "--github-app-application-id=7",
            "--github-app-installation-id=1",
            "--github-base-url=https://ghe/api/",
        ];
        let file = [&numbered[..], &["--github-app-private-key-file=k"]].concat();
        let found = app(&file, &[]).unwrap();
        assert_eq!((found.issuer.as_str(), found.base_url.as_str()), ("7", "https://ghe/api"));
        assert!(matches!(found.key, SecretSource::File(path) if path == Path::new("/cwd/k")));

        let ids = ["--github-app-client-id=a", "--github-app-application-id=1"];
        let none =
            ["--github-app-client-id", "--github-app-installation-id", "--github-app-private-key-file"];
        assert_eq!(origins(&ids, &[]), none);
        assert_eq!(origins(&["--github-app-installation-id=1"], &KEY), ["--github-app-installation-id"]);
        assert_eq!(origins(&file, &KEY), ["--github-app-private-key-file"]);
        assert_eq!(origins(&["--github-app-application-id=-1"], &[]), ["--github-app-application-id"]);
        let password = [KEY[0], ("GITSYNC_PASSWORD", "canary")];
        let both = [&whole[..], &["--username=u", "--github-base-url=http://ghe/api"]].concat();
        assert_eq!(origins(&both, &password), ["--github-base-url", "--github-app-installation-id"]);
        // As in git-sync.
        assert!(app(&["--github-app-application-id=0"], &KEY).is_none());
    }
}
