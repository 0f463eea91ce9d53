//! Check the targets of symbolic links. Consumers follow them, so a hostile link could make them read any file of
//! their machine.

use std::collections::BTreeMap;

use gix::bstr::{BString, ByteSlice};
use gix::index::entry::Mode;
use gix::objs::{FindExt, HeaderExt};

use super::{SelectedTree, missing};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::fetched::Fetched;
use crate::interrupt::Interrupt;
use crate::spec::SymlinkPolicy;
use crate::spec::reference::CommitId;
use crate::spec::subdirectory::Subdirectory;
use crate::store::Store;
use crate::trees::rules::PATH_MAX;
use crate::worktree::entry::needs_writing;

/// The number of links that Linux follows in one path.
const MAX_HOPS: usize = 40;

/// The target of each link, by its path.
type Links = BTreeMap<BString, BString>;

/// Refuse links that the policy forbids, in the tree and its submodules.
pub(super) fn check(
    store: &Store,
    fetched: &Fetched,
    tree: &SelectedTree,
    interrupt: &Interrupt,
) -> Result<()> {
    let policy = fetched.selection.symlinks;
    if policy == SymlinkPolicy::Keep {
        return Ok(());
    }
    let step = || format!("check out {}", fetched.commit);
    let subdirectory = fetched.selection.subdirectory.as_ref();
    let mut links = Links::new();
    gather(store, fetched, tree, b"", &mut links)?;
    for (path, target) in &links {
        interrupt.check().step(step)?;
        let fault = match policy {
            SymlinkPolicy::Inside => fault(path, target, &links, subdirectory),
            _ => Some("is a symbolic link, and symbolic links are not allowed"),
        };
        if let Some(fault) = fault {
            let text = format!("{path:?} -> {target:?} {fault} (symlinks)");
            return Err(Error::new(ErrorKind::Rejected, step(), text));
        }
    }
    Ok(())
}

/// Collect the links of a tree and its submodules.
fn gather(
    store: &Store,
    fetched: &Fetched,
    SelectedTree { objects, files }: &SelectedTree,
    prefix: &[u8],
    links: &mut Links,
) -> Result<()> {
    let (index, headers, mut buffer) = (&files.index, objects.headers(), Vec::new());
    let is_link = |entry: &&gix::index::Entry| entry.mode == Mode::SYMLINK && needs_writing(entry);
    for entry in index.entries().iter().filter(is_link) {
        let missing = |err| missing(CommitId(entry.id), &err);
        // Build::measure refuses a target that is too long.
        if headers.header(&entry.id).map_err(missing)?.size >= PATH_MAX {
            continue;
        }
        let target = objects.find_blob(&entry.id, &mut buffer).map_err(missing)?;
        let path = [prefix, entry.path(index)].concat();
        links.insert(path.into(), target.data.as_bstr().to_owned());
    }
    for submodule in &fetched.submodules {
        let inside = [prefix, &submodule.path, b"/"].concat();
        let (store, fetched) = (store.submodule(&submodule.url)?, &submodule.fetched);
        let tree = SelectedTree::read(&store, fetched, None, &mut 0)?;
        gather(&store, fetched, &tree, &inside, links)?;
    }
    Ok(())
}

