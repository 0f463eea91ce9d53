//! What the options say of push hooks.

use std::path::PathBuf;

use sync_core::{Secret, Source};

use super::matching::{Place, Rules};
use super::working::Terms;
use crate::options::{
    HTTP_BIND, ONE_TIME, RECEIVE_ALIAS, RECEIVE_ANY_REPO, RECEIVE_BIND, RECEIVE_PATH, RECEIVE_PERIOD,
    RECEIVE_SECRET, RECEIVE_SECRET_FILE, RECEIVE_SPREAD, RECEIVE_USER, Row,
};
use crate::reader::OptionReader;

/// Where hooks are taken, and what proves that they are genuine.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceiveConfig {
    /// `host:port` or `:port`.
    pub bind: String,
    /// The path that hooks are sent to.
    pub path: String,
    /// Files with secrets, of which any one counts.
    pub secret_files: Vec<PathBuf>,
    /// A secret from the environment.
    pub secret: Option<Secret>,
    /// The name that goes with the secret in a login; `None`: any.
    pub user: Option<String>,
}

/// Which pushes concern a repository, and what follows from them.
#[derive(Clone, Debug, Default)]
pub struct PushConfig {
    /// Which pushes are its own.
    pub rules: Rules,
    /// When to look after one, and how long to wait while they come.
    pub terms: Terms,
}

/// What is the process's; `None` if no hooks are taken.
pub fn receive(r: &mut OptionReader) -> Option<ReceiveConfig> {
    let (bind, path) = (r.find(&RECEIVE_BIND), r.get(&RECEIVE_PATH));
    let (secret_files, secret) = (r.paths(&RECEIVE_SECRET_FILE), r.secret(&RECEIVE_SECRET));
    let user = r.find(&RECEIVE_USER);
    if !r.is_set(&RECEIVE_BIND) {
        let others: [&Row; 4] = [&RECEIVE_PATH, &RECEIVE_SECRET_FILE, &RECEIVE_SECRET, &RECEIVE_USER];
        r.error_each(&others, NEEDS_BIND);
        return None;
    }
    let bind = bind?;
    if secret_files.is_empty() && secret.is_none() {
        r.error(&RECEIVE_SECRET_FILE, format!("must be given with {}", r.mention(&RECEIVE_BIND)));
    }
    if r.get(&ONE_TIME) {
        r.error(&RECEIVE_BIND, format!("cannot be combined with {}", r.mention(&ONE_TIME)));
    }
    if r.find(&HTTP_BIND).is_some_and(|other| is_same_address(&bind, &other)) {
        let text =
            format!("is the address of {}, which only answers; choose another port", r.mention(&HTTP_BIND));
        r.error(&RECEIVE_BIND, text);
    }
    Some(ReceiveConfig { bind, path, secret_files, secret, user })
}

/// What is the repository's.
pub fn pushes(r: &mut OptionReader, source: Option<&Source>) -> PushConfig {
    let any_repo = r.get(&RECEIVE_ANY_REPO);
    let aliases = r.list(&RECEIVE_ALIAS);
    let terms = Terms { spread: r.get(&RECEIVE_SPREAD), period: r.get(&RECEIVE_PERIOD) };
    if !r.is_set(&RECEIVE_BIND) {
        let own: [&Row; 4] = [&RECEIVE_ANY_REPO, &RECEIVE_ALIAS, &RECEIVE_SPREAD, &RECEIVE_PERIOD];
        r.error_each(&own, NEEDS_BIND);
        return PushConfig::default();
    }
    let mut places = Vec::new();
    for alias in aliases {
        match Place::parse(&alias) {
            Some(place) => places.push(place),
            None => r.error(&RECEIVE_ALIAS, "is not the URL of a repository on a server"),
        }
    }
    let Some(source) = source else { return PushConfig::default() };
    places.extend(
        [&source.url, &source.written].map(ToString::to_string).iter().filter_map(|url| Place::parse(url)),
    );
    let rules = Rules { places, any_repo, reference: Some(source.reference.clone()) };
    PushConfig { rules, terms }
}

const NEEDS_BIND: &str = "needs --receive-bind";

