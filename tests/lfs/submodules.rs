//! Submodules have objects of their own: their own store, endpoint and logins.

use std::fs;

use crate::logins::credential;
use crate::submodules::{commit, pin};
use crate::support::lfs::*;
use crate::support::*;

/// The store of the only submodule.
fn module_store(env: &Env) -> std::path::PathBuf {
    let mut stores = fs::read_dir(env.root().join(".git/modules")).unwrap();
    let store = stores.next().unwrap().unwrap().path();
    assert!(stores.next().is_none());
    store
}

#[test]
fn objects_of_a_submodule_are_its_own() {
    let env = Env::new();
    let (up, one) = (env.lfs_repo("up"), env.lfs_repo("one"));
    one.commit(&[("a.bin", "of the submodule\n"), ("only.bin", "here\n")]);
    pin(&up, "mods/one", "../../one/.git", &one.head());
    commit(&up);
    let host = LfsHost::start(&env.path(""));
    let sync = || env.with_lfs(host.url("up/.git")).arg("-v1").sync().stderr;
    sync();
    let check = || {
        env.assert_file("a.bin", "content of a\n");
        env.assert_file("mods/one/a.bin", fs::read(one.path.join("a.bin")).unwrap());
        env.assert_file("mods/one/only.bin", "here\n");
        assert_eq!(git(&env.link(), &["status", "--porcelain", "--ignore-submodules=none"]), "");
        assert_in_order(&env.link(), &env.root().join(".git"));
        assert_in_order(&env.link().join("mods/one"), &module_store(&env));
        assert_objects_are_whole(&module_store(&env));
        assert!(module_store(&env).join("lfs/objects").join(object_path(&sha256("here\n"))).exists());
        assert!(!env.lfs_object("here\n").exists());
        env.assert_no_leftovers();
    };
    check();
    let endpoints: Vec<String> =
        host.lfs.batches().iter().map(|batch| batch.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(endpoints.len(), 2);
    for repository in ["up", "one"] {
        assert!(endpoints.contains(&format!("/{repository}/.git/info/lfs/objects/batch")), "{endpoints:?}");
    }
    // Only the superproject changes, and then only the submodule.
    let count = || (host.batches(), host.objects().len());
    let before = count();
    up.write("file", "changed");
    up.git(&["commit", "--quiet", "--message=change", "--only", "file"]);
    sync();
    check();
    assert_eq!(count(), before);
    one.commit(&[("a.bin", "of the submodule, again\n")]);
    pin(&up, "mods/one", "../../one/.git", &one.head());
    commit(&up);
    sync();
    check();
    assert_eq!(count(), (before.0 + 1, before.1 + 1));
    assert!(sync().contains("nothing new"));

    // Off and on again.
    env.syncline(host.url("up/.git")).sync();
    env.assert_file("mods/one/only.bin", pointer("here\n"));
    sync();
    check();
}

#[test]
fn the_option_for_the_endpoint_is_the_superprojects() {
    let env = Env::new();
    let (up, one) = (env.lfs_repo("up"), env.lfs_repo("one"));
    one.commit(&[("a.bin", "of the submodule\n")]);
    one.write(".lfsconfig", "[lfs]\n\turl = http://127.0.0.1:1/x\n");
    one.commit(&[]);
    pin(&up, "one", "../../one/.git", &one.head());
    commit(&up);
    let host = LfsHost::start(&env.path(""));
    let named = format!("--lfs-url={}", host.lfs.endpoint("up/.git"));
    let fault = fault(&env.with_lfs(host.url("up/.git")).arg(&named).fail());
    assert!(fault.contains("submodule \"one\"") && fault.contains(".lfsconfig"), "{fault}");
    env.with_lfs(host.url("up/.git")).arg(&named).arg("--lfs-config=ignore").sync();
    env.assert_file("one/a.bin", "of the submodule\n");
    // The one was asked directly, the other through nginx.
    assert_eq!(host.lfs.gets().len(), 2);
    assert_eq!(host.objects().len(), 2);
}

#[test]
fn each_login_counts_for_its_own_server() {
    let env = Env::new();
    let (up, near, far) = (env.lfs_repo("up"), env.lfs_repo("near"), env.lfs_repo("far"));
    near.commit(&[("a.bin", "of the near one\n")]);
    far.commit(&[("a.bin", "of the far one\n")]);
    let host = LfsHost::start(&env.path(""));
    fs::create_dir_all(env.path("second")).unwrap();
    fs::rename(&far.path, env.path("second/far")).unwrap();
    let far = Repo { path: env.path("second/far") };
    let foreign = LfsHost::start(&env.path("second"));
    pin(&up, "near", "../../near/.git", &near.head());
    pin(&up, "far", &foreign.url("far/.git"), &far.head());
    commit(&up);
    let url = host.url("login/up/.git").replace("://", "://user:p%40ss@");
    env.with_lfs(&url).sync();
    env.assert_file("near/a.bin", "of the near one\n");
    env.assert_file("far/a.bin", "of the far one\n");
    assert!(host.lfs.batches().iter().all(|batch| !header(batch, "authorization").is_empty()));
    assert!(foreign.lfs.batches().iter().all(|batch| header(batch, "authorization").is_empty()));

    // One that wants a login has its own.
    pin(&up, "far", &foreign.url("login/far/.git"), &far.head());
    commit(&up);
    let _ = fs::remove_dir_all(env.root());
    assert!(env.with_lfs(&url).fail().contains("401"));
    env.with_lfs(&url).arg("--credential").arg(credential(&foreign.url(""), "p@ss")).sync();
    env.assert_file("far/a.bin", "of the far one\n");
    assert_eq!(header(foreign.lfs.batches().last().unwrap(), "authorization"), basic("user", "p@ss"));
}

#[test]
fn a_submodule_whose_objects_are_missing_is_named_and_the_old_tree_stays() {
    let env = Env::new();
    let (up, one) = (env.lfs_repo("up"), env.lfs_repo("one"));
    let host = LfsHost::start(&env.path(""));
    env.with_lfs(host.url("up/.git")).sync();
    let good = env.published();
    one.commit(&[("a.bin", "missing\n")]);
    fs::remove_file(one.lfs_object("missing\n")).unwrap();
    pin(&up, "one", "../../one/.git", &one.head());
    let next = commit(&up);
    let fault = fault(&env.with_lfs(host.url("up/.git")).fail());
    for words in ["submodule \"one\"", "a.bin", "404", "/one/.git/info/lfs"] {
        assert!(fault.contains(words), "no {words:?} in {fault}");
    }
    assert_eq!(env.published(), good);
    env.assert_no_leftovers();
    one.add_lfs_object("missing\n");
    env.with_lfs(host.url("up/.git")).sync();
    assert_eq!(env.published(), Some(next));
    env.assert_file("one/a.bin", "missing\n");
}

#[test]
fn missing_objects_of_a_submodule_are_asked_for_again_at_a_check() {
    let env = Env::new();
    let (up, one) = (env.lfs_repo("up"), env.lfs_repo("one"));
    let host = LfsHost::start(&env.path(""));
    one.commit(&[("a.bin", "comes later\n")]);
    fs::remove_file(one.lfs_object("comes later\n")).unwrap();
    pin(&up, "one", "../../one/.git", &one.head());
    let head = commit(&up);
    let syncline = || env.with_lfs(host.url("up/.git")).arg("--lfs-missing=pointer");
    syncline().sync();
    env.assert_file("one/a.bin", pointer("comes later\n"));
    one.add_lfs_object("comes later\n");
    let log = syncline().sync().stderr;
    assert!(log.contains("asking again for the objects of Git LFS"), "{log}");
    env.assert_file("one/a.bin", "comes later\n");
    assert_eq!(env.published(), Some(head));
}

#[test]
fn limits_count_the_files_of_submodules() {
    let env = Env::new();
    let (up, one) = (env.lfs_repo("up"), env.pointer_repo("one"));
    one.commit(&[("big.bin", &pointer_to(&sha256("x"), 1_000_000))]);
    pin(&up, "one", "../../one/.git", &one.head());
    commit(&up);
    let host = LfsHost::start(&env.path(""));
    for limit in ["--max-blob-size=999999", "--max-tree-size=1000000"] {
        let fault = fault(&env.with_lfs(host.url("up/.git")).arg(limit).fail());
        assert!(fault.contains("submodule \"one\"") && fault.contains(&limit[2..15]), "{fault}");
        assert!(host.lfs.batches().iter().all(|batch| !batch.contains("/one/")), "{limit}");
    }
}