/// Why a link is refused, if it is. Only names and the targets of links count: every other part of a path is taken
/// for a directory, whether it exists or not. A link in the subdirectory may not leave it, any other not the tree.
fn fault(
    path: &BString,
    target: &BString,
    links: &Links,
    subdirectory: Option<&Subdirectory>,
) -> Option<&'static str> {
    let around = subdirectory.filter(|directory| directory.holds(path.as_bstr()));
    let (depth, leads_out) = match around {
        Some(directory) => (directory.levels().count(), "leads out of the subdirectory"),
        None => (0, "leads out of the tree"),
    };
    if target.starts_with(b"/") {
        return Some("is absolute");
    }
    let mut dir: Vec<&[u8]> = path.split_str("/").collect();
    dir.pop();
    let mut rest: Vec<&[u8]> = target.rsplit_str("/").collect();
    let mut hops = 1;
    while let Some(part) = rest.pop() {
        match part {
            b"" | b"." => {}
            b".." if dir.len() == depth => return Some(leads_out),
            b".." => _ = dir.pop(),
            name => {
                dir.push(name);
                let Some(target) = links.get(dir.join(&b'/').as_bstr()) else { continue };
                hops += 1;
                if target.starts_with(b"/") {
                    return Some("leads out of the tree by another link");
                }
                if hops > MAX_HOPS {
                    return Some("leads through more than 40 links");
                }
                dir.pop();
                rest.extend(target.rsplit_str("/"));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(links: &[(&str, &str)]) -> Vec<Option<&'static str>> {
        faults_around(links, None)
    }

    fn faults_around(links: &[(&str, &str)], directory: Option<&str>) -> Vec<Option<&'static str>> {
        let directory = directory.map(|directory| directory.parse().unwrap());
        let known: Links = links.iter().map(|(path, target)| ((*path).into(), (*target).into())).collect();
        let fault = |(path, target): &(&str, &str)| {
            fault(&(*path).into(), &(*target).into(), &known, directory.as_ref())
        };
        links.iter().map(fault).collect()
    }

    #[test]
    fn links_of_a_subdirectory_stay_in_it() {
        let out = Some("leads out of the subdirectory");
        for (path, target, fault) in [
            ("d/e/a", "b", None),
            ("d/e/f/a", "../b", None),
            ("d/e/a", "../b", out),
            ("d/e/a", "../e/b", out),
            ("d/e/f/a", "../../b", out),
            ("d/a", "../b", None),
            ("x", "d/e/f", None),
            ("x", "../d", Some("leads out of the tree")),
        ] {
            assert_eq!(faults_around(&[(path, target)], Some("d/e")), [fault], "{path} -> {target}");
        }
        let chain = [("d/e/a", "f/up/x"), ("d/e/f/up", "../..")];
        assert_eq!(faults_around(&chain, Some("d/e")), [out, out]);
    }

    #[test]
    fn links_inside_of_the_tree_may_be() {
        for (path, target) in [
            ("a", "b"),
            ("a", "./b//c/"),
            ("a", "."),
            ("a", "..b"),
            ("a", "nothing/../b"),
            ("d/a", "../b"),
            ("d/e/a", "../.."),
        ] {
            assert_eq!(faults(&[(path, target)]), [None], "{path} -> {target}");
        }
    }

    #[test]
    fn links_out_of_the_tree_are_found_whatever_leads_there() {
        for (path, target) in
            [("a", ".."), ("d/a", "../.."), ("d/a", "x/../../../d/b"), ("a", "nothing/../..")]
        {
            assert_eq!(faults(&[(path, target)]), [Some("leads out of the tree")], "{path} -> {target}");
        }
        assert_eq!(faults(&[("a", "/d")]), [Some("is absolute")]);
        assert_eq!(
            faults(&[("a", "b/c"), ("b", "/")]),
            [Some("leads out of the tree by another link"), Some("is absolute")]
        );
        // Each looks harmless by itself.
        let chain =
            [("deep", "d/e/f"), ("d/e/f/up", "../../.."), ("a", "deep/up/.."), ("b", "deep/../../..")];
        assert_eq!(faults(&chain), [None, None, Some("leads out of the tree"), None]);
        assert_eq!(
            faults(&[("top", "."), ("a", "d/up/../x"), ("d/up", "../top")])[1],
            Some("leads out of the tree")
        );
    }

    #[test]
    fn circles_and_long_chains_are_refused() {
        assert_eq!(faults(&[("a", "b"), ("b", "a")]), [Some("leads through more than 40 links"); 2]);
        let names: Vec<String> = (0..=41).map(|at| format!("l{at}")).collect();
        let chain: Vec<_> = names.windows(2).map(|pair| (pair[1].as_str(), pair[0].as_str())).collect();
        let found = faults(&chain);
        assert_eq!((found[39], found[40]), (None, Some("leads through more than 40 links")));
    }
}
