//! How much a commit may come to, and that somebody can allow more.

use std::fs;

use crate::support::*;

/// With the limit the newest commit is refused everywhere; with the other it is published.
#[track_caller]
fn assert_limited(hostile: &Hostile, refused: &str, words: &[&str], allowed: &str) {
    hostile.assert_refused(words, |syncline| syncline.arg(refused));
    assert_allowed(hostile, allowed);
}

#[track_caller]
fn assert_allowed(hostile: &Hostile, allowed: &str) {
    let commit = hostile.repo.git(&["rev-parse", "refs/heads/main"]);
    hostile.env.syncline(hostile.repo.url()).arg(allowed).sync();
    hostile.env.assert_published(&hostile.repo, &commit);
    fs::remove_dir_all(hostile.env.root()).unwrap();
    hostile.env.syncline(hostile.url()).arg(allowed).sync();
    hostile.env.assert_published(&hostile.repo, &commit);
}

#[test]
fn more_files_than_allowed_are_refused() {
    let hostile = Hostile::new();
    for number in 0..10 {
        hostile.repo.write(&format!("more/{number}"), "x");
    }
    // With `file`, `dir`, `dir/other` and `more` these are 14.
    hostile.repo.commit(&[]);
    let words = ["more than 13 files and directories", "max-files"];
    assert_limited(&hostile, "--max-files=13", &words, "--max-files=14");
}

#[test]
fn a_small_tree_that_names_itself_over_and_over_is_refused_soon() {
    let hostile = Hostile::new();
    let blob = hostile.repo.blob("x");
    for leaf in [vec![("100644", &b"file"[..], blob.as_str())], vec![]] {
        hostile.reset();
        let mut tree = hostile.repo.raw_tree(&leaf);
        let names: Vec<String> = (0..10).map(|at| format!("n{at}")).collect();
        // 10^12 directories.
        for _ in 0..12 {
            let entries: Vec<_> =
                names.iter().map(|name| ("40000", name.as_bytes(), tree.as_str())).collect();
            tree = hostile.repo.raw_tree(&entries);
        }
        hostile.repo.commit_tree(&tree);
        hostile.assert_refused(&["more than 1000 files and directories"], |syncline| {
            syncline.arg("--max-files=1000")
        });
    }
}

#[test]
fn a_tree_larger_than_allowed_is_refused() {
    let hostile = Hostile::new();
    for number in 0..4 {
        hostile.repo.write(&format!("large/{number}"), noise(number, 100_000));
    }
    hostile.repo.commit(&[]);
    // 400,010 bytes.
    hostile.assert_refused(&["more than 400009 bytes", "max-tree-size"], |syncline| {
        syncline.arg("--max-tree-size=400009")
    });
    assert_allowed(&hostile, "--max-tree-size=400010");
    // One blob many times.
    hostile.reset();
    let blob = hostile.repo.blob(noise(9, 10_000));
    let names: Vec<String> = (100..200).map(|at| at.to_string()).collect();
    let entries: Vec<_> = names.iter().map(|name| ("100644", name.as_bytes(), blob.as_str())).collect();
    hostile.repo.commit_tree(&hostile.repo.raw_tree(&entries));
    assert_limited(&hostile, "--max-tree-size=900KiB", &["more than 900 KiB"], "--max-tree-size=1MiB");
}

#[test]
fn a_file_larger_than_allowed_is_refused_by_its_path() {
    let hostile = Hostile::new();
    // The large ones go through in pieces, the others in batches; those that compress may be deltas.
    for size in [1_500_000, 20_000] {
        hostile.reset();
        hostile.repo.write("dir/big", noise(3, size));
        hostile.repo.commit(&[]);
        let words = ["\"dir/big\"", &format!("more than {} bytes", size - 1), "max-blob-size"];
        assert_limited(
            &hostile,
            &format!("--max-blob-size={}", size - 1),
            &words,
            &format!("--max-blob-size={size}"),
        );
    }
    // In the history it is no file of the tree.
    let commit = hostile.repo.commit(&[("dir/big", "small")]);
    fs::remove_dir_all(hostile.env.root()).unwrap();
    hostile.env.syncline(hostile.url()).arg("--depth=0").arg("--max-blob-size=1000").sync();
    hostile.env.assert_published(&hostile.repo, &commit);
}

#[test]
fn a_pack_larger_than_allowed_is_refused_while_it_comes() {
    let hostile = Hostile::new();
    hostile.env.syncline(hostile.url()).sync();
    hostile.repo.commit_incompressible(1 << 20);
    let before = packs(&hostile.env);
    for _ in 0..2 {
        let fault = fault(&hostile.env.syncline(hostile.url()).arg("--max-pack-size=100KiB").fail());
        assert!(fault.contains("more than 100 KiB (limit max-pack-size)"), "{fault}");
        assert_eq!(hostile.env.published().as_ref(), Some(&hostile.good));
        assert_eq!(packs(&hostile.env), before, "the space is given back");
        hostile.env.assert_no_leftovers();
    }
    hostile.env.syncline(hostile.url()).arg("--max-pack-size=2MiB").sync();
    hostile.env.assert_published(&hostile.repo, &hostile.repo.head());
    fs::remove_dir_all(hostile.env.root()).unwrap();
    let fault = fault(&hostile.env.syncline(hostile.url()).arg("--max-pack-size=100KiB").fail());
    assert!(fault.contains("more than 100 KiB (limit max-pack-size)"), "{fault}");
    assert!(packs(&hostile.env).is_empty());
    hostile.env.assert_no_leftovers();
}

fn packs(env: &Env) -> Vec<String> {
    let files = fs::read_dir(env.root().join(".git/objects/pack")).into_iter().flatten();
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn more_submodules_than_allowed_are_refused_and_theirs_count() {
    let hostile = Hostile::new();
    let one = hostile.env.repo("one");
    for path in ["a", "b"] {
        hostile.repo.git(&["config", "-f", ".gitmodules", &format!("submodule.{path}.path"), path]);
        hostile.repo.git(&[
            "config",
            "-f",
            ".gitmodules",
            &format!("submodule.{path}.url"),
            "../../one/.git",
        ]);
        hostile.repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},{path}", one.head())]);
    }
    hostile.repo.git(&["add", ".gitmodules"]);
    hostile.repo.git(&["commit", "--quiet", "--message=modules"]);
    // Three files and a directory here, two and one there, of four and six bytes.
    let size = fs::metadata(hostile.repo.path.join(".gitmodules")).unwrap().len() + 3 * 10 - 1;
    each_row(
        [
            ("--max-submodules=1", "more than 1 submodules (limit max-submodules)"),
            ("--max-files=11", "more than 11 files and directories"),
            (&format!("--max-tree-size={size}"), &format!("more than {size} bytes")),
        ],
        |(options, words)| {
            let fault = fault(&hostile.env.syncline(hostile.url()).arg(options).fail());
            assert!(fault.contains(words) && fault.contains("submodule \"b\""), "{fault}");
            assert_eq!(hostile.env.published(), None);
            hostile.env.assert_no_leftovers();
        },
    );
    hostile.env.syncline(hostile.url()).arg("--max-submodules=2").arg("--max-files=12").sync();
    assert_eq!(hostile.env.read("b/file"), "one\n");
}

#[test]
fn limits_that_are_no_numbers_are_faults() {
    let env = Env::new();
    let log = env.syncline("/x").arg("--max-files=many").arg("--max-tree-size=1GB").fail();
    assert!(log.contains("--max-files") && log.contains("must be a size such as 500MiB"), "{log}");
}
