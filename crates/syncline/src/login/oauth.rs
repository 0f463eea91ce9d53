//! Tokens of an OAuth 2 or OIDC token endpoint.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use sync_core::{Auth, HttpRequest, Result, Secret};

use super::http::Http;
use super::secret_files;
use super::source::{SourceKind, TokenSource, are_equal, shared};
use super::token::{self, Token, USUAL_LIFE};
use crate::clock::now;
use crate::options::{
    Grant, OAUTH_ASSERTION_FILE, OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET_FILE, OAUTH_GRANT, OAUTH_PARAMETER,
    OAUTH_SCOPE, OAUTH_TOKEN_URL, OAUTH_USERNAME, Row,
};
use crate::reader::OptionReader;

pub(super) const KIND: SourceKind = SourceKind {
    option: OAUTH_TOKEN_URL.row(),
    metric: (
        "syncline_oauth_token_requests_total",
        "How many tokens were asked for at --oauth-token-url, partitioned by state",
    ),
    wins: false,
    read: |r| shared(read(r)),
};

/// A client of a token endpoint.
#[derive(Clone, Debug, PartialEq)]
struct OAuth {
    token_url: String,
    grant: Grant,
    client_id: Option<String>,
    client_secret_file: Option<PathBuf>,
    /// A JWT that identifies the client.
    assertion_file: Option<PathBuf>,
    scope: Option<String>,
    /// More fields of the form.
    parameters: Vec<(String, Secret)>,
    /// Whose password the token is; `None`: it is a bearer token.
    username: Option<String>,
}

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Longer than any token lives.
const LONGEST_LIFE: u64 = 24 * 3600;

fn read(r: &mut OptionReader) -> Option<OAuth> {
    let others: [&Row; 7] = [
        &OAUTH_CLIENT_ID,
        &OAUTH_CLIENT_SECRET_FILE,
        &OAUTH_ASSERTION_FILE,
        &OAUTH_GRANT,
        &OAUTH_SCOPE,
        &OAUTH_PARAMETER,
        &OAUTH_USERNAME,
    ];
    if !r.is_set(&OAUTH_TOKEN_URL) {
        for option in others {
            if r.is_set(option) {
                r.error(option, "needs --oauth-token-url");
            }
        }
        return None;
    }
    let oauth = OAuth {
        token_url: r.given(&OAUTH_TOKEN_URL).unwrap_or_default(),
        grant: r.get(&OAUTH_GRANT),
        client_id: r.find(&OAUTH_CLIENT_ID),
        client_secret_file: r.file_to_send(&OAUTH_CLIENT_SECRET_FILE),
        assertion_file: r.path(&OAUTH_ASSERTION_FILE),
        scope: r.find(&OAUTH_SCOPE),
        parameters: parameters(r),
        username: r.find(&OAUTH_USERNAME),
    };
    complete(r, &oauth);
    Some(oauth)
}

fn complete(r: &mut OptionReader, oauth: &OAuth) {
    let (has_secret, has_assertion) = (oauth.client_secret_file.is_some(), oauth.assertion_file.is_some());
    match oauth.grant {
        Grant::TokenExchange if !has_assertion => {
            r.error(&OAUTH_ASSERTION_FILE, "must be given: it is the token to exchange");
        }
        Grant::TokenExchange => {}
        Grant::ClientCredentials => {
            if oauth.client_id.is_none() {
                r.error(&OAUTH_CLIENT_ID, "must be given with --oauth-grant=client-credentials");
            }
            if has_secret && has_assertion {
                r.error(&OAUTH_CLIENT_SECRET_FILE, "cannot be combined with --oauth-assertion-file");
            } else if !has_secret && !has_assertion {
                r.error(&OAUTH_CLIENT_SECRET_FILE, "or --oauth-assertion-file must be given");
            }
        }
    }
}

/// Their values may be secret, so errors do not quote them.
fn parameters(r: &mut OptionReader) -> Vec<(String, Secret)> {
    let mut parameters = Vec::new();
    for text in r.list(&OAUTH_PARAMETER).iter().filter(|text| !text.is_empty()) {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => parameters.push((key.to_owned(), value.into())),
            _ => r.error(&OAUTH_PARAMETER, "must have the form KEY=VALUE"),
        }
    }
    parameters
}

impl TokenSource for OAuth {
    fn is_same(&self, other: &dyn TokenSource) -> bool {
        are_equal(self, other)
    }

    /// Get a token with what the files contain now.
    fn fetch(&self, http: &Http) -> Result<Token> {
        let read = |what: &str, path: &Option<PathBuf>| {
            path.as_ref().map(|path| secret_files::token(what, path)).transpose()
        };
        let secret = read("the OAuth client's secret", &self.client_secret_file)?;
        let assertion = read("the OAuth assertion", &self.assertion_file)?;
        let fields = fields(self, secret.as_ref(), assertion.as_ref());
        let mut request = HttpRequest::new("POST", self.token_url.as_str(), http.timeout);
        request.headers = vec![
            ("Content-Type".into(), "application/x-www-form-urlencoded".into()),
            ("Accept".into(), "application/json".into()),
        ];
        request.body = form(&fields).into_bytes();
        let given = self.parameters.iter().map(|(_, value)| value.clone());
        let secrets: Vec<Secret> = given.chain(secret).chain(assertion).collect();
        let (token, answer) = token::ask(&request, (200, "access_token"), http, &secrets)?;
        let auth = match &self.username {
            Some(user) => Auth::basic(user, token),
            None => Auth::Bearer(token),
        };
        Ok(Token::new(auth, now() + life(&answer)))
    }
}

