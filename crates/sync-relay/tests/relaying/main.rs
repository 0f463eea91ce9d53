//! What a feeder writes, a follower publishes: with an engine in memory, which lies and fails as it is told.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod feeding;
mod hostile;
mod support;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use sync_relay::{Fallback, PackKind, Reason};

use support::{Feed, Follow, Scene, git, pass};

fn many_files(seed: u32) -> Vec<(String, String)> {
    let mut state = u64::from(seed);
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:x}", state >> 20)
    };
    let mut files: Vec<_> =
        (0..200).map(|n| (format!("d{}/f{n}", n % 7), format!("{n} {} {}\n", noise(), noise()))).collect();
    files.push(("kept".to_owned(), "the same\n".to_owned()));
    files
}

fn commit_many(scene: &Scene, seed: u32) -> String {
    let files = many_files(seed);
    scene.commit(&files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect::<Vec<_>>())
}

#[test]
fn a_first_sync_takes_the_full_pack_and_a_change_comes_with_the_tip() {
    for (format, depth) in [("sha1", 1), ("sha256", 1), ("sha1", 0), ("sha1", 3)] {
        let scene = Scene::of(format, depth);
        scene.commit(&[("old", "1\n")]);
        let first = commit_many(&scene, 1);
        let (mut feed, mut follow) = (scene.feeder("feed", "main"), scene.follower("follow"));
        feed.sync();
        assert_eq!(follow.sync(), first);
        let full = follow.bytes(PackKind::Full);
        assert!(full > 0);
        let reads = scene.engine.0.lock().unwrap().pack_reads;
        let second = scene.commit(&[("d1/f1", "changed\n")]);
        feed.sync();
        assert_eq!(follow.sync(), second);
        assert_eq!(fs::read_to_string(follow.tree().join("d1/f1")).unwrap(), "changed\n");
        assert_eq!(scene.engine.0.lock().unwrap().pack_reads, reads, "nothing is asked for a small change");
        assert_eq!(follow.bytes(PackKind::Full), full);
        assert!((1..4000).contains(&follow.bytes(PackKind::Inline)), "{}", follow.bytes(PackKind::Inline));
        let commits = git(&follow.tree(), &["rev-list", "--count", "HEAD"]);
        assert_eq!(
            commits,
            match depth {
                1 => "1",
                _ => "3",
            }
        );
        follow.is_unchanged();
    }
}

#[test]
fn a_follower_that_missed_steps_takes_them_all_and_no_full_pack() {
    let scene = Scene::new();
    commit_many(&scene, 1);
    let (mut feed, mut follow) = (scene.feeder("feed", "main"), scene.follower("follow"));
    feed.sync();
    follow.sync();
    let full = follow.bytes(PackKind::Full);
    for number in 0..5 {
        scene.commit(&[("d1/f1", &format!("{number}\n"))]);
        feed.sync();
    }
    follow.sync();
    assert_eq!(follow.bytes(PackKind::Full), full);
    assert!(follow.bytes(PackKind::Chain) > 0 && follow.bytes(PackKind::Inline) > 0);
}

#[test]
fn a_long_chain_gets_a_new_full_pack_and_late_followers_need_few_packs() {
    let scene = Scene::new();
    commit_many(&scene, 1);
    let (mut feed, mut follow) = (scene.feeder("feed", "main"), scene.follower("follow"));
    feed.sync();
    follow.sync();
    let mut last = String::new();
    for number in 0..40 {
        last = scene.commit(&[("d1/f1", &format!("{number}\n"))]);
        feed.sync();
        feed.sync();
        let tip = scene.engine.tip("site");
        assert!(tip.tip.chain.len() <= 17, "{}", tip.tip.chain.len());
        assert_eq!(follow.sync(), last, "a follower that keeps up always finds its step");
    }
    let mut late = scene.follower("late");
    assert_eq!(late.sync(), last);
    assert!(late.mirror.store().trees().unwrap().len() == 1);
}

