//! Logins by tokens that are asked for: what was said of a GitHub App and of an OAuth token endpoint.

use std::path::{Path, PathBuf};

use axum::http::Uri;
use sync_core::{Secret, is_loopback};

use super::credential::SecretFrom;
use super::faults::Reader;
use super::login::{file_to_send, secret};
use super::values;

/// An installation of a GitHub App.
#[derive(Clone, Debug)]
pub struct GitHubApp {
    /// Without a slash at its end.
    pub base_url: String,
    /// The client id or application id.
    pub issuer: String,
    pub installation: u64,
    /// In PEM.
    pub key: SecretFrom,
}

/// A client of a token endpoint.
#[derive(Clone, Debug)]
pub struct OAuth {
    pub token_url: String,
    pub grant: Grant,
    pub client_id: Option<String>,
    pub client_secret_file: Option<PathBuf>,
    /// A JWT that says who we are.
    pub assertion_file: Option<PathBuf>,
    pub scope: Option<String>,
    /// Further fields of the form.
    pub parameters: Vec<(String, Secret)>,
    /// Whose password the token is; `None`: it is a bearer token.
    pub username: Option<String>,
}

/// What is exchanged for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// RFC 6749, 4.4; by an assertion, RFC 7523.
    ClientCredentials,
    /// RFC 8693.
    TokenExchange,
}

/// git-sync's rules; a key alone says nothing.
pub(super) fn github(r: &mut Reader, cwd: &Path) -> Option<GitHubApp> {
    let base_url = r.or("github-base-url", "https://api.github.com".into(), |text| {
        private_url(text).map(|url| url.trim_end_matches('/').to_owned())
    });
    let (application, installation) =
        (id(r, "github-app-application-id"), id(r, "github-app-installation-id"));
    let client = r.set("github-app-client-id");
    let given = secret(r, "github-app-private-key").map(SecretFrom::Given);
    let file = r.path("github-app-private-key-file").map(|path| SecretFrom::File(cwd.join(path)));
    let issuer = match (client, application) {
        (None, None) => {
            if installation.is_some() {
                let text = "needs --github-app-client-id or --github-app-application-id";
                r.fault("github-app-installation-id", text);
            }
            return None;
        }
        (Some(client), None) => client,
        (None, Some(application)) => application.to_string(),
        (Some(client), Some(_)) => {
            r.fault("github-app-client-id", "and --github-app-application-id cannot both be given");
            client
        }
    };
    if installation.is_none() {
        r.fault("github-app-installation-id", "must be given for a GitHub App");
    }
    if given.is_some() && file.is_some() {
        let text = "and GITSYNC_GITHUB_APP_PRIVATE_KEY cannot both be given";
        r.fault("github-app-private-key-file", text);
    }
    let key = given.or(file);
    if key.is_none() {
        r.fault(
            "github-app-private-key-file",
            "or GITSYNC_GITHUB_APP_PRIVATE_KEY must be given for a GitHub App",
        );
    }
    Some(GitHubApp { base_url, issuer, installation: installation?, key: key? })
}

/// A number; 0 stands for none.
fn id(r: &mut Reader, name: &str) -> Option<u64> {
    r.or(name, None, |text| match u64::try_from(values::integer(text)?) {
        Ok(number) => Ok(Some(number).filter(|number| *number != 0)),
        Err(_) => Err(format!("{text:?} is negative")),
    })
}

pub(super) fn oauth(r: &mut Reader, cwd: &Path) -> Option<OAuth> {
    const OTHERS: [&str; 7] = [
        "oauth-client-id",
        "oauth-client-secret-file",
        "oauth-assertion-file",
        "oauth-grant",
        "oauth-scope",
        "oauth-parameter",
        "oauth-username",
    ];
    if r.set("oauth-token-url").is_none() {
        for name in OTHERS {
            if r.set(name).is_some() {
                r.fault(name, "needs --oauth-token-url");
            }
        }
        return None;
    }
    let oauth = OAuth {
        token_url: r.or("oauth-token-url", String::new(), private_url),
        grant: r.or("oauth-grant", Grant::ClientCredentials, |text| match text {
            "" | "client-credentials" => Ok(Grant::ClientCredentials),
            "token-exchange" => Ok(Grant::TokenExchange),
            _ => Err(format!("{text:?} is neither client-credentials nor token-exchange")),
        }),
        client_id: r.set("oauth-client-id"),
        client_secret_file: file_to_send(r, "oauth-client-secret-file", cwd),
        assertion_file: r.path("oauth-assertion-file").map(|path| cwd.join(path)),
        scope: r.set("oauth-scope"),
        parameters: parameters(r),
        username: r.set("oauth-username"),
    };
    complete(r, &oauth);
    Some(oauth)
}

