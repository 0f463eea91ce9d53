//! Symbolic links, and where a policy lets them lead.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::*;

fn with_links(hostile: &Hostile, links: &[(&str, &str)]) -> String {
    hostile.reset();
    for (path, target) in links {
        let path = hostile.repo.path.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }
    hostile.repo.commit(&[])
}

#[test]
fn links_lead_anywhere_unless_told_otherwise() {
    let hostile = Hostile::new();
    let commit = with_links(&hostile, &[("away", "/proc/self/environ"), ("up", "../../..")]);
    hostile.env.syncline(hostile.url()).sync();
    hostile.env.assert_published(&hostile.repo, &commit);
}

#[test]
fn links_out_of_the_tree_are_refused_where_asked_for() {
    let hostile = Hostile::new();
    each_row(
        [
            (&[("away", "/proc/self/environ")][..], "\"away\" -> \"/proc/self/environ\"", "is absolute"),
            (&[("dir/up", "../../secret")], "\"dir/up\" -> \"../../secret\"", "leads out of the tree"),
            // Neither part of it leaves the tree by itself.
            (
                &[("deep", "dir/sub/low"), ("dir/sub/low/up", "../../.."), ("z", "deep/up/..")],
                "\"z\"",
                "leads out of the tree",
            ),
            (&[("x", "x")], "\"x\" -> \"x\"", "more than 40 links"),
        ],
        |(links, path, fault)| {
            with_links(&hostile, links);
            hostile.assert_refused(&[path, fault, "symlinks"], |syncline| syncline.arg("--symlinks=inside"));
        },
    );
    let commit =
        with_links(&hostile, &[("here", "dir/other"), ("dir/back", "../here"), ("dir/none", "../nothing")]);
    for url in [hostile.url(), hostile.repo.url().to_owned()] {
        let _ = fs::remove_dir_all(hostile.env.root());
        hostile.env.syncline(url).arg("--symlinks=inside").sync();
        hostile.env.assert_published(&hostile.repo, &commit);
    }
}

#[test]
fn any_link_is_refused_where_asked_for() {
    let hostile = Hostile::new();
    with_links(&hostile, &[("dir/here", "other")]);
    hostile.assert_refused(&["\"dir/here\" -> \"other\" is a symbolic link"], |syncline| {
        syncline.arg("--symlinks=refuse")
    });
    // Patterns that leave it out make the commit acceptable.
    hostile.env.syncline(hostile.url()).arg("--symlinks=refuse").arg("--sparse=nothing").sync();
    let log = hostile.env.syncline(hostile.url()).arg("--symlinks=some").fail();
    assert!(log.contains("neither keep, inside nor refuse"), "{log}");
}

#[test]
fn links_of_submodules_may_lead_to_the_tree_around_them_and_no_further() {
    let hostile = Hostile::new();
    let one = hostile.env.repo("one");
    for (target, fault) in [("../../file", None), ("../../../beside", Some("leads out of the tree"))] {
        let _ = fs::remove_file(one.path.join("link"));
        symlink(target, one.path.join("link")).unwrap();
        let pinned = one.commit(&[]);
        hostile.reset();
        hostile.repo.git(&["config", "-f", ".gitmodules", "submodule.one.path", "mods/one"]);
        hostile.repo.git(&["config", "-f", ".gitmodules", "submodule.one.url", "../../one/.git"]);
        hostile.repo.git(&["add", ".gitmodules"]);
        hostile.repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{pinned},mods/one")]);
        hostile.repo.git(&["commit", "--quiet", "--message=module"]);
        let syncline = hostile.env.syncline(hostile.url()).arg("--symlinks=inside");
        match fault {
            None => assert_eq!(syncline.sync().code, Some(0)),
            Some(fault) => {
                let log = crate::support::fault(&syncline.fail());
                assert!(log.contains("\"mods/one/link\"") && log.contains(fault), "{log}");
                assert_eq!(
                    fs::read_link(hostile.env.link().join("mods/one/link")).unwrap().as_os_str(),
                    "../../file"
                );
                hostile.env.assert_no_leftovers();
            }
        }
    }
}
