//! Targets in the program: options, files with logins, and what is served.

use std::ffi::OsString;
use std::time::Duration;

use serde_json::Value;
use sync_core::{CommitInfo, Cookie, Scope};

use syncline::environment::Environment;
use syncline::fuzzing::{self, Config, Facts, Outcome, Pages, Parsed, Published, Schedule, Status, parse};

use crate::{lines, text};

/// What a command line means, or its faults and warnings.
fn configure(argv: &[String], variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let usual = ["syncline", "--repo=https://host/x", "--root=/r"].map(OsString::from);
    let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
    let environment = Environment::new(variables, Ok("/cwd".into()));
    match parse(usual.into_iter().chain(argv.iter().map(OsString::from)), &environment)? {
        Parsed::Run(args) => Config::new(&args, &environment),
        Parsed::Show(text) => Err(vec![text]),
        Parsed::Manual => Err(Vec::new()),
    }
}

/// Any command line: it means something that can be run by, or every fault is one line.
pub fn config(data: &[u8]) {
    let text = text(data);
    let argv: Vec<String> = text.split('\n').map(|line| line.replace('\0', "")).collect();
    let Ok(config) = configure(&argv, &[]) else { return };
    assert!(config.timing.policy.period >= Duration::from_millis(10));
    assert!(config.publishing.root.is_absolute() && config.publishing.link.file_name().is_some());
    let mut schedule = Schedule::new(config.timing.policy, true);
    for random in [0.0, 0.5, 1.0] {
        schedule.next(false, None, random);
    }
}

