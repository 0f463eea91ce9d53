//! The scenes that are played: what the root holds before, and what comes.

use std::fs;

use super::relayed::Part;
use super::scene::Scene;
use crate::support::{Repo, noise};

/// Nothing is there yet.
pub fn first_sync(served: bool) -> Scene {
    begin(Scene::new("a first sync", served))
}

/// The same from a relay.
pub fn first_sync_of_follower() -> Scene {
    begin(Scene::of("a follower's first sync", false, Part::Follower))
}

/// The same for a relay that is not there yet.
pub fn first_sync_of_feeder() -> Scene {
    begin(Scene::of("a feeder's first sync", false, Part::Feeder))
}

fn begin(mut scene: Scene) -> Scene {
    scene.up.write("large", noise(1, 1_100_000));
    scene.shown.clear();
    scene.commit(&[]);
    scene
}

/// Files are changed, added and removed.
pub fn change(served: bool) -> Scene {
    go_on(Scene::new("a change", served))
}

/// The same from a relay, which has a step.
pub fn change_of_follower() -> Scene {
    go_on(Scene::of("a follower's change", false, Part::Follower))
}

/// The same for a relay that is told of it.
pub fn change_of_feeder() -> Scene {
    go_on(Scene::of("a feeder's change", false, Part::Feeder))
}

fn go_on(mut scene: Scene) -> Scene {
    scene.sync();
    scene.begin_here();
    fs::remove_file(scene.up.path.join("d1/f5")).unwrap();
    scene.commit(&[("d0/f0", "changed\n"), ("new/file", "new\n"), ("text.dos", "changed\n")]);
    scene.by = "hard links";
    scene
}

/// Three changes in one process, each of which makes the tree before it an old one, and the last of them from one.
pub fn changes() -> Scene {
    let mut scene = change(false);
    scene.name = "three changes in one process";
    scene.by = "retired tree";
    scene.commit(&[("d0/f0", "again\n"), ("d1/f1", "again\n")]);
    scene.commit(&[("d0/f0", "at last\n"), ("d1/f5", "back\n")]);
    scene
}

/// A sync fails, and the error is told in a file.
pub fn failure() -> Scene {
    let mut scene = Scene::new("a failure", false);
    scene.sync();
    scene.begin_here();
    scene.fail_once();
    scene.commit(&[("d0/f0", "changed\n")]);
    scene
}

/// A commit is refused before it is fetched, or with `fetched` after that: it does not descend from the published one.
pub fn refused_commit(fetched: bool) -> Scene {
    let mut scene = Scene::new("a refused commit", true);
    match fetched {
        true => scene.options.push("--depth=0"),
        false => _ = scene.up.git(&["config", "uploadpack.allowFilter", "true"]),
    }
    scene.sync();
    scene.begin_here();
    scene.options.push("--forward-only");
    let base = scene.up.head();
    scene.up.git(&["commit", "--quiet", "--amend", "--message=another"]);
    scene.show_refused(scene.up.commit(&[("d0/f0", "aside\n")]), "does not descend");
    scene.up.git(&["reset", "--quiet", "--hard", &base]);
    scene.commit(&[("d0/f0", "changed\n")]);
    scene.by = "hard links";
    scene
}

/// One submodule follows its pin, one goes, one comes.
pub fn submodules(served: bool) -> Scene {
    let mut scene =
        Scene::new("a submodule's change", served).option("--git-config=protocol.file.allow:always");
    let (one, two, three) = (scene.env.repo("one"), scene.env.repo("two"), scene.env.repo("three"));
    for repo in [&one, &two, &three] {
        repo.commit(&[("file", "second\n")]);
    }
    pin(&scene.up, &one);
    pin(&scene.up, &two);
    scene.add(&crate::submodules::commit(&scene.up));
    scene.sync();
    scene.begin_here();
    one.commit(&[("file", "one moved\n"), ("new/file", "new\n")]);
    scene.up.git(&["config", "-f", ".gitmodules", "--remove-section", "submodule.two"]);
    scene.up.git(&["update-index", "--force-remove", "two"]);
    pin(&scene.up, &one);
    pin(&scene.up, &three);
    scene.add(&crate::submodules::commit(&scene.up));
    scene
}

fn pin(up: &Repo, module: &Repo) {
    let name = module.path.file_name().unwrap().to_str().unwrap();
    crate::submodules::pin(up, name, &format!("../../{name}/.git"), &module.head());
}

/// Files of Git LFS are changed, added and removed.
pub fn lfs(served: bool) -> Scene {
    let mut scene = Scene::new("a change of Git LFS files", served).with_lfs();
    scene.up.write("d0/large.bin", noise(3, 200_000));
    scene.commit(&[("d1/stays.bin", "stays\n"), ("goes.bin", "goes\n")]);
    scene.sync();
    scene.begin_here();
    scene.up.write("d0/large.bin", noise(4, 200_000));
    fs::remove_file(scene.up.path.join("goes.bin")).unwrap();
    scene.commit(&[("new/small.bin", "small\n"), ("new/again.bin", "small\n"), ("d0/f0", "changed\n")]);
    scene.by = "hard links";
    scene
}

/// Nothing is there yet, and most of what comes are files of Git LFS.
pub fn first_sync_with_lfs(served: bool) -> Scene {
    let mut scene = Scene::new("a first sync with Git LFS", served).with_lfs();
    scene.up.write("d0/large.bin", noise(3, 200_000));
    scene.shown.clear();
    scene.commit(&[("d1/small.bin", "small\n"), ("d0/small.bin", "small\n"), ("empty.bin", "")]);
    scene
}

/// Old trees were kept, and their time is over.
pub fn pruning() -> Scene {
    let mut scene = Scene::new("the end of old trees", false).option("--stale-worktree-timeout=1h");
    for number in 0..4 {
        scene.commit(&[("d0/f0", &format!("{number}\n"))]);
        scene.sync();
    }
    scene.options.clear();
    scene.begin_here();
    scene.commit(&[("d0/f0", "changed\n")]);
    scene
}

/// One pack too many, so that all are folded into one.
pub fn folding() -> Scene {
    one_pack_too_many(Scene::new("folding of packs", false))
}

/// One pack too many, with all history, so that the small ones are folded into one.
pub fn folding_small_packs() -> Scene {
    let scene = Scene::new("folding of small packs", false).option("--depth=0");
    scene.up.write("large.bin", noise(4, 100_000));
    scene.up.commit(&[]);
    one_pack_too_many(scene)
}

fn one_pack_too_many(mut scene: Scene) -> Scene {
    scene.sync();
    for number in 0..39 {
        scene.up.commit(&[("d0/f0", &format!("{number}\n"))]);
        scene.sync();
    }
    scene.begin_here();
    scene.commit(&[("d0/f0", "changed\n")]);
    scene.may_fold_early = true;
    scene
}

/// A volume of git-sync v4: first its own commit, then a change.
pub fn from_v4() -> Scene {
    let mut scene = Scene::new("a volume of git-sync v4", false);
    let hash = crate::moving::git_sync_pass(&scene.env.root(), &scene.url());
    crate::moving::git_sync_publish(&scene.env.root(), &hash);
    scene.begin_here();
    scene.add(&hash);
    scene.commit(&[("d0/f0", "changed\n")]);
    scene
}

/// A volume of git-sync v3, which has its trees in the root.
pub fn from_v3() -> Scene {
    let mut scene = Scene::new("a volume of git-sync v3", false);
    let hash = crate::moving::git_sync_v3(&scene.env.root(), &scene.up, "");
    scene.begin_here();
    scene.add(&hash);
    scene
}
