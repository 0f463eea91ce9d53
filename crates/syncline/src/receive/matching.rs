//! Whether what was pushed is what is synced: repositories by their URLs, and references by their names.

use sync_core::{CommitId, Reference};

use super::payload::{Change, Named, News, Report};

/// A repository on a server, in whatever way it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// In lower case, with the port unless a protocol has it by default.
    server: String,
    /// Decoded, without slashes at its ends and without `.git`.
    path: String,
}

/// Which pushes are those of a repository.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Its URLs.
    pub places: Vec<Place>,
    /// Whether a push counts whatever repository it names.
    pub any_repo: bool,
    /// What is synced.
    pub reference: Option<Reference>,
}

/// What a hook means for a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The reference that is synced moved, perhaps to this commit.
    News(Option<CommitId>),
    /// It may have.
    Unclear,
    Ping,
    OtherEvent,
    OtherRepository,
    OtherReference,
    /// The reference is gone.
    Deleted,
}

/// Ports that a URL need not name.
const USUAL_PORTS: [&str; 4] = ["22", "80", "443", "9418"];

/// Other names of hosts: where SSH is served at the port of HTTPS.
const OTHER_NAMES: [(&str, &str); 5] = [
    ("ssh.github.com", "github.com"),
    ("altssh.bitbucket.org", "bitbucket.org"),
    ("altssh.gitlab.com", "gitlab.com"),
    ("ssh.dev.azure.com", AZURE),
    ("vs-ssh.visualstudio.com", AZURE),
];

/// Hosts on which `A/b` and `a/B` are one repository.
const WITHOUT_CASE: [&str; 5] = ["github.com", "gitlab.com", "bitbucket.org", "codeberg.org", AZURE];

const AZURE: &str = "dev.azure.com";

impl Place {
    /// Read `scheme://[user@]host[:port]/path` or `[user@]host:path`; `None` for anything else.
    pub fn parse(url: &str) -> Option<Place> {
        let (authority, path) = match url.split_once("://") {
            Some(("file", _)) => return None,
            Some((_, rest)) => rest.split_once('/')?,
            None => url.split_once(':').filter(|(host, _)| !host.contains('/'))?,
        };
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_ascii_lowercase();
        let host = match host.rsplit_once(':') {
            Some((name, port)) if USUAL_PORTS.contains(&port) => name.to_owned(),
            _ => host,
        };
        let server =
            OTHER_NAMES.iter().find(|(other, _)| *other == host).map_or(host, |(_, name)| (*name).to_owned());
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let path = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
        let path = path.trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path).trim_end_matches('/');
        let (server, path) = azure(server, path);
        let path = if WITHOUT_CASE.contains(&server.as_str()) { path.to_lowercase() } else { path };
        (!server.is_empty() && !path.is_empty()).then_some(Place { server, path })
    }

    fn is_named(&self, named: &Named) -> bool {
        match named {
            Named::Url(url) => Place::parse(url).is_some_and(|place| place == *self),
            Named::Project(project) => {
                let before = self.path.strip_suffix(project.trim_matches('/'));
                !project.is_empty() && before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
            }
        }
    }
}

/// Azure's forms of a URL, as `organization/project/repository`.
fn azure(server: String, path: &str) -> (String, String) {
    let parts: Vec<&str> = path.split('/').collect();
    let organization = server.strip_suffix(".visualstudio.com").map(ToOwned::to_owned);
    let is_azure = server == AZURE || organization.is_some();
    let own = match (&parts[..], organization) {
        (["v3", rest @ ..], None) if is_azure => rest.join("/"),
        (["DefaultCollection", project, "_git", repo] | [project, "_git", repo], Some(organization)) => {
            format!("{organization}/{project}/{repo}")
        }
        (["_git", repo], Some(organization)) => format!("{organization}/{repo}/{repo}"),
        ([organization, project, "_git", repo], None) if is_azure => {
            format!("{organization}/{project}/{repo}")
        }
        ([organization, "_git", repo], None) if is_azure => format!("{organization}/{repo}/{repo}"),
        _ => return (server, path.to_owned()),
    };
    (AZURE.to_owned(), own)
}

