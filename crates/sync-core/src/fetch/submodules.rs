//! Which submodules a commit has, and their URLs. `.gitmodules` is untrusted: the URLs are checked here, `update`
//! commands are never run, and names are never used as paths.

use gix::ObjectId;
use gix::bstr::{BString, ByteSlice};
use gix::index::entry::Mode;

use crate::error::{Context, Error, ErrorKind, Result};
use crate::limits::Excess;
use crate::spec::Selection;
use crate::spec::reference::CommitId;
use crate::spec::submodules::parse;
use crate::store::Store;
use crate::transport::options::ConnectOptions;
use crate::trees::selected_files;
use crate::url::RemoteUrl;
use crate::worktree::entry::needs_writing;

/// The URL of a repository.
#[derive(Clone)]
pub(crate) struct Location {
    pub(crate) url: RemoteUrl,
    /// The URL before `insteadOf`. Relative URLs of submodules start there.
    pub(crate) written: RemoteUrl,
}

/// A submodule of a commit.
pub(crate) struct WantedSubmodule {
    pub(crate) path: BString,
    pub(crate) commit: ObjectId,
    pub(crate) location: Location,
}

/// The submodules of `commit`, a commit of `parent`: those with a URL in `.gitmodules` that `selection` does not
/// leave out.
pub(crate) fn wanted(
    store: &Store,
    commit: ObjectId,
    parent: &Location,
    selection: &Selection,
    options: &ConnectOptions,
) -> Result<Vec<WantedSubmodule>> {
    let step = || format!("read the submodules of {commit}");
    let repo = store.repository()?;
    let tree = repo
        .find_commit(commit)
        .and_then(|commit| commit.tree())
        .map_err(|err| Error::reading(step(), &err))?;
    let Some(entry) = tree.lookup_entry([".gitmodules"]).step(step)? else { return Ok(Vec::new()) };
    if !entry.mode().is_blob() {
        return Err(Error::new(ErrorKind::Rejected, step(), ".gitmodules is not a file"));
    }
    let (size, most) = (entry.id().header().step(step)?.size(), store.resources().max_text());
    if size > most {
        let excess = Excess::of_text("a .gitmodules", size, most);
        return Err(Error::new(ErrorKind::Limit, step(), excess));
    }
    let text = entry.object().map_err(|err| Error::reading(step(), &err))?;
    let submodules = parse(&text.data)
        .map_err(|err| Error::new(ErrorKind::Rejected, step(), Error::gix("", &err).cause()))?;
    let index = selected_files(&store.objects(&repo)?, CommitId(commit), selection, &mut 0, None)?.index;
    let mut wanted = Vec::new();
    let is_wanted = |entry: &&gix::index::Entry| entry.mode == Mode::COMMIT && needs_writing(entry);
    for entry in index.entries().iter().filter(is_wanted) {
        let path = entry.path(&index);
        let Some(name) = selection.submodule_rules.wanted_name(&submodules, path) else { continue };
        let url = submodules.config().string_by("submodule", Some(name), "url").unwrap_or_default();
        let step = || format!("read the URL of submodule {path:?}");
        let location = match options.submodule_url(name) {
            Some(url) => Location { url: url.clone(), written: url.clone() },
            None => resolve(parent, &url.to_str_lossy(), options)
                .map_err(|reason| Error::new(ErrorKind::Rejected, step(), reason))?,
        };
        wanted.push(WantedSubmodule { path: path.to_owned(), commit: entry.id, location });
    }
    Ok(wanted)
}