#[test]
fn merges_rewinds_and_other_histories_are_followed() {
    for depth in [1, 2, 0] {
        let scene = Scene::of("sha1", depth);
        let first = scene.commit(&[("a", "1\n")]);
        let (mut feed, mut follow) = (scene.feeder("feed", "main"), scene.follower("follow"));
        feed.sync();
        follow.sync();
        scene.git(&["switch", "--quiet", "--create", "side"]);
        scene.commit(&[("b", "side\n")]);
        scene.commit(&[("b", "side 2\n")]);
        scene.git(&["switch", "--quiet", "main"]);
        scene.commit(&[("a", "2\n")]);
        scene.git(&["merge", "--quiet", "--no-edit", "side"]);
        for step in ["merged", "rewound", "orphan", "emptied"] {
            match step {
                "rewound" => _ = scene.git(&["reset", "--quiet", "--hard", &first]),
                "orphan" => {
                    scene.git(&["switch", "--quiet", "--orphan", "new"]);
                    scene.commit(&[("other", "history\n")]);
                    scene.git(&["branch", "--force", "main", "HEAD"]);
                    scene.git(&["switch", "--quiet", "main"]);
                }
                "emptied" => {
                    scene.git(&["rm", "--quiet", "-r", "."]);
                    scene.commit(&[]);
                }
                _ => {}
            }
            let head = scene.git(&["rev-parse", "main"]);
            feed.sync();
            assert_eq!(follow.sync(), head, "{step}, depth {depth}");
        }
    }
}

#[test]
fn an_annotated_tag_comes_along() {
    let scene = Scene::new();
    scene.commit(&[("a", "1\n")]);
    scene.git(&["tag", "--annotate", "--message=one", "v1"]);
    let (mut feed, mut follow) = (scene.feeder("feed", "v1"), scene.follower("follow"));
    feed.sync();
    let id = scene.git(&["rev-parse", "v1"]);
    follow.sync();
    assert_eq!(follow.mirror.published_tip().unwrap().reference(), Some("refs/tags/v1"));
    assert_eq!(follow.mirror.published_tip().unwrap().tag(), Some(id.clone()));
    scene.git(&["tag", "--annotate", "--force", "--message=two", "v1"]);
    feed.sync();
    follow.sync();
    assert_ne!(follow.mirror.published_tip().unwrap().tag(), Some(id));
}

/// Each deed, what of it is refused, and whether the follower gets there nevertheless.
#[test]
fn a_damaged_or_missing_step_is_refused_and_the_full_pack_taken() {
    for (deed, is_refused) in [("missing", true), ("cut", true), ("other bytes", true), ("longer", true)] {
        let scene = Scene::new();
        commit_many(&scene, 1);
        let (mut feed, mut follow) =
            (scene.feeder_with("feed", "main", |options| options.inline = 0), scene.follower("follow"));
        feed.sync();
        let before = follow.sync();
        let head = commit_many(&scene, 2);
        feed.sync();
        pass(700);
        feed.sync(); // writes a new full pack
        let step = scene.engine.tip("site").tip.chain[0].pack.clone();
        scene.engine.alter(|held| {
            let name = sync_relay::engine::PackName(step.sha256);
            match deed {
                "missing" => _ = held.packs.remove(&name),
                "cut" => held.packs.get_mut(&name).unwrap().truncate(500),
                "other bytes" => held.packs.get_mut(&name).unwrap()[100] ^= 1,
                _ => held.packs.get_mut(&name).unwrap().push(0),
            }
        });
        let full = follow.bytes(PackKind::Full);
        assert_eq!(follow.sync(), head, "{deed}");
        assert_eq!(follow.refused(Reason::Pack) > 0, is_refused, "{deed}");
        assert!(follow.bytes(PackKind::Full) > full, "{deed}");
        assert_ne!(before, head);
    }
}

