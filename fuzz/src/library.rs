//! Targets in `sync-core`: texts of users, servers and repositories.

use std::io::{self, Read, Write};
use std::time::Duration;

use gix::bstr::ByteSlice;
use sync_core::{
    CommitId, Filter, NoProxy, Proxies, Proxy, RefPattern, Reference, RemoteUrl, SparsePatterns, UrlScope,
    Version, VersionRange, VersionTags, fuzzing,
};
use syncline::fuzzing::{Next, Policy, Schedule};

use crate::{lines, text};

/// A URL is shown without its login and as something that means the same; no fault quotes it.
pub fn url(data: &[u8]) {
    let text = text(data);
    match text.parse::<RemoteUrl>() {
        Err(fault) => assert!(!fault.to_string().contains("canary"), "{fault}"),
        Ok(url) => {
            let shown = url.to_string();
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
            if url.origin().is_some() {
                let is_login_shown =
                    |shown: &str| shown.split('/').nth(2).is_none_or(|server| server.contains('@'));
                assert!(!is_login_shown(&shown) && !is_login_shown(&format!("{url:?}")), "{shown}");
                let place: UrlScope = text.parse().expect("a URL is a place");
                assert!(fuzzing::fits(&place, &place) && fuzzing::fits(&place.clone().origin(), &place));
            }
            // A path that was given as a URL is shown as a path, which may look like something else; git:// is
            // shown decoded.
            if matches!(url.protocol(), "http" | "https" | "ssh") {
                let again: RemoteUrl = shown.parse().unwrap_or_else(|fault| panic!("{shown}: {fault}"));
                assert_eq!(again.to_string(), shown);
                assert_eq!(fuzzing::server(&again), fuzzing::server(&url));
            }
            assert!(!url.last_component().contains('/'));
        }
    }
    match text.parse::<Proxy>() {
        Err(fault) => assert!(!fault.to_string().contains("canary"), "{fault}"),
        Ok(proxy) => {
            let shown = proxy.to_string();
            assert!(!shown.contains('@'), "{shown}");
            assert!(
                shown.parse::<Proxy>().is_ok_and(|again| again.to_string() == shown) || text.contains('['),
                "{shown}"
            );
        }
    }
}

/// A repository cannot name a path of this machine, nor lead a relative URL to another server.
pub fn submodule(data: &[u8]) {
    let text = text(data);
    let ([parent], url) = lines(&text);
    let Ok(parent) = parent.parse::<RemoteUrl>() else { return };
    let Ok(found) = fuzzing::submodule_url(&parent, url) else { return };
    assert_ne!(found.protocol(), "file");
    assert!(!found.to_string().chars().any(char::is_control));
    if url.starts_with("./") || url.starts_with("../") {
        assert_eq!(found.protocol(), parent.protocol());
        assert_eq!(fuzzing::server(&found), fuzzing::server(&parent));
    }
    if found.origin().is_some() && found.has_login() && !url.contains('@') {
        assert_eq!(found.origin(), parent.origin(), "a login went elsewhere");
    }
}

/// References and ids are valid in full, too; filters are ones that servers know.
pub fn names(data: &[u8]) {
    let text = text(data);
    if let Ok(reference) = text.parse::<Reference>() {
        let shown = reference.to_string();
        assert_eq!(shown.parse(), Ok(reference));
        assert!(!shown.starts_with('-') && !shown.contains([' ', '\n', '\0']), "{shown:?}");
        if let Ok(id) = text.parse::<CommitId>() {
            assert_eq!(id.to_string(), text.to_ascii_lowercase());
        }
    }
    if text.parse::<Filter>().is_ok() {
        assert!(text.starts_with("blob:") || text.starts_with("tree:"));
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":=".contains(&byte)), "{text:?}");
    }
}

/// A range is shown as something that means the same, and the tags that are listed for it are enough to choose from. A
/// pattern matches what it does read letter by letter.
pub fn range(data: &[u8]) {
    let text = text(data);
    let ([range, pattern], tags) = lines(&text);
    // Numbers with more zeros before them are not looked for in a small range.
    let is_listed = |tag: &&str| !tag.split(['v', '.']).any(|number| number.starts_with("00"));
    let tags: Vec<&str> = tags.lines().filter(is_listed).collect();
    if let Ok(range) = range.parse::<VersionRange>() {
        let again: VersionRange = range.to_string().parse().expect("a range is shown as a range");
        let version = |tag: &str| tag.parse::<Version>().ok().filter(|version| range.contains(version));
        let named = tags.iter().copied().filter(|tag| fuzzing::is_tag(tag));
        let mut versions: Vec<(Version, &str)> = named.filter_map(|tag| Some((version(tag)?, tag))).collect();
        versions.sort();
        assert!(versions.iter().all(|(version, _)| again.contains(version)));
        let chosen = fuzzing::choose(VersionTags::new(range), &tags);
        assert_eq!(chosen.as_deref(), versions.last().map(|(_, tag)| *tag));
    }
    if let Ok(pattern) = pattern.parse::<RefPattern>() {
        let shown = pattern.to_string();
        assert_eq!(shown.parse(), Ok(pattern.clone()));
        for tag in tags.iter().filter(|_| !shown.contains('[')) {
            let name = format!("refs/tags/{tag}");
            assert_eq!(
                fuzzing::matches(&pattern, &name),
                glob(shown.as_bytes(), name.as_bytes()),
                "{shown} {name}"
            );
        }
    }
}

