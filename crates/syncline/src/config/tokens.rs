//! Logins by tokens: the options of a GitHub App and of an OAuth token endpoint.

use std::path::PathBuf;

use sync_core::Secret;

use super::credential::SecretFrom;
use crate::options::{
    GITHUB_APP_APPLICATION_ID, GITHUB_APP_CLIENT_ID, GITHUB_APP_INSTALLATION_ID, GITHUB_APP_PRIVATE_KEY,
    GITHUB_APP_PRIVATE_KEY_FILE, GITHUB_BASE_URL, Grant, OAUTH_ASSERTION_FILE, OAUTH_CLIENT_ID,
    OAUTH_CLIENT_SECRET_FILE, OAUTH_GRANT, OAUTH_PARAMETER, OAUTH_SCOPE, OAUTH_TOKEN_URL, OAUTH_USERNAME,
    Row,
};
use crate::reader::OptionReader;

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

/// git-sync's rules; a key alone means nothing.
pub(super) fn github(r: &mut OptionReader) -> Option<GitHubApp> {
    let base_url = r.get(&GITHUB_BASE_URL).trim_end_matches('/').to_owned();
    // 0 stands for none.
    let mut id = |option| r.given(option).filter(|id| *id != 0);
    let (application, installation) = (id(&GITHUB_APP_APPLICATION_ID), id(&GITHUB_APP_INSTALLATION_ID));
    let client = r.find(&GITHUB_APP_CLIENT_ID);
    let given = r.secret(&GITHUB_APP_PRIVATE_KEY).map(SecretFrom::Given);
    let file = r.path(&GITHUB_APP_PRIVATE_KEY_FILE).map(SecretFrom::File);
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
    if given.is_some() && file.is_some() {
        r.error(&GITHUB_APP_PRIVATE_KEY_FILE, "cannot be combined with GITSYNC_GITHUB_APP_PRIVATE_KEY");
    }
    let key = given.or(file);
    if key.is_none() {
        let text = "or GITSYNC_GITHUB_APP_PRIVATE_KEY must be given for a GitHub App";
        r.error(&GITHUB_APP_PRIVATE_KEY_FILE, text);
    }
    Some(GitHubApp { base_url, issuer, installation: installation?, key: key? })
}

pub(super) fn oauth(r: &mut OptionReader) -> Option<OAuth> {
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

#[cfg(test)]
mod tests {
    use std::path::Path;

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
}
