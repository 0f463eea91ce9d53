//! How to log in over HTTP: what was asked for, and that it does not contradict itself.

use std::path::PathBuf;
use std::sync::Arc;

use sync_core::{RemoteUrl, Secret};

use super::credential::{self, Credential, SecretSource, StaticCredential, either};
use super::source::{SourceKind, TokenSource};
use super::sources::SOURCES;
use crate::options::values::CookieFile;
use crate::options::{
    BEARER_TOKEN, BEARER_TOKEN_FILE, COOKIE_FILE, CREDENTIAL, NETRC_FILE, PASSWORD, PASSWORD_FILE, Row,
    USERNAME,
};
use crate::reader::OptionReader;

/// Everything to log in with.
#[derive(Clone, Debug)]
pub struct LoginConfig {
    /// At the repository's server; `None`: with the login in its URL, if there is one.
    pub own: Option<AuthMethod>,
    /// At any server or part of one; at the same distance they go first.
    pub credentials: Vec<Credential>,
    /// The file of cookies, if one is used.
    pub cookies: Option<Cookies>,
    /// The `.netrc`, if one is used.
    pub netrc: Option<Netrc>,
}

/// One way to log in.
#[derive(Clone, Debug)]
pub enum AuthMethod {
    /// With a secret that is known.
    Static(StaticCredential),
    /// With what a token source answers.
    Token(&'static SourceKind, Arc<dyn TokenSource>),
}

/// Where cookies are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cookies {
    /// From the option: the file must exist.
    Given(PathBuf),
    /// From Git's setting: the file may be missing.
    Configured(PathBuf),
}

/// Where the logins of curl, ftp and others are.
#[derive(Clone, Debug)]
pub enum Netrc {
    /// From the option: the file must exist.
    Given(PathBuf),
    /// In the usual place, where there may be none.
    Usual(PathBuf),
}

/// git-sync's only place.
const COOKIE_FILE_PATH: &str = "/etc/git-secret/cookie_file";

impl LoginConfig {
    /// Read everything that says how to log in at `url`; `git_cookies` is the file of Git's `http.cookieFile`.
    pub fn read(r: &mut OptionReader, url: Option<&RemoteUrl>, git_cookies: Option<PathBuf>) -> LoginConfig {
        LoginConfig {
            own: own(r, url),
            credentials: credentials(r),
            cookies: cookies(r, git_cookies),
            netrc: netrc(r),
        }
    }
}

fn own(r: &mut OptionReader, url: Option<&RemoteUrl>) -> Option<AuthMethod> {
    let token: &Row = if r.is_set(&BEARER_TOKEN) { &BEARER_TOKEN } else { &BEARER_TOKEN_FILE };
    let mut methods =
        vec![(&*USERNAME, password(r).map(AuthMethod::Static)), (token, bearer(r).map(AuthMethod::Static))];
    for kind in &SOURCES {
        methods.push((kind.option, (kind.read)(r).map(|source| AuthMethod::Token(kind, source))));
    }
    let mut given = methods.into_iter().filter_map(|(option, method)| Some((option, method?)));
    let (first, method) = given.next()?;
    for (other, _) in given {
        r.error(other, format!("cannot be combined with {}", r.mention(first)));
    }
    let wins = matches!(method, AuthMethod::Token(kind, _) if kind.wins);
    if !wins && url.is_some_and(RemoteUrl::has_login) {
        r.error(first, "cannot be combined with a login in the URL");
    }
    Some(method)
}

fn password(r: &mut OptionReader) -> Option<StaticCredential> {
    let given = r.find(&PASSWORD).map(Secret::from);
    let file = r.file_to_send(&PASSWORD_FILE);
    let Some(user) = r.find(&USERNAME) else {
        if given.is_some() || file.is_some() {
            r.error(&USERNAME, "must be given with a password");
        }
        return None;
    };
    let password = either(r, (&PASSWORD, given), (&PASSWORD_FILE, file));
    if password.is_none() {
        r.error(&USERNAME, "needs GITSYNC_PASSWORD or --password-file");
    }
    Some(StaticCredential::Password(user, password?))
}