impl Rules {
    /// What a hook means here.
    pub fn judge(&self, report: &Report) -> Verdict {
        let is_known = self.any_repo || !report.repositories.is_empty();
        let is_ours = |named: &Named| self.places.iter().any(|place| place.is_named(named));
        let is_other = is_known && !self.any_repo && !report.repositories.iter().any(is_ours);
        let changes = match &report.news {
            News::Ping => return Verdict::Ping,
            News::Other => return Verdict::OtherEvent,
            _ if is_other => return Verdict::OtherRepository,
            News::Unclear => return Verdict::Unclear,
            News::Changes(changes) => changes,
        };
        if changes.is_empty() {
            return Verdict::Unclear;
        }
        let own: Vec<&Change> = changes
            .iter()
            .filter(|change| self.follows(&change.reference, report.default_branch.as_deref()))
            .collect();
        match (own.iter().rev().find(|change| !change.is_deletion), own.is_empty()) {
            (Some(change), _) if is_known => Verdict::News(change.commit.filter(|_| self.names_one())),
            (Some(_), _) => Verdict::Unclear,
            (None, true) => Verdict::OtherReference,
            (None, false) => Verdict::Deleted,
        }
    }

    /// Whether a reference, by its full name, may be the one that is synced.
    fn follows(&self, full: &str, default_branch: Option<&str>) -> bool {
        match &self.reference {
            Some(Reference::Name(name)) if name == "HEAD" => {
                default_branch.is_none_or(|branch| is_named(full, branch))
            }
            Some(Reference::Name(name)) => is_named(full, name),
            Some(Reference::Commit(_)) => false,
            Some(Reference::Highest(_)) => full.starts_with("refs/tags/"),
            Some(Reference::Last(pattern)) => {
                let pattern = pattern.to_string();
                full.starts_with(pattern.split(['*', '?', '[']).next().unwrap_or_default())
            }
            _ => true,
        }
    }

    /// Whether a moved reference is what will be published; of several, another one may be chosen.
    fn names_one(&self) -> bool {
        matches!(self.reference, Some(Reference::Name(_)))
    }
}

