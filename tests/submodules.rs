//! Repositories inside of repositories.

use std::fs;
use std::path::Path;

use crate::support::*;

/// Add or move a submodule without asking git to clone it.
pub fn pin(repo: &Repo, path: &str, url: &str, commit: &str) {
    repo.git(&["config", "-f", ".gitmodules", &format!("submodule.{path}.path"), path]);
    repo.git(&["config", "-f", ".gitmodules", &format!("submodule.{path}.url"), url]);
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},{path}")]);
    repo.git(&["add", ".gitmodules"]);
}

/// A repository `up` with the submodule `one`, served and synced.
fn synced_with_one(env: &Env) -> (Repo, Nginx) {
    let (up, one) = (env.repo("up"), env.repo("one"));
    pin(&up, "one", "../../one/.git", &one.head());
    commit(&up);
    let nginx = Nginx::start(&env.path(""));
    env.syncline(nginx.url("up/.git")).sync();
    (one, nginx)
}

pub fn commit(repo: &Repo) -> String {
    repo.git(&["commit", "--quiet", "--message=modules"]);
    repo.head()
}

fn read(env: &Env, file: &str) -> Option<String> {
    fs::read_to_string(env.link().join(file)).ok()
}

/// Stock git finds the whole tree in order, submodules and all.
#[track_caller]
fn assert_clean(env: &Env, modules: &[(&str, &str)]) {
    assert_eq!(git(&env.link(), &["status", "--porcelain", "--ignore-submodules=none"]), "");
    env.assert_store_is_sound();
    env.assert_no_leftovers();
    for (path, commit) in modules {
        let module = env.link().join(path);
        assert_eq!(git(&module, &["rev-parse", "HEAD"]), *commit, "{path}");
        assert_eq!(git(&module, &["status", "--porcelain"]), "", "{path}");
        assert_eq!(git(&module, &["rev-list", "--count", "HEAD"]), "1", "{path}");
        assert_eq!(git(&module, &["fsck"]), "", "{path}");
    }
}

#[test]
fn submodules_come_along_and_follow_their_pins() {
    let env = Env::new();
    let (up, one, two) = (env.repo("up"), env.repo("one"), env.repo("two"));
    let nginx = Nginx::start(&env.path(""));
    let first = one.head();
    pin(&up, "mods/one", "../../one/.git", &first);
    pin(&up, "two", &nginx.url("two/.git"), &two.head());
    commit(&up);
    let url = nginx.url("up/.git");
    env.syncline(&url).sync();
    assert_clean(&env, &[("mods/one", &first), ("two", &two.head())]);
    assert_eq!(read(&env, "mods/one/dir/other").unwrap(), "other\n");

    // Only the superproject changes: the submodules cost no request, and their files are shared.
    let inode =
        || std::os::unix::fs::MetadataExt::ino(&fs::metadata(env.link().join("mods/one/file")).unwrap());
    let (before, requests) = (inode(), nginx.requests().len());
    up.write("file", "changed");
    up.git(&["commit", "--quiet", "--message=change", "--only", "file"]);
    env.syncline(&url).sync();
    let asked: Vec<String> = nginx.requests()[requests..].to_vec();
    assert!(asked.iter().all(|line| line.contains(" /up/")), "{asked:?}");
    assert_eq!(inode(), before);

    // A moved pin, a removed submodule, and one that moves to another path.
    let second = one.commit(&[("file", "one moved")]);
    pin(&up, "mods/one", "../../one/.git", &second);
    up.git(&["config", "-f", ".gitmodules", "--remove-section", "submodule.two"]);
    up.git(&["update-index", "--force-remove", "two"]);
    pin(&up, "elsewhere/two", &nginx.url("two/.git"), &two.head());
    commit(&up);
    env.syncline(&url).sync();
    assert_clean(&env, &[("mods/one", &second), ("elsewhere/two", &two.head())]);
    assert_eq!(read(&env, "mods/one/file").unwrap(), "one moved");
    assert!(!env.link().join("two").exists());

    // Without any, their stores go.
    for path in ["mods/one", "elsewhere/two"] {
        up.git(&["update-index", "--force-remove", path]);
    }
    up.git(&["rm", "--quiet", "--force", ".gitmodules"]);
    commit(&up);
    env.syncline(&url).sync();
    assert_clean(&env, &[]);
    assert_eq!(fs::read_dir(env.root().join(".git/modules")).unwrap().count(), 0);
}