fn bearer(r: &mut OptionReader) -> Option<StaticCredential> {
    let given = r.secret(&BEARER_TOKEN);
    let file = r.file_to_send(&BEARER_TOKEN_FILE);
    either(r, (&BEARER_TOKEN, given), (&BEARER_TOKEN_FILE, file)).map(StaticCredential::Bearer)
}

fn credentials(r: &mut OptionReader) -> Vec<Credential> {
    let mut all = Vec::new();
    for text in r.list(&CREDENTIAL) {
        match credential::parse(&text) {
            Ok(some) => all.extend(some),
            Err(error) => r.error(&CREDENTIAL, error),
        }
    }
    for credential in &mut all {
        if let StaticCredential::Password(_, SecretSource::File(path))
        | StaticCredential::Bearer(SecretSource::File(path)) = &mut credential.login
        {
            *path = r.absolute(&*path);
            r.refuse_cluster_token(&CREDENTIAL, path);
        }
    }
    all
}

/// `--cookie-file`, or Git's `http.cookieFile`.
fn cookies(r: &mut OptionReader, git_cookies: Option<PathBuf>) -> Option<Cookies> {
    let given = match r.get(&COOKIE_FILE) {
        CookieFile::None => None,
        CookieFile::Standard => Some(PathBuf::from(COOKIE_FILE_PATH)),
        CookieFile::Path(path) => Some(r.absolute(path)),
    };
    let cookies = given.map(Cookies::Given).or(git_cookies.map(Cookies::Configured));
    if let Some(Cookies::Given(path) | Cookies::Configured(path)) = &cookies {
        r.refuse_cluster_token(&COOKIE_FILE, path);
    }
    cookies
}