fn complete(r: &mut Reader, oauth: &OAuth) {
    let (has_secret, has_assertion) = (oauth.client_secret_file.is_some(), oauth.assertion_file.is_some());
    match oauth.grant {
        Grant::TokenExchange if !has_assertion => {
            r.fault("oauth-assertion-file", "must be given: it is the token to exchange");
        }
        Grant::TokenExchange => {}
        Grant::ClientCredentials => {
            if oauth.client_id.is_none() {
                r.fault("oauth-client-id", "must be given with --oauth-grant=client-credentials");
            }
            if has_secret && has_assertion {
                r.fault("oauth-client-secret-file", "and --oauth-assertion-file cannot both be given");
            } else if !has_secret && !has_assertion {
                r.fault("oauth-client-secret-file", "or --oauth-assertion-file must be given");
            }
        }
    }
}

/// Their values may be secret and are not quoted.
fn parameters(r: &mut Reader) -> Vec<(String, Secret)> {
    let mut parameters = Vec::new();
    for text in r.list("oauth-parameter").iter().filter(|text| !text.is_empty()) {
        match text.to_str().and_then(|text| text.split_once('=')) {
            Some((key, value)) if !key.is_empty() => parameters.push((key.to_owned(), value.into())),
            _ => r.fault("oauth-parameter", "has not the form KEY=VALUE"),
        }
    }
    parameters
}

/// Secrets are sent to it: nobody on the way may read them.
fn private_url(text: &str) -> Result<String, String> {
    let uri: Uri = text.parse().map_err(|_| "is no URL")?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    if host.is_empty() {
        return Err("names no host".into());
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("holds a login, which is not heeded here".into());
    }
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if is_loopback(host) => {}
        _ => {
            return Err(
                "must be an https URL, since secrets are sent to it (http only to this machine)".into()
            );
        }
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::login::{Issuer, Way};
    use super::super::tests::{config, faults};
    use super::*;

    const KEY: [(&str, &str); 1] = [("GITSYNC_GITHUB_APP_PRIVATE_KEY", "canary")];

    fn origins(argv: &[&str], environment: &[(&str, &str)]) -> Vec<String> {
        let faults = faults(argv, environment);
        assert!(!faults.concat().contains("canary"), "{faults:?}");
        faults.iter().map(|fault| fault.split(':').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_github_app_is_whole_or_its_faults_are_told_together() {
        let whole = ["--github-app-client-id=Iv1", "--github-app-installation-id=0x10"];
        let Some(Way::Asked(Issuer::GitHub(app))) = config(&whole, &KEY).unwrap().login.own else { panic!() };
        assert_eq!((app.issuer.as_str(), app.installation), ("Iv1", 16));
        assert_eq!(app.base_url, "https://api.github.com");
        let numbered = [
            "--github-app-application-id=7",
            "--github-app-installation-id=1",
            "--github-base-url=https://ghe/api/",
        ];
        let file = [&numbered[..], &["--github-app-private-key-file=k"]].concat();
        let Some(Way::Asked(Issuer::GitHub(app))) = config(&file, &[]).unwrap().login.own else { panic!() };
        assert_eq!((app.issuer.as_str(), app.base_url.as_str()), ("7", "https://ghe/api"));
        assert!(matches!(app.key, SecretFrom::File(path) if path == Path::new("/cwd/k")));

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
        assert!(config(&["--github-app-application-id=0"], &KEY).unwrap().login.own.is_none());
    }

    #[test]
    fn an_oauth_client_is_whole_or_its_faults_are_told_together() {
        let url = "--oauth-token-url=https://h/token/";
        let whole = [url, "--oauth-client-id=c", "--oauth-assertion-file=/a", "--oauth-parameter=a=b=c"];
        let Some(Way::Asked(Issuer::OAuth(oauth))) = config(&whole, &[]).unwrap().login.own else { panic!() };
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

    #[test]
    fn secrets_are_sent_over_https_or_within_the_machine() {
        for url in ["https://h/x", "http://localhost:1/x", "http://127.0.0.9/x", "http://[::1]:8/x"] {
            assert_eq!(private_url(url), Ok(url.to_owned()));
        }
        for url in
            ["http://h/x", "ftp://h/x", "h/x", "", "https://canary:canary@h/x", "http://localhost.evil/"]
        {
            let fault = private_url(url).unwrap_err();
            assert!(!fault.contains("canary"), "{fault}");
        }
    }
}
