//! What attributes ask for is done as git does it.

use std::fs;

use crate::support::*;

#[test]
fn attributes_shape_files_as_git_does() {
    let env = Env::new();
    let repo = Repo::init(&env.path("up"), "sha1");
    let encodings = ["UTF-16", "UTF-16LE", "utf16be", "UTF-16LE-BOM", "UTF-32", "UTF-32BE"];
    let mut attributes = String::from(
        "[attr]stamped ident\n*.crlf text eol=crlf\n*.lf text eol=lf\n*.auto text=auto eol=crlf\n*.bin binary\n\
         *.id ident\n*.stamp stamped\n*.idcrlf ident text eol=crlf\n*.lat working-tree-encoding=ISO-8859-15\n",
    );
    for encoding in encodings {
        attributes.push_str(&format!("*.{encoding} working-tree-encoding={encoding}\n"));
    }
    repo.write(".gitattributes", &attributes);
    repo.write("sub/.gitattributes", "*.id -ident\n*.txt ident\n");
    repo.commit(&[]);
    for file in ["x.crlf", "x.lf", "x.auto", "x.bin"] {
        repo.write(file, "one\ntwo\n");
    }
    for file in ["x.id", "x.stamp", "x.idcrlf", "sub/x.id", "sub/x.txt", "plain"] {
        repo.write(file, "$Id$\nbody $Id$ $Identity$\n$Id: Foreign v1 2 $\n$Id: half\n");
    }
    repo.git(&["add", "--all"]);
    // Files in an encoding enter the index as they are, whatever iconv would say to them.
    for encoding in encodings.iter().copied().chain(["lat"]) {
        repo.write("raw", "gr\u{fc}\u{df}e \u{20ac}\nzwei\n");
        let blob = repo.git(&["hash-object", "-w", "--no-filters", "raw"]);
        repo.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},x.{encoding}")]);
    }
    repo.git(&["commit", "--quiet", "--message=attributes"]);
    repo.git(&["reset", "--quiet", "--hard"]);
    env.syncline(repo.url()).sync();
    env.assert_published(&repo, &repo.head());

    // A change of attributes changes the form of untouched blobs.
    repo.write(
        ".gitattributes",
        attributes.replace("eol=crlf", "eol=lf").replace("*.id ident", "*.id -ident"),
    );
    let commit = repo.commit(&[]);
    env.syncline(repo.url()).sync();
    env.assert_published(&repo, &commit);
}

/// They are written one at a time and, where their form is the blob's, piece by piece.
#[test]
fn attributes_shape_large_files_as_git_does() {
    let env = Env::new();
    let repo = env.repo("up");
    repo.write(
        ".gitattributes",
        "*.crlf text eol=crlf\n*.lf text eol=lf\n*.auto text=auto\n*.id ident\n*.wide working-tree-encoding=UTF-16\n",
    );
    let lines = "a line with $Id$\n".repeat(100_000);
    for file in ["x.crlf", "x.lf", "x.auto", "x.id", "raw", "dir/run"] {
        repo.write(file, &lines);
    }
    repo.git(&["add", "--all"]);
    let blob = repo.git(&["hash-object", "-w", "--no-filters", "raw"]);
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},x.wide")]);
    repo.git(&["update-index", "--chmod=+x", "dir/run"]);
    repo.git(&["commit", "--quiet", "--message=large"]);
    repo.git(&["reset", "--quiet", "--hard"]);
    env.syncline(repo.url()).sync();
    env.assert_published(&repo, &repo.head());
}

/// The tree is what `git clone` makes of it, whatever `git status` says to that.
#[track_caller]
fn assert_as_cloned(env: &Env, repo: &Repo) {
    let clone = env.path("clone");
    let _ = fs::remove_dir_all(&clone);
    repo.git(&["clone", "--quiet", ".", clone.to_str().unwrap()]);
    fs::remove_dir_all(clone.join(".git")).unwrap();
    assert_eq!(env.published(), Some(repo.head()));
    assert_eq!(listing(&env.link()), listing(&clone));
}

/// Commit files as they are, whatever attributes say.
fn commit_raw(repo: &Repo, files: &[(&str, &str, &str)]) {
    for (mode, path, content) in files {
        repo.write("../raw", content);
        let blob = repo.git(&["hash-object", "-w", "--no-filters", "../raw"]);
        repo.git(&["update-index", "--add", "--cacheinfo", &format!("{mode},{blob},{path}")]);
    }
    repo.git(&["commit", "--quiet", "--message=raw"]);
}

#[test]
fn attributes_are_taken_from_where_git_takes_them() {
    let env = Env::new();
    let repo = Repo::init(&env.path("up"), "sha1");
    let crlf = "* text eol=crlf\n";
    let marked = "\u{feff}*.txt -text\n*.md text eol=crlf\n";
    commit_raw(
        &repo,
        &[
            ("100644", "file", "one\n"),
            ("100755", "executable/.gitattributes", crlf),
            ("100644", "executable/file", "one\n"),
            // Where a link leads is what the blob holds.
            ("120000", "link/.gitattributes", crlf),
            ("100644", "link/file", "one\n"),
            ("100644", "marked/.gitattributes", crlf),
            ("100644", "marked/deep/.gitattributes", marked),
            ("100644", "marked/deep/file.txt", "one\n"),
            ("100644", "marked/deep/file.md", "one\n"),
            ("100644", "cut/.gitattributes", "*.txt text\0\n* text eol=crlf\n"),
            ("100644", "cut/file", "one\n"),
        ],
    );
    let nginx = Nginx::start(&env.path(""));
    for url in [repo.url().to_owned(), nginx.url("up/.git")] {
        let _ = fs::remove_dir_all(env.root());
        env.syncline(url).sync();
        assert_as_cloned(&env, &repo);
    }
}

#[test]
fn odd_keywords_and_what_cannot_be_encoded_are_as_git_has_them() {
    let env = Env::new();
    let repo = Repo::init(&env.path("up"), "sha1");
    let attributes = "*.id ident\n*.auto ident text=auto eol=crlf\n*.latin ident working-tree-encoding=ISO-8859-1\n\
        *.wide working-tree-encoding=UTF-16\n*.none working-tree-encoding=no-such\n";
    let idents = "$$Id$ $Id: $Id$ $Id:a b$ $Id: a b $Id$ $Id: a\tb $\n$I$Id$ $Id:\n$Id:$Id";
    commit_raw(
        &repo,
        &[
            ("100644", ".gitattributes", attributes),
            ("100644", "x.id", idents),
            ("100644", "x.auto", idents),
            ("100644", "x.latin", idents),
            ("100644", "c1.latin", "gr\u{fc}\u{df}e \u{80}\n"),
            ("100644", "euro.latin", "\u{20ac}\n"),
            ("100644", "empty.wide", ""),
            ("100644", "x.none", "gr\u{fc}\u{df}e\n"),
        ],
    );
    env.syncline(repo.url()).sync();
    assert_as_cloned(&env, &repo);
}