/// A file of many repositories: every fault is one line; without one, the repositories are apart on disk, groups consist
/// of them, and the same file means the same again.
pub fn config_file(data: &[u8]) {
    let environment = Environment::new([], Ok("/cwd".into()));
    let argv = ["syncline", "--config=F", "--root=/r"].map(OsString::from);
    let Ok(Parsed::Run(args)) = parse(argv, &environment) else { panic!("no options") };
    let config = match fuzzing::many(data, &args, &environment) {
        Ok(config) => config,
        Err(faults) => {
            for fault in &faults {
                assert!(!fault.contains(['\n', '\r']), "{fault:?}");
                assert!(["F:", "--", "and "].iter().any(|start| fault.starts_with(start)), "{fault}");
            }
            return;
        }
    };
    assert!(config.repos.is_sorted_by(|a, b| a.name < b.name), "each name is there once");
    let is_name = |name: &str| {
        name.len() <= 63
            && name
                .trim_matches(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
                .is_empty()
    };
    for repo in &config.repos {
        assert!(is_name(&repo.name), "{:?}", repo.name);
        let root = &repo.config.publishing.root;
        assert!(root.is_absolute() && root.parent().is_some(), "{root:?}");
        let others = config.repos.iter().filter(|other| other.name != repo.name);
        others.for_each(|other| assert!(!other.config.publishing.root.starts_with(root), "{root:?}"));
    }
    for group in &config.groups {
        assert!(is_name(&group.name) && !group.members.is_empty() && group.settle <= group.max_wait);
        let is_there = |member: &String| config.repos.iter().any(|repo| repo.name == *member);
        assert!(group.members.iter().all(is_there), "{group:?}");
    }
    let again = fuzzing::many(data, &args, &environment).expect("the same");
    let given =
        |config: &fuzzing::ManyConfig| config.repos.iter().map(|repo| repo.given.clone()).collect::<Vec<_>>();
    assert!(
        given(&again) == given(&config) && again.groups == config.groups && again.process == config.process
    );
}

/// Settings of git: the grammar takes back what it was given, and no fault quotes it.
pub fn git_config(data: &[u8]) {
    let text = text(data);
    match configure(&[format!("--git-config={text}")], &[]) {
        Err(faults) => assert!(!faults.concat().contains("canary"), "{faults:?}"),
        Ok(config) => {
            for (place, _) in &config.connect.http {
                let shown = format!("{place:?}");
                let host = shown.split("host: \"").nth(1).and_then(|rest| rest.split('"').next());
                assert!(
                    !host.unwrap_or_default().contains(['@', '/', ':']) || shown.contains("host: \"["),
                    "{shown}"
                );
            }
        }
    }
    let quoted = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
    let config = configure(&[format!("--git-config=\"http.userAgent\":\"{quoted}\"")], &[]);
    let config = config.expect("what is quoted is understood");
    let expected = sync_core::HttpSetting::UserAgent(text);
    assert_eq!(config.connect.http, [(None, expected)]);
}

/// Logins as JSON: faults quote keys at most, and nobody prints what is secret.
pub fn credential(data: &[u8]) {
    let text = text(data);
    match configure(&[], &[("GITSYNC_CREDENTIAL", &text)]) {
        Err(faults) => {
            let fault = faults.concat();
            assert!(!fault.contains("canary") || fault.contains("the unknown key"), "{fault}");
        }
        Ok(config) => {
            let count = match serde_json::from_str(&text) {
                Ok(Value::Array(list)) => list.len(),
                Ok(_) => 1,
                Err(_) => 0,
            };
            assert_eq!(config.login.credentials.len(), count);
            let shown = format!("{:?}", config.login.credentials);
            assert!(!shown.contains("Given(\""), "{shown}");
        }
    }
}

/// `.netrc`: logins are for hosts that the file names, and no fault quotes it.
pub fn netrc(data: &[u8]) {
    let text = text(data);
    match fuzzing::netrc(&text) {
        Err(fault) => assert!(!fault.contains("canary"), "{fault}"),
        Ok(logins) => {
            assert!(logins.len() <= text.matches("machine").count());
            for login in logins {
                let Scope::Host(host) = login.scope else { panic!("a login for more than a host") };
                assert!(text.contains(&host) || text.contains('\\'), "{host:?}");
            }
        }
    }
}

/// Cookies: none can end a header or begin another cookie, and none is for hosts that do not end in its domain.
pub fn cookies(data: &[u8]) {
    let text = text(data);
    let Ok(cookies) = fuzzing::cookies(&text) else { return };
    for Cookie { domain, name, value, .. } in &cookies {
        let pair = format!("{name}={}", value.expose());
        assert!(!domain.is_empty() && !name.is_empty());
        assert!(!pair.contains(|c: char| c.is_control() || c == ';'), "{pair:?}");
    }
    let mut credentials = sync_core::Credentials::default();
    credentials.cookies = cookies;
    for host in ["host", "a.example.com", "example.com.evil", "notexample.com"] {
        let sent = sync_core::fuzzing::cookies_for(&credentials, &format!("http://{host}/"));
        let is_meant = |cookie: &Cookie| {
            let domain = cookie.domain.to_ascii_lowercase();
            !cookie.secure && (host == domain || cookie.subdomains && host.ends_with(&format!(".{domain}")))
        };
        assert!(sent.is_none() || credentials.cookies.iter().any(is_meant), "{host}: {sent:?}");
    }
}

/// The beginnings of all tags of the page for browsers.
const TAGS: [&str; 21] = [
    "!DOCTYPE html>",
    "html ",
    "head>",
    "meta ",
    "title>",
    "style>",
    "body>",
    "h1>",
    "h2>",
    "p class=",
    "strong>",
    "table>",
    "tr>",
    "th>",
    "td>",
    "abbr title=",
    "footer>",
    "/",
    "p>",
    "a href=",
    "td class=",
];

/// Whatever a commit, a reference and an error say, `/status` is JSON, its page has no tags but its own, and `/metrics` has
/// lines that end where they should.
pub fn status(data: &[u8]) {
    let text = text(data);
    let ([time, subject, reference], error) = lines(&text);
    let status = Status::new("https://host/x".into(), reference.into());
    status.failed(error.into(), 1, Duration::from_secs(1));
    status.passed(Outcome::Success, Duration::from_secs(1));
    status.waiting(Duration::from_secs(1));
    let id = "0123456789012345678901234567890123456789".parse().expect("an id");
    let info = CommitInfo { id, time: time.parse().unwrap_or_default(), subject: subject.into() };
    status.published(Published { info, reference: Some(reference.into()), signer: None }, 1);
    let facts: Facts = status.facts();
    let Pages { json, html, text, metrics } = Pages::of(&facts);
    let deceives = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!html.contains(deceives) && !text.contains(deceives), "{html}");
    for part in html.split('<').skip(1) {
        assert!(TAGS.iter().any(|tag| part.starts_with(tag)), "{part}");
    }
    let page: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        (page["published"]["subject"].as_str(), page["ref"].as_str()),
        (Some(subject), Some(reference))
    );
    let line =
        metrics.lines().find(|line| line.starts_with("syncline_published_commit_info{")).expect("a line");
    let (_, label) = line.split_once("ref=\"").expect("a label");
    let label = label.strip_suffix("\"} 1").expect("one value");
    assert!(!label.replace("\\\\", "").replace("\\\"", "").contains('"'), "{line}");
    let plain = label.replace("\\\\", "\0").replace("\\\"", "\"").replace("\\n", "\n").replace('\0', "\\");
    assert!(plain == reference || reference.contains('\0'), "{line}");
}
