//! Which other repositories a commit wants inside its tree, and where they are. `.gitmodules` is the work of
//! strangers: what it says is checked here, its `update` commands are never looked at, and its names go nowhere
//! near the file system.

use gix::ObjectId;
use gix::bstr::{BString, ByteSlice};
use gix::index::entry::Mode;

use crate::checkout::is_unmarked;
use crate::error::{Context, Error, Recovery, Result};
use crate::limits::Excess;
use crate::store::Store;
use crate::trees::index_of;
use crate::{ConnectOptions, Limits, RemoteUrl, SparsePatterns};

/// How deep to look for submodules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Submodules {
    /// Those of submodules too.
    #[default]
    Recursive,
    /// Only those of the repository itself.
    Shallow,
    /// None: their directories stay empty.
    Off,
}

/// Beyond this, a repository is taken to be hostile.
pub(crate) const MAX_DEPTH: usize = 10;

/// A submodule as a commit names it.
pub(crate) struct Wanted {
    pub(crate) path: BString,
    pub(crate) commit: ObjectId,
    pub(crate) url: RemoteUrl,
}

/// The submodules that `commit` pins and `.gitmodules` locates; `parent` is where relative URLs start. A pin
/// that `.gitmodules` does not mention stays an empty directory, and one that `sparse` leaves out is not wanted.
pub(crate) fn wanted(
    store: &Store,
    commit: ObjectId,
    parent: &RemoteUrl,
    sparse: Option<&SparsePatterns>,
    limits: &Limits,
    options: &ConnectOptions,
) -> Result<Vec<Wanted>> {
    let step = || format!("read the submodules of {commit}");
    let repo = store.repository()?;
    let tree = repo
        .find_commit(commit)
        .and_then(|commit| commit.tree())
        .map_err(|err| Error::reading(step(), &err))?;
    let Some(entry) = tree.lookup_entry([".gitmodules"]).step(step)? else { return Ok(Vec::new()) };
    if !entry.mode().is_blob() {
        return Err(Error::new(Recovery::Reconfigure, step(), ".gitmodules is not a file"));
    }
    let (size, most) = (entry.id().header().step(step)?.size(), store.resources().largest_text());
    if size > most {
        let excess = Excess::of_text("a .gitmodules", size, most);
        return Err(Error::new(Recovery::Reconfigure, step(), excess));
    }
    let text = entry.object().map_err(|err| Error::reading(step(), &err))?;
    let empty = gix::config::File::default();
    let modules = gix::submodule::File::from_bytes(&text.data, None, &empty)
        .map_err(|err| Error::new(Recovery::Reconfigure, step(), Error::gix("", &err).cause()))?;
    let mut index = index_of(&store.objects(&repo)?, commit, limits, &mut 0, None)?;
    if let Some(sparse) = sparse {
        sparse.apply(&mut index).step(step)?;
    }
    let mut wanted = Vec::new();
    let is_wanted = |entry: &&gix::index::Entry| entry.mode == Mode::COMMIT && is_unmarked(entry);
    for entry in index.entries().iter().filter(is_wanted) {
        let path = entry.path(&index);
        let Some(name) = modules.name_by_path(path) else { continue };
        let url = modules.config().string_by("submodule", Some(name), "url").unwrap_or_default();
        let step = || format!("read the URL of submodule {path:?}");
        let url = resolve(parent, &url.to_str_lossy(), options)
            .map_err(|fault| Error::new(Recovery::Reconfigure, step(), fault))?;
        wanted.push(Wanted { path: path.to_owned(), commit: entry.id, url });
    }
    Ok(wanted)
}

/// A URL of a `.gitmodules`: relative to its parent's, or one of the network's. A path on this machine is not
/// for strangers to name.
pub(crate) fn resolve(
    parent: &RemoteUrl,
    url: &str,
    options: &ConnectOptions,
) -> std::result::Result<RemoteUrl, String> {
    let is_relative = url.starts_with("./") || url.starts_with("../");
    let resolved = if is_relative { parent.join(url)? } else { options.rewrite(url).parse::<RemoteUrl>()? };
    if !options.allows(&resolved, true) {
        return Err(match resolved.protocol() {
            "file" => "is a path on this machine, which a repository may not name".into(),
            protocol => format!("is a URL of {protocol}, which a repository may not name here"),
        });
    }
    Ok(resolved.with_login_of(parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(parent: &str, url: &str) -> std::result::Result<String, String> {
        resolve(&parent.parse().unwrap(), url, &ConnectOptions::default()).map(|url| url.to_string())
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