/// The fields of the form; a parameter replaces the default field of the same name.
fn fields<'a>(
    oauth: &'a OAuth,
    secret: Option<&'a Secret>,
    assertion: Option<&'a Secret>,
) -> Vec<(&'a str, &'a str)> {
    let assertion = assertion.map(Secret::expose);
    let by_grant = match oauth.grant {
        Grant::ClientCredentials => [
            ("grant_type", Some("client_credentials")),
            ("client_assertion_type", assertion.map(|_| JWT_BEARER)),
            ("client_assertion", assertion),
            ("requested_token_type", None),
        ],
        Grant::TokenExchange => [
            ("grant_type", Some(TOKEN_EXCHANGE)),
            ("subject_token_type", Some(JWT)),
            ("subject_token", assertion),
            ("requested_token_type", Some(ACCESS_TOKEN)),
        ],
    };
    let common = [
        ("client_id", oauth.client_id.as_deref()),
        ("client_secret", secret.map(Secret::expose)),
        ("scope", oauth.scope.as_deref()),
    ];
    let is_replaced = |name: &str| oauth.parameters.iter().any(|(key, _)| key == name);
    let usual = by_grant.into_iter().chain(common).filter(|(name, _)| !is_replaced(name));
    let further = oauth.parameters.iter().map(|(key, value)| (key.as_str(), value.expose()));
    usual.filter_map(|(name, value)| Some((name, value?))).chain(further).collect()
}

fn form(fields: &[(&str, &str)]) -> String {
    let escaped = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Some servers write the number as a string.
fn life(answer: &Value) -> Duration {
    let seconds = &answer["expires_in"];
    let seconds = seconds.as_u64().or_else(|| seconds.as_str()?.parse().ok());
    seconds.map_or(USUAL_LIFE, |seconds| Duration::from_secs(seconds.min(LONGEST_LIFE)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{config, origins};

    fn oauth(grant: Grant, parameters: &[(&str, &str)]) -> OAuth {
        OAuth {
            token_url: "https://h/token".into(),
            grant,
            client_id: Some("me".into()),
            client_secret_file: None,
            assertion_file: None,
            scope: Some("a b".into()),
            parameters: parameters.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect(),
            username: None,
        }
    }

    #[test]
    fn the_form_is_what_the_grant_wants() {
        let (secret, assertion) = (Secret::from("s&="), Secret::from("j.w.t"));
        let client = oauth(Grant::ClientCredentials, &[]);
        let by_secret = form(&fields(&client, Some(&secret), None));
        assert_eq!(
            by_secret,
            "grant%5Ftype=client%5Fcredentials&client%5Fid=me&client%5Fsecret=s%26%3D&scope=a%20b"
        );
        let by_assertion = fields(&client, None, Some(&assertion));
        assert!(by_assertion.contains(&("client_assertion", "j.w.t")));
        assert!(by_assertion.contains(&("client_assertion_type", JWT_BEARER)));
    }

    #[test]
    fn parameters_replace_and_repeat() {
        let parameters = [("audience", "a"), ("audience", "b"), ("subject_token_type", "id")];
        let exchange = oauth(Grant::TokenExchange, &parameters);
        let assertion = Secret::from("j.w.t");
        let fields = fields(&exchange, None, Some(&assertion));
        let of = |name: &str| {
            fields.iter().filter(|(key, _)| *key == name).map(|(_, value)| *value).collect::<Vec<_>>()
        };
        assert_eq!((of("subject_token_type"), of("audience")), (vec!["id"], vec!["a", "b"]));
        assert_eq!((of("subject_token"), of("grant_type")), (vec!["j.w.t"], vec![TOKEN_EXCHANGE]));
    }

    #[test]
    fn the_life_of_a_token_is_a_number_or_a_text() {
        for (answer, seconds) in [
            (r#"{"expires_in":60}"#, 60),
            (r#"{"expires_in":"60"}"#, 60),
            ("{}", 300),
            (r#"{"expires_in":-1}"#, 300),
            (r#"{"expires_in":99999999999999999}"#, LONGEST_LIFE),
        ] {
            let life = life(&serde_json::from_str(answer).unwrap());
            assert_eq!(life, Duration::from_secs(seconds), "{answer}");
        }
    }

    #[test]
    fn an_oauth_client_is_complete_or_all_its_errors_are_reported() {
        let url = "--oauth-token-url=https://h/token/";
        let whole = [url, "--oauth-client-id=c", "--oauth-assertion-file=/a", "--oauth-parameter=a=b=c"];
        let oauth = crate::reader::tests::read(&whole, &[], read).unwrap().unwrap();
        assert_eq!((oauth.grant, oauth.token_url.as_str()), (Grant::ClientCredentials, "https://h/token/"));
        assert_eq!(oauth.parameters, [("a".to_owned(), "b=c".into())]);
        assert!(config(&[url, "--oauth-grant=token-exchange", "--oauth-assertion-file=/a"], &[]).is_ok());

        let without = ["--oauth-client-id=c", "--oauth-scope=s", "--oauth-parameter=canary"];
        assert_eq!(origins(&without, &[]), ["--oauth-client-id", "--oauth-scope", "--oauth-parameter"]);
        assert_eq!(origins(&[url], &[]), ["--oauth-client-id", "--oauth-client-secret-file"]);
        assert_eq!(origins(&[url, "--oauth-grant=token-exchange"], &[]), ["--oauth-assertion-file"]);
        let both = [&whole[..], &["--oauth-client-secret-file=/s"]].concat();
        assert_eq!(origins(&both, &[]), ["--oauth-client-secret-file"]);
        let wrong = [&whole[..], &["--oauth-grant=password", "--oauth-parameter=canary"]].concat();
        assert_eq!(origins(&wrong, &[]), ["--oauth-grant", "--oauth-parameter"]);
    }
}
