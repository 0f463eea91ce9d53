//! How to log in over HTTP: what was asked for, and that it does not contradict itself.

use std::path::{Path, PathBuf};

use sync_core::{RemoteUrl, Secret, without_dots};

use super::credential::{self, Credential, Proof, SecretFrom};
use super::faults::Reader;
use super::git_config::Setting;
use super::tokens::{self, GitHubApp, OAuth};
use super::values;

/// Everything to log in with.
#[derive(Clone, Debug)]
pub struct Login {
    /// At the repository's server; `None`: by what its URL says, if anything.
    pub own: Option<Way>,
    /// At any server or part of one; of what is as close, they go first.
    pub credentials: Vec<Credential>,
    pub cookies: Option<Cookies>,
    pub netrc: Option<Netrc>,
}

/// One way to log in.
#[derive(Clone, Debug)]
pub enum Way {
    Proof(Proof),
    Asked(Issuer),
}

/// Whom to ask what to show.
#[derive(Clone, Debug)]
pub enum Issuer {
    /// A URL.
    Askpass(String),
    GitHub(GitHubApp),
    OAuth(OAuth),
}

/// Where cookies are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cookies {
    Given(PathBuf),
    /// As git has it: nothing need be there.
    Configured(PathBuf),
}

/// Where the logins of curl, ftp and others are.
#[derive(Clone, Debug)]
pub enum Netrc {
    Given(PathBuf),
    /// In the usual place, which may be empty.
    Usual(PathBuf),
}

/// git-sync's only place.
const COOKIE_FILE: &str = "/etc/git-secret/cookie_file";

/// Judge all that says how to log in at `url`. `settings` is what was given of git's; relative paths are taken from
/// `cwd`.
pub fn read(r: &mut Reader, url: Option<&RemoteUrl>, settings: &[Setting], cwd: &Path) -> Login {
    Login {
        own: own(r, url, cwd),
        credentials: credentials(r, cwd),
        cookies: cookies(r, settings, cwd),
        netrc: file_to_send(r, "netrc-file", cwd).map(Netrc::Given),
    }
}

fn own(r: &mut Reader, url: Option<&RemoteUrl>, cwd: &Path) -> Option<Way> {
    let token = if r.set("bearer-token").is_some() { "bearer-token" } else { "bearer-token-file" };
    let ways = [
        ("username", password(r, cwd).map(Way::Proof)),
        (token, bearer(r, cwd).map(Way::Proof)),
        ("askpass-url", askpass(r).map(Issuer::Askpass).map(Way::Asked)),
        ("github-app-installation-id", tokens::github(r, cwd).map(Issuer::GitHub).map(Way::Asked)),
        ("oauth-token-url", tokens::oauth(r, cwd).map(Issuer::OAuth).map(Way::Asked)),
    ];
    let mut given = ways.into_iter().filter_map(|(name, way)| Some((name, way?)));
    let (first, way) = given.next()?;
    for (other, _) in given {
        r.fault(other, format!("and {} cannot both be given", r.origin(first)));
    }
    // git-sync lets the other two win over the URL.
    if ["username", token, "oauth-token-url"].contains(&first) && url.is_some_and(RemoteUrl::has_login) {
        r.fault(first, "and a login in the URL cannot both be given");
    }
    Some(way)
}

fn password(r: &mut Reader, cwd: &Path) -> Option<Proof> {
    let given = r.set("password").map(|password| SecretFrom::Given(password.into()));
    let file = file_to_send(r, "password-file", cwd).map(SecretFrom::File);
    let Some(user) = r.set("username") else {
        if given.is_some() || file.is_some() {
            r.fault("username", "must be given with a password");
        }
        return None;
    };
    if given.is_some() && file.is_some() {
        r.fault("password-file", "and GITSYNC_PASSWORD cannot both be given");
    }
    let password = given.or(file);
    if password.is_none() {
        r.fault("username", "needs GITSYNC_PASSWORD or --password-file");
    }
    Some(Proof::Password(user, password?))
}