/// The location for a URL from `.gitmodules`, which is relative to the parent's URL or absolute. A path on this machine
/// is refused, unless `protocol.file.allow` says otherwise: `.gitmodules` is untrusted.
pub(crate) fn resolve(
    parent: &Location,
    url: &str,
    options: &ConnectOptions,
) -> std::result::Result<Location, String> {
    let is_relative = url.starts_with("./") || url.starts_with("../");
    let joined = if is_relative { Some(parent.written.join(url)?) } else { None };
    let text = joined.as_ref().map_or_else(|| url.to_owned(), ToString::to_string);
    let rewritten = options.rewrite(&text);
    let resolved = match &joined {
        Some(joined) if rewritten == text => joined.clone(),
        _ => rewritten.parse::<RemoteUrl>()?,
    };
    if !options.allows(&resolved, true) {
        return Err(match resolved.protocol() {
            "file" => "is a path on this machine, which .gitmodules must not name".into(),
            protocol => format!("is a {protocol} URL, which .gitmodules must not name here"),
        });
    }
    let resolved = resolved.with_login_of(&parent.url).with_login_of(&parent.written);
    // A text that becomes a URL only by `insteadOf` has no form before it.
    let written = joined.or_else(|| text.parse().ok()).unwrap_or_else(|| resolved.clone());
    Ok(Location { url: resolved, written })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> Location {
        let url: RemoteUrl = url.parse().unwrap();
        Location { url: url.clone(), written: url }
    }

    fn resolved(parent: &str, url: &str) -> std::result::Result<String, String> {
        resolve(&at(parent), url, &ConnectOptions::default()).map(|found| found.url.to_string())
    }

    #[test]
    fn beginnings_are_replaced_in_what_a_relative_url_leads_to() {
        for (rules, parent, urls, expected) in [
            (
                &[("https://mirror/", "https://origin/sub/")][..],
                "https://origin/up",
                &["../sub/x"][..],
                "https://mirror/x",
            ),
            (
                &[("https://mirror/", "https://origin/")],
                "https://origin/g/up",
                &["../sub"],
                "https://mirror/g/sub",
            ),
            // A nested submodule starts at its parent's URL before `insteadOf`.
            (
                &[("https://mirror/only", "https://origin/g/sub")],
                "https://origin/g/up",
                &["../sub", "../inner"],
                "https://origin/g/inner",
            ),
            (
                &[("https://mirror/only", "https://origin/g/inner")],
                "https://origin/g/up",
                &["https://origin/g/sub", "../inner"],
                "https://mirror/only",
            ),
            (&[("https://host/", "gh:")], "gh:g/up", &["../sub"], "https://host/g/sub"),
            (&[("https://host/", "git@host:")], "git@host:g/up", &["../sub", "../x"], "https://host/g/x"),
            (&[("ssh://git@host/", "git://host/")], "git://host/g/up", &["../sub"], "ssh://git@host/g/sub"),
        ] {
            let rewrites = rules.iter().map(|(to, from)| ((*from).to_owned(), (*to).to_owned())).collect();
            let options = ConnectOptions { rewrites, ..ConnectOptions::default() };
            let url = options.rewrite(parent).parse().unwrap();
            let mut found = Location { url, written: parent.parse().unwrap() };
            for url in urls {
                found = resolve(&found, url, &options).unwrap();
            }
            assert_eq!(found.url.to_string(), expected, "{parent} {urls:?}");
        }
        // `insteadOf` must not lead a relative URL to a path on this machine.
        let rewrites = vec![("https://origin/".to_owned(), "/srv/".to_owned())];
        let options = ConnectOptions { rewrites, ..ConnectOptions::default() };
        assert!(resolve(&at("https://origin/g/up"), "../sub", &options).is_err());
    }

    #[test]
    fn relative_urls_start_at_the_parent() {
        for (parent, url, expected) in [
            ("https://host/group/super.git", "../sub.git", "https://host/group/sub.git"),
            ("https://host/group/super.git/", "./sub.git", "https://host/group/super.git/sub.git"),
            ("https://host/a/b/c", "../../x", "https://host/a/x"),
            ("git://host:1/a/b", "../x", "git://host:1/a/x"),
            ("git://host/a%20b/%2541", "../x%20y", "git://host/a b/x y"),
            ("https://host/a", "https://other/x", "https://other/x"),
            ("git@host:group/super.git", "../sub.git", "git@host:group/sub.git"),
            ("git@host:super", "../sub", "git@host:sub"),
            ("host:/srv/super", "../sub", "host:/srv/sub"),
            ("[me@host:22]:~/super", "../sub", "[me@host:22]:~/sub"),
            ("ssh://me@host:2222/a/b", "../../x", "ssh://me@host:2222/x"),
            ("https://host/a", "git@host:x", "git@host:x"),
        ] {
            assert_eq!(resolved(parent, url), Ok(expected.into()));
        }
    }

    #[test]
    fn hostile_urls_beside_an_ssh_parent_are_refused() {
        for url in ["../../../x", "../../-oProxyCommand=x", "../a@b:c", "../\nx", "-u./payload"] {
            assert!(resolved("git@host:a/b", url).is_err(), "{url:?}");
        }
    }

    #[test]
    fn hostile_urls_are_refused() {
        for url in [
            "",
            "/etc",
            "file:///etc",
            "../../../x",
            "../../../../:host/x",
            "./%0ahost=evil",
            "https:///host/x",
            "-u./payload",
            "ext::sh -c evil",
            "https://host\n/x",
            "../\u{1}x",
            "ssh://-oProxyCommand=x/y",
        ] {
            assert!(resolved("https://host/a/b", url).is_err(), "{url:?}");
        }
    }
}