#[test]
fn a_pack_that_lacks_an_object_is_refused_and_the_last_tree_stays() {
    let scene = Scene::new();
    let first = scene.commit(&[("a", "1\n"), ("b", "2\n")]);
    let (mut feed, mut follow) = (scene.feeder("feed", "main"), scene.follower("follow"));
    feed.sync();
    follow.sync();
    let second = scene.commit(&[("a", "other\n")]);
    feed.sync();
    // A pack with commit and trees only, announced as it should be.
    let objects =
        scene.git(&["rev-list", "--objects", "--no-object-names", "--filter=blob:none", "-1", &second]);
    let pack = pack_of(&scene, &objects);
    let mut tip = scene.engine.tip("site");
    let named = sync_core::RelayPack {
        bytes: pack.len() as u64,
        sha256: sha256(&pack),
        shallow: vec![tip.tip.commit],
    };
    (tip.tip.full, tip.tip.chain, tip.inline) = ((tip.tip.commit, named.clone()), Vec::new(), None);
    tip.generation += 1;
    scene.engine.alter(|held| {
        held.tip = Some((tip.encode(&"site".parse().unwrap(), None), 77));
        held.packs.insert(sync_relay::engine::PackName(named.sha256), pack);
    });
    let error = follow.fails();
    assert!(error.contains("the packs of the relay lack"), "{error}");
    assert_eq!(follow.published().to_string(), first);
    assert_eq!(follow.refused(Reason::Pack), 1);
    let mut fresh = scene.follower("fresh");
    let error = fresh.fails();
    assert!(error.contains("the packs of the relay lack"), "{error}");
    // A feeder mends it.
    scene.engine.alter(|held| held.tip = None);
    pass(1);
    feed.sync();
    assert_eq!(follow.sync(), second);
    assert_eq!(fresh.sync(), second);
}

#[test]
fn another_depth_is_a_fault_that_names_both() {
    let mut scene = Scene::new();
    scene.commit(&[("a", "1\n")]);
    scene.feeder("feed", "main").sync();
    scene.depth = 5;
    let error = scene.follower("follow").fails();
    assert!(error.contains("the relay has the depth 1, and 5 is wanted"), "{error}");
}

#[test]
fn an_older_tip_is_not_followed_even_after_a_restart() {
    let scene = Scene::new();
    scene.commit(&[("a", "1\n")]);
    let (mut feed, mut follow) = (scene.feeder("feed", "main"), scene.follower("follow"));
    feed.sync();
    follow.sync();
    let old = scene.engine.0.lock().unwrap().tip.clone();
    let second = scene.commit(&[("a", "2\n")]);
    feed.sync();
    follow.sync();
    scene.engine.alter(|held| held.tip = old);
    follow.is_unchanged();
    assert_eq!((follow.published().to_string(), follow.refused(Reason::Older)), (second.clone(), 1));
    drop(follow);
    let mut follow = scene.follower("follow");
    let error = follow.fails();
    assert!(error.contains("was followed before"), "{error}");
    assert!(fs::read_to_string(follow.root.join(".git/syncline-relay")).unwrap().contains(&second));
    // A relay that was set up anew has larger generations.
    scene.engine.alter(|held| held.tip = None);
    pass(1);
    feed.sync();
    assert_eq!(follow.sync(), second);
}

#[test]
fn with_keys_only_signed_tips_are_followed() {
    let scene = Scene::new();
    scene.commit(&[("a", "1\n")]);
    let key = |name: &str| -> (PathBuf, PathBuf) {
        let (private, public) =
            (scene.dir.path().join(format!("{name}.pem")), scene.dir.path().join(format!("{name}.pub")));
        openssl(&["genpkey", "-algorithm", "ed25519", "-out", private.to_str().unwrap()]);
        openssl(&["pkey", "-in", private.to_str().unwrap(), "-pubout", "-out", public.to_str().unwrap()]);
        (private, public)
    };
    let ((ours, our_public), (theirs, _)) = (key("ours"), key("theirs"));
    let mut follow = scene.follower_with("follow", |options| options.key_file = Some(our_public.clone()));
    let sign = |key: &PathBuf| Some(key.clone());
    for (id, key, fault) in [
        ("none", None, Some("it is not signed")),
        ("theirs", sign(&theirs), Some("no key of --relay-key-file made its signature")),
        ("ours", sign(&ours), None),
    ] {
        scene.engine.alter(|held| held.tip = None);
        pass(1);
        let mut feed = scene.feeder_with(id, "main", |options| options.sign_key_file = key);
        feed.sync();
        match fault {
            Some(fault) => {
                let error = follow.fails();
                assert!(error.contains(fault), "{error}");
            }
            None => _ = follow.sync(),
        }
    }
    assert_eq!(follow.refused(Reason::Signature), 2);
    // Rotation: any key of the file is enough.
    let both = scene.dir.path().join("both.pub");
    let (_, next_public) = key("next");
    let next = scene.dir.path().join("next.pem");
    fs::write(
        &both,
        fs::read(&next_public).unwrap().into_iter().chain(fs::read(&our_public).unwrap()).collect::<Vec<_>>(),
    )
    .unwrap();
    let mut rotating = scene.follower_with("rotating", |options| options.key_file = Some(both));
    rotating.sync();
    let head = scene.commit(&[("a", "2\n")]);
    let mut feed = scene.feeder_with("next", "main", |options| options.sign_key_file = Some(next));
    feed.sync();
    assert_eq!(rotating.sync(), head, "what another key signed is replaced at once");
}

