//! What feeders write, and when; and what they clean up.

use std::time::Duration;

use crate::commit_many;
use crate::support::{Feed, Scene, pass};

#[test]
fn a_feeder_whose_server_lags_does_not_take_the_fleet_back() {
    let scene = Scene::new();
    let first = scene.commit(&[("a", "1\n")]);
    let (mut ahead, mut behind) = (scene.feeder("ahead", "main"), scene.feeder("behind", "lagging"));
    scene.git(&["branch", "lagging", "main"]);
    let feed_as_main = |feed: &mut Feed| {
        feed.mirror.update().unwrap();
        let commit = feed.mirror.published_tip().unwrap().commit;
        let published = sync_relay::Published { reference: "refs/heads/main".into(), commit, tag: None };
        feed.feeder.feed(&published, feed.mirror.store(), &sync_core::Interrupt::new()).unwrap();
    };
    ahead.sync();
    feed_as_main(&mut behind);
    let second = scene.commit(&[("a", "2\n")]);
    ahead.sync();
    feed_as_main(&mut behind);
    assert_eq!(scene.engine.tip("site").tip.commit.to_string(), second);
    // Only after the same was seen for long does it count: then the branch really is there.
    assert_ne!(first, second);
    scene.git(&["branch", "--force", "lagging", "main"]);
    feed_as_main(&mut behind);
    assert_eq!(scene.engine.tip("site").tip.commit.to_string(), second);
}

#[test]
fn a_heartbeat_shows_that_feeders_live_and_followers_fetch_nothing_for_it() {
    let scene = Scene::new();
    scene.commit(&[("a", "1\n")]);
    let (mut one, mut two, mut follow) =
        (scene.feeder("one", "main"), scene.feeder("two", "main"), scene.follower("follow"));
    one.sync();
    follow.sync();
    let seen = follow.facts.known();
    pass(50);
    one.sync();
    two.sync();
    follow.is_unchanged();
    let now = follow.facts.known();
    assert!(now.observed.unwrap() >= seen.observed.unwrap() + Duration::from_secs(50));
    assert!(now.generation > seen.generation);
    assert_eq!(two.facts.known().writes.get("written"), None, "one heartbeat is enough");
    assert_eq!(now.pack_bytes, seen.pack_bytes);
}

#[test]
fn packs_that_no_tip_names_are_removed_after_a_while() {
    let scene = Scene::new();
    commit_many(&scene, 1);
    let mut feed = scene.feeder("feed", "main");
    feed.sync();
    for seed in 2..5 {
        commit_many(&scene, seed);
        feed.sync();
        pass(700);
        feed.sync();
    }
    let count = || scene.engine.0.lock().unwrap().packs.len();
    let before = count();
    assert!(before > 5, "{before}");
    for _ in 0..8 {
        pass(700);
        feed.sync();
    }
    let named = scene.engine.tip("site");
    let wanted = 1 + named.tip.chain.len();
    assert_eq!(count(), wanted);
    scene.follower("follow").sync();
}

#[test]
fn a_full_pack_that_got_lost_is_written_again() {
    let scene = Scene::new();
    let head = commit_many(&scene, 1);
    let mut feed = scene.feeder("feed", "main");
    feed.sync();
    scene.engine.alter(|held| held.packs.clear());
    assert!(scene.follower("early").fails().contains("there is no pack"));
    for _ in 0..2 {
        pass(700);
        feed.sync();
    }
    assert_eq!(scene.follower("late").sync(), head);
}