#[test]
fn the_mode_says_how_deep_and_takes_effect_at_an_unchanged_commit() {
    let env = Env::new();
    let (up, middle, inner) = (env.repo("up"), env.repo("middle"), env.repo("inner"));
    pin(&middle, "inner", "../../inner/.git", &inner.head());
    commit(&middle);
    pin(&up, "middle", "../../middle/.git", &middle.head());
    commit(&up);
    let nginx = Nginx::start(&env.path(""));
    for (mode, files) in
        [("recursive", 2), ("shallow", 1), ("off", 0), ("recursive", 2), ("off", 0), ("shallow", 1)]
    {
        env.syncline(nginx.url("up/.git")).arg(format!("--submodules={mode}")).sync();
        let found =
            ["middle/file", "middle/inner/file"].iter().filter(|file| read(&env, file).is_some()).count();
        assert_eq!(found, files, "{mode}");
        assert!(env.link().join("middle").is_dir());
        assert_eq!(git(&env.link(), &["status", "--porcelain", "--ignore-submodules=none"]), "", "{mode}");
    }
    let log = env.syncline(nginx.url("up/.git")).arg("--submodules=some").fail();
    assert!(log.contains("must be recursive, shallow or off"), "{log}");
}

#[test]
fn submodules_can_be_left_out_at_any_depth_and_by_the_user() {
    let env = Env::new();
    let (up, middle, inner) = (env.repo("up"), env.repo("middle"), env.repo("inner"));
    for name in ["inner", "optional"] {
        pin(&middle, name, "../../inner/.git", &inner.head());
    }
    middle.git(&["config", "-f", ".gitmodules", "submodule.optional.update", "none"]);
    middle.git(&["add", ".gitmodules"]);
    commit(&middle);
    for name in ["middle", "skipped"] {
        pin(&up, name, "../../middle/.git", &middle.head());
    }
    // Nobody can reach it, nor has to.
    pin(&up, "private", "http://127.0.0.1:1/private", &inner.head());
    for name in ["skipped", "private"] {
        up.git(&["config", "-f", ".gitmodules", &format!("submodule.{name}.update"), "none"]);
    }
    up.git(&["add", ".gitmodules"]);
    commit(&up);
    let nginx = Nginx::start(&env.path(""));
    let all = ["middle/file", "middle/inner/file", "middle/optional/file", "skipped/file", "private/file"];
    let elsewhere =
        format!("submodule.private.update:checkout,\"submodule.private.url\":{}", inner.path.display());
    for (config, expected) in [
        ("", &all[..2]),
        ("submodule.optional.update:checkout", &all[..3]),
        ("submodule.inner.update:none", &all[..1]),
        ("submodule.skipped.update:checkout,submodule.inner.active:false", &["middle/file", "skipped/file"]),
        ("submodule.active:other", &[]),
        // Only the user may name a path on this machine.
        (&elsewhere, &["middle/file", "middle/inner/file", "private/file"]),
        ("", &all[..2]),
    ] {
        for again in [false, true] {
            let log =
                env.syncline(nginx.url("up/.git")).arg("--git-config").arg(config).arg("-v1").sync().stderr;
            let found: Vec<_> = all.iter().filter(|file| read(&env, file).is_some()).collect();
            assert_eq!(found, expected.iter().collect::<Vec<_>>(), "{config}: {log}");
            assert!(env.link().join("private").is_dir() && env.link().join("skipped").is_dir());
            // The tree is as it should be, and not made again.
            assert!(!again || log.contains("nothing new") || !log.contains("published"), "{config}: {log}");
        }
        env.assert_store_is_sound();
    }
}