fn bearer(r: &mut Reader, cwd: &Path) -> Option<Proof> {
    let given = secret(r, "bearer-token").map(SecretFrom::Given);
    let file = file_to_send(r, "bearer-token-file", cwd).map(SecretFrom::File);
    if given.is_some() && file.is_some() {
        r.fault("bearer-token-file", "and GITSYNC_BEARER_TOKEN cannot both be given");
    }
    given.or(file).map(Proof::Bearer)
}

fn askpass(r: &mut Reader) -> Option<String> {
    let url = r.set("askpass-url")?;
    if let Err(fault) = values::http_url(&url) {
        r.fault("askpass-url", fault);
    }
    Some(url)
}

/// From the environment only.
pub(super) fn secret(r: &mut Reader, name: &str) -> Option<Secret> {
    if r.is_typed(name) {
        let variable = name.replace('-', "_").to_uppercase();
        r.fault(name, format!("would show in the list of processes; set GITSYNC_{variable}"));
    }
    r.set(name).map(Secret::from)
}

fn credentials(r: &mut Reader, cwd: &Path) -> Vec<Credential> {
    let mut all = Vec::new();
    for text in r.list("credential") {
        match credential::parse(&text.to_string_lossy()) {
            Ok(some) => all.extend(some),
            Err(fault) => r.fault("credential", fault),
        }
    }
    for credential in &mut all {
        if let Proof::Password(_, SecretFrom::File(path)) | Proof::Bearer(SecretFrom::File(path)) =
            &mut credential.proof
        {
            *path = cwd.join(&*path);
            refuse_cluster_token(r, "credential", path);
        }
    }
    all
}

/// `--cookie-file`, which git-sync knows as a switch, or git's `http.cookieFile`.
fn cookies(r: &mut Reader, settings: &[Setting], cwd: &Path) -> Option<Cookies> {
    let wanted = r.or("cookie-file", None, |text| match values::boolean(text) {
        Ok(true) => Ok(Some(COOKIE_FILE.into())),
        Ok(false) => Ok(None),
        Err(fault) if text.is_empty() => Err(fault),
        Err(_) => Ok(Some(cwd.join(text))),
    });
    let configured = settings.iter().rfind(|setting| setting.is_cookie_file());
    let configured = configured.filter(|setting| !setting.value.is_empty());
    let configured = configured.map(|setting| Cookies::Configured(cwd.join(&setting.value)));
    let cookies = wanted.map(Cookies::Given).or(configured);
    if let Some(Cookies::Given(path) | Cookies::Configured(path)) = &cookies {
        refuse_cluster_token(r, "cookie-file", path);
    }
    cookies
}

/// A file whose content goes to a server.
pub(super) fn file_to_send(r: &mut Reader, name: &str, cwd: &Path) -> Option<PathBuf> {
    let path = cwd.join(r.path(name)?);
    refuse_cluster_token(r, name, &path);
    Some(path)
}