#[test]
fn a_tip_of_another_name_is_refused() {
    let scene = Scene::new();
    scene.commit(&[("a", "1\n")]);
    scene.feeder_with("feed", "main", |options| options.name = "other".parse().unwrap()).sync();
    let error = scene.follower("follow").fails();
    assert!(error.contains("it is of another name than site"), "{error}");
}

#[test]
fn a_lost_engine_is_a_failure_only_after_a_while_and_the_git_server_is_asked_if_that_is_wanted() {
    let scene = Scene::new();
    scene.commit(&[("a", "1\n")]);
    let mut feed = scene.feeder("feed", "main");
    let after = |seconds| Fallback::After(Duration::from_secs(seconds));
    let mut patient = scene.follower("patient");
    let mut falls_back = scene.follower_with("falls-back", |options| options.fallback = after(300));
    feed.sync();
    patient.sync();
    falls_back.sync();
    scene.engine.alter(|held| held.is_down = true);
    // The server's own HEAD is another branch by now.
    scene.git(&["switch", "--quiet", "--create", "other"]);
    scene.commit(&[("a", "elsewhere\n")]);
    scene.git(&["switch", "--quiet", "main"]);
    let second = scene.commit(&[("a", "2\n")]);
    scene.git(&["symbolic-ref", "HEAD", "refs/heads/other"]);
    patient.is_unchanged();
    falls_back.is_unchanged();
    pass(31);
    assert!(patient.fails().contains("the engine is down"));
    pass(300);
    assert!(patient.fails().contains("the engine is down"));
    assert_eq!(falls_back.sync(), second);
    assert!(falls_back.facts.known().asks_server);
    scene.engine.alter(|held| held.is_down = false);
    scene.git(&["symbolic-ref", "HEAD", "refs/heads/main"]);
    let third = scene.commit(&[("a", "3\n")]);
    feed.sync();
    assert_eq!((patient.sync(), falls_back.sync()), (third.clone(), third));
    assert!(!falls_back.facts.known().asks_server);
}

#[test]
fn a_follower_whose_store_is_lost_gets_everything_again() {
    let scene = Scene::new();
    let head = commit_many(&scene, 1);
    let (mut feed, mut follow) = (scene.feeder("feed", "main"), scene.follower("follow"));
    feed.sync();
    follow.sync();
    let objects = follow.root.join(".git/objects/pack");
    for entry in fs::read_dir(&objects).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    drop(follow);
    let mut follow = scene.follower("follow");
    assert_eq!(follow.sync(), head);
}

#[test]
fn a_relay_without_a_tip_says_what_is_missing() {
    let scene = Scene::new();
    scene.commit(&[("a", "1\n")]);
    let error = scene.follower("follow").fails();
    assert!(
        error.contains("the relay has no site yet; does a feeder run with this --relay-name?"),
        "{error}"
    );
}

fn pack_of(scene: &Scene, objects: &str) -> Vec<u8> {
    let list = scene.dir.path().join("objects");
    fs::write(&list, objects.to_owned() + "\n").unwrap();
    let script = format!("git pack-objects --quiet --stdout < {}", list.display());
    output("sh", &["-c", &script], &scene.upstream())
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().try_into().unwrap()
}

fn openssl(args: &[&str]) {
    output("openssl", args, &std::env::temp_dir());
}

fn output(program: &str, args: &[&str], dir: &std::path::Path) -> Vec<u8> {
    let output = std::process::Command::new(program).args(args).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[expect(dead_code, reason = "the types say what may cross threads")]
fn are_sendable(feed: Feed, follow: Follow) -> impl Send {
    (feed.feeder, follow.facts)
}