#[test]
fn insteadof_is_applied_to_what_relative_urls_lead_to() {
    let env = Env::new();
    let (up, middle, inner) = (env.repo("g/up"), env.repo("g/middle"), env.repo("mirror/inner"));
    pin(&middle, "inner", "../../inner/.git", &inner.head());
    commit(&middle);
    pin(&up, "middle", "../../middle/.git", &middle.head());
    commit(&up);
    let nginx = Nginx::start(&env.path(""));
    let (to, from) = (nginx.url("mirror/inner/"), nginx.url("g/inner/"));
    let only = format!("\"url.{to}.insteadOf\":\"{from}\"");
    let all = format!(
        "\"url.{}.insteadOf\":\"http://nowhere/\",\"url.{to}.insteadOf\":\"http://nowhere/g/inner/\"",
        nginx.url("")
    );
    for (url, config) in [(nginx.url("g/up/.git"), only), ("http://nowhere/g/up/.git".into(), all)] {
        env.syncline(&url).arg("--git-config").arg(&config).sync();
        assert_clean(&env, &[("middle", &middle.head()), ("middle/inner", &inner.head())]);
        fs::remove_dir_all(env.root()).unwrap();
    }
}

#[test]
fn an_altered_submodule_is_mended_at_the_next_start() {
    let env = Env::new();
    let (one, nginx) = synced_with_one(&env);
    fs::write(env.link().join("one/file"), "tampered").unwrap();
    let log = env.syncline(nginx.url("up/.git")).sync().stderr;
    assert!(log.contains("one/file"), "{log}");
    assert_clean(&env, &[("one", &one.head())]);
}

#[test]
fn the_login_goes_to_submodules_of_the_same_server_only() {
    let env = Env::new();
    let (up, one) = (env.repo("up"), env.repo("one"));
    let nginx = Nginx::start(&env.path(""));
    let foreign = Canned::status("403 Forbidden");
    pin(&up, "one", "../../one/.git", &one.head());
    commit(&up);
    let url = nginx.url("login/up/.git").replace("://", "://user:p%40ss@");
    env.syncline(&url).sync();
    assert_clean(&env, &[("one", &one.head())]);

    pin(&up, "foreign", &foreign.url("x"), &one.head());
    commit(&up);
    let log = env.syncline(&url).fail();
    assert!(log.contains("fetch submodule \\\"foreign\\\"") && log.contains("403"), "{log}");
    assert!(!foreign.requests()[0].to_lowercase().contains("authorization"));
    assert_eq!(read(&env, "one/file").unwrap(), "one\n", "the old tree stays");
}

#[test]
fn a_pin_that_gitmodules_does_not_mention_stays_empty() {
    let env = Env::new();
    let up = env.repo("up");
    let pinned = up.head();
    up.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{pinned},stray")]);
    commit(&up);
    for _ in 0..2 {
        env.syncline(up.url()).sync();
        assert_eq!(fs::read_dir(env.link().join("stray")).unwrap().count(), 0);
    }
}

#[test]
fn hostile_submodules_are_refused_and_touch_nothing() {
    let env = Env::new();
    let up = env.repo("up");
    let good = up.head();
    let secret = env.repo("secret");
    let nginx = Nginx::start(&env.path(""));
    let url = nginx.url("up/.git");
    env.syncline(&url).sync();
    let secret_path = secret.url().to_owned();
    for hostile in [
        secret_path.as_str(),
        &format!("file://{secret_path}"),
        "ext::sh -c touch% /tmp/owned",
        "../../../../../../x",
        "ssh://-oProxyCommand=touch/x",
        "https://host\\@evil/x",
    ] {
        up.git(&["reset", "--quiet", "--hard", &good]);
        pin(&up, "m", hostile, &secret.head());
        commit(&up);
        let log = env.syncline(&url).fail();
        assert!(log.contains("read the URL of submodule \\\"m\\\""), "{hostile}: {log}");
        assert_eq!(env.published().as_ref(), Some(&good));
    }
    // A .gitmodules that is a link, and one that is no configuration.
    up.git(&["reset", "--quiet", "--hard", &good]);
    up.commit_tree(&up.raw_tree(&[("120000", b".gitmodules", &up.blob("/etc/passwd"))]));
    let log = env.syncline(&url).fail();
    assert!(log.contains("symlink") || log.contains(".gitmodules"), "{log}");
    up.git(&["reset", "--quiet", "--hard", &good]);
    up.commit(&[(".gitmodules", "[[[")]);
    let log = env.syncline(&url).fail();
    assert!(log.contains("read the submodules of"), "{log}");
    assert_eq!(env.published(), Some(good));
}

