//! Which other repositories a commit wants inside its tree, and where they are. `.gitmodules` is the work of
//! strangers: what it says is checked here, its `update` commands are never looked at, and its names go nowhere
//! near the file system.

use std::path::Path;

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::index::entry::Mode;
use gix::pathspec;
use gix::submodule::File;

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

/// What the user's configuration says of submodules, at any depth. Of rules for the same name the last counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SubmoduleRules {
    /// git's `submodule.<name>.update`: whether it is anything but `none`.
    pub update: Vec<(String, bool)>,
    /// git's `submodule.<name>.active`.
    pub active: Vec<(String, bool)>,
    active_paths: Vec<pathspec::Pattern>,
}

impl SubmoduleRules {
    /// One of git's `submodule.active`, a pathspec: where there is any, only submodules at such paths are wanted.
    pub fn add_active_path(&mut self, spec: &str) -> std::result::Result<(), &'static str> {
        let spec = pathspec::parse(spec.as_bytes(), pathspec::Defaults::default());
        self.active_paths.push(spec.map_err(|_| "is no pathspec")?);
        Ok(())
    }

    /// The name of the submodule at `path`, unless it is to stay an empty directory: `.gitmodules` does not mention
    /// it, or it or the user leaves it out.
    pub(crate) fn wanted_name<'a>(&self, modules: &'a File, path: &BStr) -> Option<&'a BStr> {
        let name = modules.name_by_path(path)?;
        let said = |rules: &[(String, bool)]| {
            rules.iter().rev().find(|(ruled, _)| ruled.as_bytes() == name).map(|(_, value)| *value)
        };
        let is_active = said(&self.active).unwrap_or_else(|| self.has_active_path(path));
        let is_updated = said(&self.update).unwrap_or_else(|| {
            modules
                .config()
                .string_by("submodule", Some(name), "update")
                .is_none_or(|update| update != "none")
        });
        (is_active && is_updated).then_some(name)
    }

    fn has_active_path(&self, path: &BStr) -> bool {
        if self.active_paths.is_empty() {
            return true;
        }
        let search = pathspec::Search::from_specs(self.active_paths.iter().cloned(), None, Path::new(""));
        search.is_ok_and(|mut search| {
            let found = search.pattern_matching_relative_path(path, Some(true), &mut |_, _, _, _| false);
            found.is_some_and(|found| !found.is_excluded())
        })
    }
}

/// What a `.gitmodules` says.
pub(crate) fn parse(text: &[u8]) -> gix::Result<File> {
    File::from_bytes(text, None, &gix::config::File::default())
}

/// Where a repository is.
#[derive(Clone)]
pub(crate) struct Location {
    pub(crate) url: RemoteUrl,
    /// As it was before `insteadOf`: there relative URLs start.
    pub(crate) written: RemoteUrl,
}

/// Beyond this, a repository is taken to be hostile.
pub(crate) const MAX_DEPTH: usize = 10;

/// A submodule as a commit names it.
pub(crate) struct Wanted {
    pub(crate) path: BString,
    pub(crate) commit: ObjectId,
    pub(crate) location: Location,
}

/// The submodules that `commit` of `parent` pins and `.gitmodules` locates, but for those that `rules` or `sparse`
/// leave out.
pub(crate) fn wanted(
    store: &Store,
    commit: ObjectId,
    parent: &Location,
    rules: &SubmoduleRules,
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
    let modules = parse(&text.data)
        .map_err(|err| Error::new(Recovery::Reconfigure, step(), Error::gix("", &err).cause()))?;
    let mut index = index_of(&store.objects(&repo)?, commit, limits, &mut 0, None)?;
    if let Some(sparse) = sparse {
        sparse.apply(&mut index).step(step)?;
    }
    let mut wanted = Vec::new();
    let is_wanted = |entry: &&gix::index::Entry| entry.mode == Mode::COMMIT && is_unmarked(entry);
    for entry in index.entries().iter().filter(is_wanted) {
        let path = entry.path(&index);
        let Some(name) = rules.wanted_name(&modules, path) else { continue };
        let url = modules.config().string_by("submodule", Some(name), "url").unwrap_or_default();
        let step = || format!("read the URL of submodule {path:?}");
        let location = match options.submodule_url(name) {
            Some(url) => Location { url: url.clone(), written: url.clone() },
            None => resolve(parent, &url.to_str_lossy(), options)
                .map_err(|fault| Error::new(Recovery::Reconfigure, step(), fault))?,
        };
        wanted.push(Wanted { path: path.to_owned(), commit: entry.id, location });
    }
    Ok(wanted)
}

/// A URL of a `.gitmodules`: relative to its parent's, or one of the network's. A path on this machine is not
/// for strangers to name.
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
            "file" => "is a path on this machine, which a repository may not name".into(),
            protocol => format!("is a URL of {protocol}, which a repository may not name here"),
        });
    }
    let resolved = resolved.with_login_of(&parent.url).with_login_of(&parent.written);
    // What only `insteadOf` makes a URL has no other form.
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
            // A nested one starts where its parent was said to be.
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
        // A path on this machine is no more for strangers to name than before.
        let rewrites = vec![("https://origin/".to_owned(), "/srv/".to_owned())];
        let options = ConnectOptions { rewrites, ..ConnectOptions::default() };
        assert!(resolve(&at("https://origin/g/up"), "../sub", &options).is_err());
    }

    #[test]
    fn rules_and_gitmodules_decide_which_submodules_are_wanted() {
        let modules = |update: &str| {
            parse(format!("[submodule \"n\"]\n\tpath = libs/p\n\turl = ../x\n{update}").as_bytes()).unwrap()
        };
        let (none, unset) = ("\tupdate = none\n", "");
        for (update, updates, actives, paths, expected) in [
            (unset, &[][..], &[][..], &[][..], true),
            (none, &[], &[], &[], false),
            ("\tupdate = rebase\n", &[], &[], &[], true),
            ("\tupdate = !touch x\n", &[], &[], &[], true),
            (none, &[("n", true)], &[], &[], true),
            (none, &[("other", true)], &[], &[], false),
            (unset, &[("n", false)], &[], &[], false),
            (unset, &[("n", false), ("n", true)], &[], &[], true),
            (unset, &[], &[("n", false)], &[], false),
            (none, &[], &[("n", true)], &[], false),
            (unset, &[], &[], &["libs"], true),
            (unset, &[], &[], &["docs"], false),
            (unset, &[], &[], &["docs", "libs/*"], true),
            (unset, &[], &[], &["libs", ":(exclude)libs/p"], false),
            (unset, &[], &[("n", true)], &["docs"], true),
        ] {
            let owned = |rules: &[(&str, bool)]| -> Vec<_> {
                rules.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
            };
            let mut rules =
                SubmoduleRules { update: owned(updates), active: owned(actives), ..Default::default() };
            paths.iter().for_each(|path| rules.add_active_path(path).unwrap());
            let found = rules.wanted_name(&modules(update), "libs/p".into()).is_some();
            assert_eq!(found, expected, "{update:?} {rules:?}");
        }
        assert!(SubmoduleRules::default().wanted_name(&modules(unset), "elsewhere".into()).is_none());
        assert!(SubmoduleRules::default().add_active_path(":(canary)x").is_err());
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