const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

/// A host is trusted where a line, read word by word, says so and none revokes the key.
pub fn known_hosts(data: &[u8]) {
    let text = text(data);
    let key = format!("ssh-ed25519 {KEY}");
    for (port, names) in [(22, &["host"][..]), (2222, &["[host]:2222", "host"])] {
        let Ok(trusted) = fuzzing::is_known_host(&text, "host", port, &key) else { continue };
        let is_said = |marker: Option<&str>| text.lines().any(|line| says(line, marker, names));
        assert!(!trusted || is_said(None) && !is_said(Some("@revoked")), "port {port}");
        assert!(port != 22 || trusted || !is_said(None) || mentions_revocation(&text), "port {port}");
    }
}

/// With a name that cannot be read, a line revokes the key everywhere.
fn mentions_revocation(text: &str) -> bool {
    text.contains("@revoked")
}

fn says(line: &str, marker: Option<&str>, names: &[&str]) -> bool {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let words = match (words.first(), marker) {
        (Some(first), Some(marker)) if *first == marker => &words[1..],
        (Some(first), None) if !first.starts_with(['@', '#']) => &words[..],
        _ => return false,
    };
    words.len() >= 3
        && (words[1], words[2].trim_end()) == ("ssh-ed25519", KEY)
        && names.iter().any(|name| lists(words[0], name))
}

fn lists(hosts: &str, name: &str) -> bool {
    if let Some(hashed) = hosts.strip_prefix("|1|") {
        // HMAC-SHA1 of `host` with the key `salt`.
        return name == "host" && hashed == "c2FsdA==|HTaAJnQ397DFDw7nGYI3YRODWDA=";
    }
    let is_like = |pattern: &str| glob(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes());
    let (not, yes): (Vec<&str>, Vec<&str>) = hosts.split(',').partition(|pattern| pattern.starts_with('!'));
    yes.into_iter().any(is_like) && !not.into_iter().any(|pattern| is_like(&pattern[1..]))
}

/// Which beginnings of the name the pattern so far is like.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let mut ends = vec![false; name.len() + 1];
    ends[0] = true;
    for c in pattern {
        if *c == b'*' {
            let first = ends.iter().position(|end| *end).unwrap_or(ends.len());
            ends[first..].fill(true);
        } else {
            for at in (1..ends.len()).rev() {
                ends[at] = ends[at - 1] && (*c == b'?' || *c == name[at - 1]);
            }
            ends[0] = false;
        }
    }
    ends[name.len()]
}

/// A key that is read is one.
pub fn ssh_key(data: &[u8]) {
    if let Ok(public) = fuzzing::ssh_key(&text(data)) {
        assert!(public.starts_with("ssh-") || public.starts_with("ecdsa-"), "{public}");
    }
}

/// A proxy lets through only with the words that mean so, and what follows them is left to the server.
pub fn proxy(data: &[u8]) {
    let proxy: Proxy = "http://user:canary@proxy:1".parse().expect("a proxy");
    let mut stream = Answer(data);
    match fuzzing::http_proxy(&mut stream, &proxy, "host", 443) {
        Ok(()) => {
            let head = &data[..data.len() - stream.0.len()];
            assert!(head.ends_with(b"\r\n\r\n") && head.find(b"\r\n\r\n") == Some(head.len() - 4));
            let head = text(head);
            let code = head.lines().next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
            assert!(matches!(code, Some(200..=299)), "{code:?}");
        }
        // It quotes 200 characters, of which each may be shown as ten.
        Err(fault) => assert!(fault.to_string().len() < 2100),
    }
    assert!(data.len() - stream.0.len() <= 16 * 1024);
    let mut stream = Answer(data);
    if fuzzing::socks_proxy(&mut stream, &proxy, "host", 443).is_ok() {
        let rest = match data {
            [5, 0, rest @ ..] | [5, 2, _, 0, rest @ ..] => rest,
            _ => panic!("no agreement"),
        };
        let length = match rest {
            [5, 0, _, 1, ..] => 10,
            [5, 0, _, 4, ..] => 22,
            [5, 0, _, _, length, ..] => 7 + usize::from(*length),
            _ => panic!("no success"),
        };
        assert_eq!(stream.0, &rest[length..]);
    }
    exceptions(&text(data));
}

/// Says what it was given, whatever it hears.
struct Answer<'a>(&'a [u8]);