#[test]
fn hostile_names_and_updates_lead_nowhere() {
    let env = Env::new();
    let (up, one) = (env.repo("up"), env.repo("one"));
    let nginx = Nginx::start(&env.path(""));
    let witness = env.path("witness");
    for (number, name) in ["../../../hooks", "captain/hooks", "x/../../y"].iter().enumerate() {
        up.write(
            ".gitmodules",
            format!(
                "[submodule \"{name}\"]\n\tpath = m{number}\n\turl = ../../one/.git\n\tupdate = !touch {}\n",
                witness.display()
            ),
        );
        up.git(&["add", ".gitmodules"]);
        up.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},m{number}", one.head())]);
        commit(&up);
        // git may refuse such names; here they name nothing.
        env.syncline(nginx.url("up/.git")).sync();
        assert_eq!(read(&env, &format!("m{number}/file")).unwrap(), "one\n");
    }
    assert!(!witness.exists());
    for stray in ["hooks", ".git/hooks", "y"] {
        assert!(!Path::new(&env.root()).join(stray).exists(), "{stray}");
    }
}

#[test]
fn endless_nesting_ends() {
    let env = Env::new();
    let up = env.repo("up");
    // A commit cannot pin itself, but a chain of commits of one repository can be long.
    for _ in 0..13 {
        let below = up.head();
        pin(&up, "m", "../../up/.git", &below);
        commit(&up);
    }
    let nginx = Nginx::start(&env.path(""));
    let log = env.syncline(nginx.url("up/.git")).fail();
    assert!(log.contains("nested more than 10 deep"), "{log}");
    assert_eq!(env.published(), None);
}

#[test]
fn sparse_patterns_are_the_repositorys_own() {
    let env = Env::new();
    let (up, one) = (env.repo("up"), env.repo("one"));
    one.commit(&[("deep/er/file", "deep")]);
    pin(&up, "vendor/one", "../../one/.git", &one.head());
    pin(&up, "other/one", "../../one/.git", &one.head());
    commit(&up);
    let nginx = Nginx::start(&env.path(""));
    for _ in 0..2 {
        env.syncline(nginx.url("up/.git")).arg("--sparse=vendor/one").sync();
        assert_eq!(read(&env, "vendor/one/deep/er/file").unwrap(), "deep");
        assert_eq!(read(&env, "other/one/file"), None);
        assert_clean(&env, &[("vendor/one", &one.head())]);
    }
}

#[test]
fn a_filtered_submodule_gets_the_blobs_of_whatever_it_is_moved_to() {
    let env = Env::new();
    let (up, one) = (env.repo("up"), env.repo("one"));
    one.git(&["config", "uploadpack.allowFilter", "true"]);
    up.git(&["config", "uploadpack.allowFilter", "true"]);
    let old = one.commit(&[("file", "old")]);
    let new = one.commit(&[("file", "new")]);
    let nginx = Nginx::start(&env.path(""));
    let syncline = || env.syncline(nginx.url("up/.git")).arg("--depth=0");
    for (pinned, content) in [(&new, "new"), (&old, "old")] {
        pin(&up, "one", "../../one/.git", pinned);
        commit(&up);
        syncline().arg("--filter=blob:none").sync();
        assert_eq!(read(&env, "one/file").unwrap(), content);
    }
    // And without a filter everything is there.
    pin(&up, "one", "../../one/.git", &new);
    commit(&up);
    syncline().sync();
    assert_eq!(git(&env.link().join("one"), &["log", "-p", "--format=%H"]).matches("diff --git").count(), 4);
}

#[test]
fn a_damaged_store_of_a_submodule_is_mended() {
    let env = Env::new();
    let (one, nginx) = synced_with_one(&env);
    // The commit comes first in a pack and stays readable; the rest is lost.
    cut_packs(&env.root().join(".git/modules"), |length| length - 100);
    fs::remove_file(env.link().join("one/file")).unwrap();
    env.syncline(nginx.url("up/.git")).sync();
    assert_clean(&env, &[("one", &one.head())]);
}

#[test]
fn a_local_repository_may_name_its_neighbours_where_the_user_allows_it() {
    let env = Env::new();
    let (up, one) = (env.repo("up"), env.repo("one"));
    pin(&up, "one", "../one", &one.head());
    commit(&up);
    let log = env.syncline(up.url()).fail();
    assert!(log.contains("is a path on this machine"), "{log}");
    env.syncline(up.url()).arg("--git-config=protocol.file.allow:always").sync();
    assert_clean(&env, &[("one", &one.head())]);
}
