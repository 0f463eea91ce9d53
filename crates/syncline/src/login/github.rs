//! Tokens of a GitHub App's installation.

use std::time::UNIX_EPOCH;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;
use sync_core::{Auth, Error, ErrorKind, HttpRequest, Result, Secret};

use super::Http;
use super::files;
use super::token::{self, Token, USUAL_LIFE};
use crate::clock::now;
use crate::config::{GitHubApp, SecretFrom};

/// GitHub accepts ten minutes; clocks differ.
const BACK_DATED: u64 = 60;
const LIFE: u64 = 9 * 60;

/// Have a token made.
pub(super) fn mint(app: &GitHubApp, http: &Http) -> Result<Token> {
    let pem = match &app.key {
        SecretFrom::Given(pem) => pem.clone(),
        SecretFrom::File(path) => files::text("the GitHub App's private key", path)?.into(),
    };
    let seconds = now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let jwt = jwt(&app.issuer, &pem, seconds)
        .map_err(|fault| Error::new(ErrorKind::Configuration, "sign as the GitHub App", fault))?;
    let headers = [
        ("Authorization", format!("Bearer {}", jwt.expose())),
        ("Accept", "application/vnd.github+json".into()),
        ("X-GitHub-Api-Version", "2022-11-28".into()),
    ];
    let request = HttpRequest {
        method: "POST".into(),
        url: format!("{}/app/installations/{}/access_tokens", app.base_url, app.installation),
        headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
        body: Vec::new(),
        follow_redirects: false,
        timeout: http.timeout,
    };
    let (token, answer) = token::ask(&request, (201, "token"), http, &[jwt])?;
    let end = answer["expires_at"].as_str().and_then(|text| humantime::parse_rfc3339(text).ok());
    // git-sync's user name; GitHub looks at the token only.
    Ok(Token::new(Auth::basic("-", token), end.unwrap_or_else(|| now() + USUAL_LIFE)))
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
        _ => return Err("the private key is no RSA key in PEM (PKCS#1 or PKCS#8, not encrypted)".into()),
    };
    parsed.map_err(|why| format!("the private key is of no use: {why}"))
}