/// Whether a full name is one that a short name may mean.
fn is_named(full: &str, name: &str) -> bool {
    let rest = full.strip_suffix(name);
    rest.is_some_and(|rest| ["", "refs/", "refs/heads/", "refs/tags/"].contains(&rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_to_a_repository_are_one_place() {
        for (url, same) in [
            ("https://github.com/Org/Repo.git", "git@github.com:org/repo"),
            ("https://u:p@GitHub.com:443/org/repo/", "ssh://git@ssh.github.com:443/org/repo.git"),
            ("git://github.com:9418/org/repo", "http://github.com:80/ORG/repo.git/"),
            ("ssh://git@altssh.bitbucket.org:443/a/b", "https://bitbucket.org/a/b"),
            ("https://h/a%20b", "ssh://h/a b.git"),
            ("https://org@dev.azure.com/org/project/_git/repo", "git@ssh.dev.azure.com:v3/org/project/repo"),
            ("https://org.visualstudio.com/project/_git/repo", "https://dev.azure.com/org/project/_git/repo"),
            (
                "https://org.visualstudio.com/DefaultCollection/p/_git/r",
                "git@vs-ssh.visualstudio.com:v3/org/p/r",
            ),
            ("https://dev.azure.com/org/_git/repo", "https://dev.azure.com/org/repo/_git/repo"),
            ("https://h:8443/a?x=y#z", "https://h:8443/a"),
        ] {
            assert_eq!(Place::parse(url), Place::parse(same), "{url}");
            assert!(Place::parse(url).is_some(), "{url}");
        }
        for (url, other) in [
            ("https://h/a/B", "https://h/a/b"),
            ("https://h:8443/a", "https://h/a"),
            ("https://github.com/a/b", "https://github.com.evil/a/b"),
            ("https://github.com/a/b", "https://evil/github.com/a/b"),
            ("https://github.com@evil/a/b", "https://github.com/a/b"),
        ] {
            assert_ne!(Place::parse(url), Place::parse(other), "{url}");
        }
        for text in [
            "",
            "h",
            "/srv/x",
            "file:///srv/x",
            "https://",
            "https://h",
            "https://h/",
            "://",
            "h:",
            "https:///x",
            "https://h/%ff",
        ] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }

    fn rules(reference: &str) -> Rules {
        let places = vec![Place::parse("https://h/a/b").unwrap()];
        Rules { places, any_repo: false, reference: Some(reference.parse().unwrap()) }
    }

    fn report(url: &str, changes: &[(&str, bool)]) -> Report {
        let changes = changes.iter().map(|(reference, is_deletion)| Change {
            reference: (*reference).into(),
            commit: "1".repeat(40).parse().ok(),
            is_deletion: *is_deletion,
        });
        let repositories = if url.is_empty() { Vec::new() } else { vec![Named::Url(url.into())] };
        Report { news: News::Changes(changes.collect()), repositories, default_branch: Some("main".into()) }
    }

    #[test]
    fn names_follow_the_references_that_they_may_mean() {
        for (name, full, follows) in [
            ("HEAD", "refs/heads/main", true),
            ("HEAD", "refs/heads/other", false),
            ("main", "refs/heads/main", true),
            ("main", "refs/tags/main", true),
            ("main", "refs/heads/x/main", false),
            ("main", "refs/heads/mainx", false),
            ("heads/main", "refs/heads/main", true),
            ("refs/heads/main", "refs/heads/main", true),
            ("refs/heads/main", "refs/tags/main", false),
            ("x/y", "refs/heads/x/y", true),
            (&"1".repeat(40), "refs/heads/main", false),
        ] {
            assert_eq!(rules(name).follows(full, Some("main")), follows, "{name} {full}");
        }
        assert!(rules("HEAD").follows("refs/heads/any", None));
        let of = |reference| Rules { reference: Some(reference), ..Rules::default() };
        let highest = of(Reference::Highest(sync_core::VersionTags::new("*".parse().unwrap())));
        assert!(highest.follows("refs/tags/v1", None) && !highest.follows("refs/heads/v1", None));
        let last = of(Reference::Last("refs/heads/night-*".parse().unwrap()));
        assert!(last.follows("refs/heads/night-1", None) && !last.follows("refs/heads/day-1", None));
    }

    #[test]
    fn a_hook_is_judged_by_all_its_changes() {
        let ours = "https://H/a/b.git";
        let commit = "1".repeat(40).parse().ok();
        for (url, changes, verdict) in [
            (ours, &[("refs/heads/main", false)][..], Verdict::News(commit)),
            (ours, &[("refs/heads/x", false), ("refs/heads/main", false)], Verdict::News(commit)),
            (ours, &[("refs/heads/main", true), ("refs/heads/main", false)], Verdict::News(commit)),
            (ours, &[("refs/heads/x", false)], Verdict::OtherReference),
            (ours, &[("refs/heads/main", true)], Verdict::Deleted),
            (ours, &[], Verdict::Unclear),
            ("https://h/other", &[("refs/heads/main", false)], Verdict::OtherRepository),
            ("https://h/other", &[], Verdict::OtherRepository),
            ("", &[("refs/heads/main", false)], Verdict::Unclear),
            ("", &[("refs/heads/x", false)], Verdict::OtherReference),
        ] {
            assert_eq!(rules("main").judge(&report(url, changes)), verdict, "{url} {changes:?}");
        }
        let any = Rules { any_repo: true, ..rules("main") };
        assert_eq!(any.judge(&report("https://x/y", &[("refs/heads/main", false)])), Verdict::News(commit));
    }

    #[test]
    fn a_project_is_the_end_of_a_path() {
        let place = Place::parse("https://gerrit/a/tools/x").unwrap();
        for (project, fits) in
            [("tools/x", true), ("x", true), ("a/tools/x", true), ("ools/x", false), ("", false)]
        {
            assert_eq!(place.is_named(&Named::Project(project.into())), fits, "{project}");
        }
    }
}