/// With the token that Kubernetes gives to every pod a server could act as the pod.
fn refuse_cluster_token(r: &mut Reader, name: &str, path: &Path) {
    let plain = without_dots(path);
    let places = ["/var/run", "/run"].map(|run| Path::new(run).join("secrets/kubernetes.io/serviceaccount"));
    if places.iter().any(|place| plain.starts_with(place)) {
        let text = "is where Kubernetes keeps the pod's own token, which is for nobody else; \
                    --oauth-assertion-file exchanges such tokens";
        r.fault(name, text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{config, configure, faults};
    use super::*;

    #[test]
    fn a_login_is_whole_or_a_fault() {
        let password = [("GITSYNC_PASSWORD", "secret")];
        let own = |argv: &[&str], environment: &[(&str, &str)]| config(argv, environment).unwrap().login.own;
        let given = own(&["--username=u"], &password);
        assert!(matches!(given, Some(Way::Proof(Proof::Password(_, SecretFrom::Given(_))))));
        assert!(!format!("{given:?}").contains("secret"));
        let file = own(&["--username=u", "--password-file=f"], &[]);
        let Some(Way::Proof(Proof::Password(_, SecretFrom::File(path)))) = file else { panic!("{file:?}") };
        assert_eq!(path, Path::new("/cwd/f"));
        let token = own(&[], &[("GITSYNC_BEARER_TOKEN", "t")]);
        assert!(matches!(token, Some(Way::Proof(Proof::Bearer(SecretFrom::Given(_))))));
        for argv in [&["--username=u"][..], &["--password-file=/f"]] {
            assert_eq!(faults(argv, &[]).len(), 1, "{argv:?}");
        }
        assert_eq!(faults(&[], &password).len(), 1);
        assert_eq!(faults(&["--username=u", "--password-file=/f"], &password).len(), 1);
        assert_eq!(faults(&["--bearer-token-file=/f"], &[("GITSYNC_BEARER_TOKEN", "t")]).len(), 1);
        let typed = faults(&["--bearer-token=secret"], &[]);
        assert_eq!(typed, ["--bearer-token: would show in the list of processes; set GITSYNC_BEARER_TOKEN"]);
    }

    #[test]
    fn one_way_to_log_in_is_enough() {
        let password = [("GITSYNC_PASSWORD", "secret")];
        let both = ["--repo=https://a:b@host/x", "--root=/r", "--username=u"];
        let both = configure(&both, &password).unwrap_err();
        assert_eq!(both, ["--username: and a login in the URL cannot both be given"]);
        let three = ["--username=u", "--bearer-token-file=/f", "--askpass-url=http://h/"];
        let expected = ["--bearer-token-file", "--askpass-url"]
            .map(|name| format!("{name}: and --username cannot both be given"));
        assert_eq!(faults(&three, &password), expected);
        let asked = ["--repo=https://a:b@host/x", "--root=/r", "--askpass-url=http://h/"];
        assert!(configure(&asked, &[]).is_ok(), "git-sync lets the answer win");
    }

    #[test]
    fn the_askpass_url_is_judged_without_being_quoted() {
        for url in ["canary", "ftp://h/canary", "http://", "http://h h/canary"] {
            let faults = faults(&["--askpass-url", url], &[]);
            assert!(faults.len() == 1 && !faults[0].contains("canary"), "{faults:?}");
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
            (&["--cookie-file"][..], given(COOKIE_FILE)),
            (&["--cookie-file=T"], given(COOKIE_FILE)),
            (&["--cookie-file=false"], None),
            (&["--cookie-file=jar"], given("/cwd/jar")),
            (&["--git-config=http.cookiefile:/jar"], Some(Cookies::Configured("/jar".into()))),
            (&["--git-config=http.cookieFile:/jar", "--cookie-file"], given(COOKIE_FILE)),
        ] {
            let config = config(argv, &[]).unwrap();
            assert_eq!(config.login.cookies, cookies, "{argv:?}");
            assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        }
        assert_eq!(faults(&["--cookie-file="], &[]).len(), 1);
    }

    #[test]
    fn the_pods_own_token_is_sent_to_nobody() {
        let token = "/var/run/secrets/kubernetes.io/serviceaccount/token";
        let named = |option: &str, path: &str| [format!("--{option}={path}"), "--username=u".into()];
        for path in [token, &token[4..], "/x/../run/./secrets/kubernetes.io/serviceaccount/..data/token"] {
            let faults = |argv: [String; 2]| faults(&[&argv[0], &argv[1]], &[]);
            assert!(faults(named("password-file", path))[0].contains("pod's own token"), "{path}");
        }
        for option in ["bearer-token-file", "cookie-file", "netrc-file"] {
            let faults = faults(&[&format!("--{option}={token}")], &[]);
            assert_eq!(faults.len(), 1);
            assert!(faults[0].starts_with(&format!("--{option}: is where Kubernetes keeps")), "{faults:?}");
        }
        let credential = format!(r#"--credential={{"url":"https://h/","bearer-token-file":"{token}"}}"#);
        assert_eq!(faults(&[&credential], &[]).len(), 1);
        let near = "--password-file=/var/run/secrets/kubernetes.io/serviceaccounts/x";
        assert!(config(&[near, "--username=u"], &[]).is_ok());
    }
}