impl Read for Answer<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Answer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One exception more never takes another back.
fn exceptions(rules: &str) {
    let covers = |rules: &str, host: &str| {
        let mut proxies = Proxies::default();
        proxies.no_proxy = NoProxy::from(rules);
        fuzzing::is_exception(&proxies, host, 443)
    };
    for host in ["git.example.com", "10.1.2.3", "fd12::1"] {
        let all = covers(rules, host);
        let each = rules.split([',', ' ', '\t']).any(|rule| covers(rule, host));
        assert_eq!(all, each, "{host}");
    }
}

/// A redirect never loses encryption or brings a login.
pub fn redirect(data: &[u8]) {
    const TAIL: &str = "/info/refs?service=git-upload-pack";
    let location = text(data);
    for base in ["https://host:1/x", "http://host/x"] {
        for location in [location.clone(), format!("{location}{TAIL}")] {
            let Ok(to) = fuzzing::redirect(base, TAIL, &location) else { continue };
            assert!(to.to_ascii_lowercase().starts_with("https://") || base.starts_with("http:"), "{to}");
            let authority = to.split(['/', '?']).nth(2).unwrap_or_default();
            assert!(!authority.contains('@'), "{to}");
            let place: UrlScope = to.parse().expect("a redirect leads to a place");
            let is_here = location.starts_with('/') && !location.starts_with("//");
            assert!(
                !is_here || place.origin() == base.parse::<UrlScope>().expect("a place").origin(),
                "{to}"
            );
        }
    }
}

/// Whatever a server wants, there is a pause: an hour at most, and a period more that spreads many.
pub fn retry_after(data: &[u8]) {
    let text = text(data);
    let ([wanted], date) = lines(&text);
    let wish = fuzzing::retry_after(wanted, date).unwrap_or_default();
    let policy = Policy {
        period: Duration::from_secs(10),
        idle_period: None,
        init_period: None,
        one_time: false,
        max_failures: Some(-1),
        init_max_failures: None,
    };
    match Schedule::new(policy, true).next(false, Some(wish), 0.5) {
        Next::Wait(pause) => assert!(pause <= Duration::from_secs(3600 + 10)),
        exit => panic!("{exit:?}"),
    }
}

/// Errors are one line without control characters, of a bounded length.
pub fn errors(data: &[u8]) {
    let text = text(data);
    let ([step], cause) = lines(&text);
    let shown = fuzzing::error_line(step, cause);
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    assert!(shown.len() < 4_100, "{}", shown.len());
}

/// Nothing but one capability is dropped.
pub fn capabilities(data: &[u8]) {
    let Some((mut given, mut kept)) = fuzzing::capabilities(data) else { return };
    let is_named = |name: &str, one: &String| one.starts_with(&format!("\"{name}\"="));
    given.retain(|one| !is_named("deepen-relative", one) && !is_named("", one));
    kept.retain(|one| !is_named("", one));
    assert_eq!(kept, given);
}

/// Directories select what is in them, and the files beside the way to them.
pub fn sparse(data: &[u8]) {
    let text = text(data);
    let directories: Vec<&str> = text.lines().filter(|line| is_plain(line)).collect();
    let paths = ["file", "a/file", "a/b/file", "a/b/c/file", "ab/file", "c/file"];
    if !directories.is_empty() {
        let found = fuzzing::selected(&SparsePatterns::directories(directories.iter().copied()), &paths);
        for (path, found) in paths.iter().zip(found) {
            let (parent, _) = path.rsplit_once('/').unwrap_or(("", path));
            let expected = directories.iter().any(|directory| {
                let directory: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
                let parent: Vec<&str> = parent.split('/').filter(|part| !part.is_empty()).collect();
                directory.starts_with(&parent) || parent.starts_with(&directory)
            });
            assert_eq!(found, expected, "{path} {directories:?}");
        }
    }
    fuzzing::selected(&SparsePatterns::from_text(data), &paths);
}

/// What `--sparse` accepts.
fn is_plain(directory: &str) -> bool {
    let is_name = |part: &str| !part.is_empty() && part != "." && part != "..";
    directory.split('/').any(is_name)
        && directory.trim() == directory
        && !directory.contains(['*', '?', '[', '!', '\\', ',', '\r', '#'])
        && !directory.chars().any(char::is_control)
}

/// What cannot change a file's form says nothing of forms, and ids are put in place once and for all.
pub fn attributes(data: &[u8]) {
    let expanded = fuzzing::expand_ident(data, "0123");
    assert_eq!(fuzzing::expand_ident(&expanded, "0123").as_bstr(), expanded.as_bstr());
    if !data.contains_str("$Id") {
        assert_eq!(expanded, data);
    }
    if fuzzing::may_change_form(data) {
        return;
    }
    for line in gix::attrs::parse(data).filter_map(Result::ok) {
        for found in line.1.filter_map(Result::ok) {
            let name = found.name.as_str();
            assert!(
                !["eol", "crlf", "ident", "working-tree-encoding"].contains(&name) || is_harmless(&found),
                "{name}"
            );
        }
    }
}

/// Line ends that are a file's own already.
fn is_harmless(found: &gix::attrs::AssignmentRef<'_>) -> bool {
    found.name.as_str() == "eol" && !format!("{:?}", found.state).contains("crlf")
}