fn netrc(r: &mut OptionReader) -> Option<Netrc> {
    let given = r.file_to_send(&NETRC_FILE).map(Netrc::Given);
    given.or_else(|| Some(Netrc::Usual(r.environment.path("HOME")?.join(".netrc"))))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::tests::{config, configure, errors};

    #[test]
    fn a_login_is_complete_or_an_error() {
        let password = [("GITSYNC_PASSWORD", "secret")];
        let own = |argv: &[&str], environment: &[(&str, &str)]| config(argv, environment).unwrap().login.own;
        let given = own(&["--username=u"], &password);
        assert!(matches!(
            given,
            Some(AuthMethod::Static(StaticCredential::Password(_, SecretSource::Given(_))))
        ));
        assert!(!format!("{given:?}").contains("secret"));
        let file = own(&["--username=u", "--password-file=f"], &[]);
        let Some(AuthMethod::Static(StaticCredential::Password(_, SecretSource::File(path)))) = file else {
            panic!("{file:?}")
        };
        assert_eq!(path, Path::new("/cwd/f"));
        let token = own(&[], &[("GITSYNC_BEARER_TOKEN", "t")]);
        assert!(matches!(token, Some(AuthMethod::Static(StaticCredential::Bearer(SecretSource::Given(_))))));
        for argv in [&["--username=u"][..], &["--password-file=/f"]] {
            assert_eq!(errors(argv, &[]).len(), 1, "{argv:?}");
        }
        assert_eq!(errors(&[], &password).len(), 1);
        assert_eq!(errors(&["--username=u", "--password-file=/f"], &password).len(), 1);
        assert_eq!(errors(&["--bearer-token-file=/f"], &[("GITSYNC_BEARER_TOKEN", "t")]).len(), 1);
        let typed = errors(&["--bearer-token=secret"], &[]);
        assert_eq!(typed, ["--bearer-token: would show in the list of processes; set GITSYNC_BEARER_TOKEN"]);
    }

    #[test]
    fn one_method_to_log_in_is_enough() {
        let password = [("GITSYNC_PASSWORD", "secret")];
        let both = ["--repo=https://a:b@host/x", "--root=/r", "--username=u"];
        let both = configure(&both, &password).unwrap_err();
        assert_eq!(both, ["--username: cannot be combined with a login in the URL"]);
        let three = ["--username=u", "--bearer-token-file=/f", "--askpass-url=http://h/"];
        let expected = ["--bearer-token-file", "--askpass-url"]
            .map(|name| format!("{name}: cannot be combined with --username"));
        assert_eq!(errors(&three, &password), expected);
        let asked = ["--repo=https://a:b@host/x", "--root=/r", "--askpass-url=http://h/"];
        assert!(configure(&asked, &[]).is_ok(), "git-sync lets the answer win");
    }

    #[test]
    fn errors_do_not_quote_the_askpass_url() {
        for url in ["canary", "ftp://h/canary", "http://", "http://h h/canary"] {
            let errors = errors(&["--askpass-url", url], &[]);
            assert!(errors.len() == 1 && !errors[0].contains("canary"), "{errors:?}");
        }
        assert!(config(&["--askpass-url=http://u:p@h:1/x?y=z"], &[]).is_ok());
    }

    #[test]
    fn typed_credentials_are_added_to_those_of_the_environment() {
        let credential = |url: &str| format!(r#"{{"url":"{url}","username":"u","password":"p"}}"#);
        let (set, typed) = (credential("https://a/"), format!("--credential={}", credential("https://b/")));
        let login = config(&[&typed], &[("GITSYNC_CREDENTIAL", &set)]).unwrap().login;
        let urls: Vec<_> = login.credentials.iter().map(|credential| credential.url.clone()).collect();
        assert_eq!(urls, ["https://a/", "https://b/"].map(|url| url.parse().unwrap()));
    }

    #[test]
    fn the_cookie_file_is_a_switch_or_a_path() {
        let given = |path: &str| Some(Cookies::Given(path.into()));
        for (argv, cookies) in [
            (&["--cookie-file"][..], given(COOKIE_FILE_PATH)),
            (&["--cookie-file=T"], given(COOKIE_FILE_PATH)),
            (&["--cookie-file=false"], None),
            (&["--cookie-file=jar"], given("/cwd/jar")),
            (&["--git-config=http.cookiefile:/jar"], Some(Cookies::Configured("/jar".into()))),
            (&["--git-config=http.cookieFile:/jar", "--cookie-file"], given(COOKIE_FILE_PATH)),
        ] {
            let config = config(argv, &[]).unwrap();
            assert_eq!(config.login.cookies, cookies, "{argv:?}");
            assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        }
        assert_eq!(errors(&["--cookie-file="], &[]).len(), 1);
    }

    #[test]
    fn the_pods_own_token_is_sent_to_nobody() {
        let token = "/var/run/secrets/kubernetes.io/serviceaccount/token";
        let named = |option: &str, path: &str| [format!("--{option}={path}"), "--username=u".into()];
        for path in [token, &token[4..], "/x/../run/./secrets/kubernetes.io/serviceaccount/..data/token"] {
            let errors = |argv: [String; 2]| errors(&[&argv[0], &argv[1]], &[]);
            assert!(errors(named("password-file", path))[0].contains("pod's own token"), "{path}");
        }
        for option in ["bearer-token-file", "cookie-file", "netrc-file"] {
            let errors = errors(&[&format!("--{option}={token}")], &[]);
            assert_eq!(errors.len(), 1);
            assert!(errors[0].starts_with(&format!("--{option}: is where Kubernetes keeps")), "{errors:?}");
        }
        let credential = format!(r#"--credential={{"url":"https://h/","bearer-token-file":"{token}"}}"#);
        assert_eq!(errors(&[&credential], &[]).len(), 1);
        let near = "--password-file=/var/run/secrets/kubernetes.io/serviceaccounts/x";
        assert!(config(&[near, "--username=u"], &[]).is_ok());
    }
}