/// Whether nobody could listen at both. Port 0 stands for any that is free.
fn is_same_address(one: &str, other: &str) -> bool {
    let split =
        |text: &str| text.rsplit_once(':').map(|(host, port)| (host.to_owned(), port.parse::<u16>().ok()));
    let is_any = |host: &str| ["", "0.0.0.0", "[::]"].contains(&host);
    match (split(one), split(other)) {
        (Some((one, port)), Some((other, same))) => {
            port == same && port != Some(0) && (one == other || is_any(&one) || is_any(&other))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::tests::config;
    use crate::reader::tests::read;

    const BIND: &str = "--receive-bind=:1";
    const FILE: &str = "--receive-secret-file=/f";

    fn errors(argv: &[&str]) -> Vec<String> {
        read(argv, &[], receive).unwrap_err()
    }

    #[test]
    fn hooks_need_an_address_and_a_secret() {
        assert_eq!(read(&[], &[], receive), Ok(None));
        let found = read(&[BIND, FILE, "--receive-secret-file=g"], &[], receive).unwrap().unwrap();
        assert_eq!((found.bind.as_str(), found.path.as_str(), found.user), (":1", "/push", None));
        assert_eq!(found.secret_files, ["/f", "/cwd/g"].map(PathBuf::from));
        let set = read(&[BIND], &[("GITSYNC_RECEIVE_SECRET", "canary")], receive).unwrap().unwrap();
        assert!(set.secret.is_some() && !format!("{set:?}").contains("canary"));
        let listed = [("GITSYNC_RECEIVE_SECRET_FILE", "/a:/b")];
        assert_eq!(read(&[BIND], &listed, receive).unwrap().unwrap().secret_files.len(), 2);
        for (argv, fault) in [
            (&[BIND][..], "--receive-secret-file: must be given with --receive-bind"),
            (&[FILE], "--receive-secret-file: needs --receive-bind"),
            (&["--receive-user=me"], "--receive-user: needs --receive-bind"),
            (&[BIND, FILE, "--one-time"], "--receive-bind: cannot be combined with --one-time"),
        ] {
            assert_eq!(errors(argv), [fault]);
        }
    }

    #[test]
    fn a_port_answers_only_one_of_both() {
        for (http, is_same) in [(":1", true), ("127.0.0.1:1", true), ("0.0.0.0:1", true), (":2", false)] {
            let http = format!("--http-bind={http}");
            let found = read(&[BIND, FILE, &http], &[], receive);
            assert_eq!(
                found.is_err_and(|errors| errors[0].contains("choose another port")),
                is_same,
                "{http}"
            );
        }
        let apart = ["--receive-bind=127.0.0.1:1", FILE, "--http-bind=127.0.0.2:1"];
        assert!(read(&apart, &[], receive).is_ok());
        assert!(read(&["--receive-bind=:0", FILE, "--http-bind=:0"], &[], receive).is_ok());
    }

    #[test]
    fn a_repository_has_terms_of_its_own() {
        let usual = config(&[BIND, FILE], &[]).unwrap().pushes;
        assert_eq!(usual.terms, Terms { spread: Duration::ZERO, period: Duration::from_secs(600) });
        let more = ["--receive-alias=git@other:a/b", "--receive-period=1h", "--receive-spread=5s"];
        let pushes = config(&[&[BIND, FILE][..], &more].concat(), &[]).unwrap().pushes;
        assert!(pushes.rules.places.contains(&Place::parse("https://OTHER/a/b.git").unwrap()));
        assert_eq!(pushes.terms, Terms { spread: Duration::from_secs(5), period: Duration::from_secs(3600) });
        let wrong = config(&[BIND, FILE, "--receive-alias=/canary"], &[]).unwrap_err();
        let spread = config(&[BIND, FILE, "--receive-spread=2h"], &[]).unwrap_err();
        assert!(spread[0].contains("at most 1h"), "{spread:?}");
        assert_eq!(wrong, ["--receive-alias: is not the URL of a repository on a server"]);
        assert_eq!(
            config(&["--receive-any-repo"], &[]).unwrap_err(),
            ["--receive-any-repo: needs --receive-bind"]
        );
    }
}
