//! Relays that lie. Whatever they say, the last good tree stays, git finds the store sound, and the next good tip is
//! followed. docs/hostile-input.md lists the attacks.

mod packs;
mod signatures;
mod tips;

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sync_relay::engine::PackName;

use crate::support::{Feed, Follow, Scene, git, pass};
use crate::{pack_of, sha256};

const TYPE: &str = "application/vnd.syncline.tip+json";

/// A feeder, and a follower that shows the first commit.
struct Fleet {
    scene: Scene,
    feed: Feed,
    follow: Follow,
    shown: String,
}

impl Fleet {
    fn new() -> Fleet {
        Fleet::of(Scene::new())
    }

    fn of(scene: Scene) -> Fleet {
        let shown = scene.commit(&[("a", "1\n"), ("dir/b", "2\n")]);
        let (mut feed, mut follow) = (scene.feeder("feed", "main"), scene.follower("follow"));
        feed.sync();
        follow.sync();
        Fleet { scene, feed, follow, shown }
    }

    /// One more commit, which the relay has, and what its tip says.
    fn change(&mut self) -> Value {
        pass(1);
        let count = self.scene.git(&["rev-list", "--count", "HEAD"]);
        self.scene.commit(&[("a", &format!("change {count}\n")), ("dir/b", &count)]);
        self.feed.sync();
        self.payload()
    }

    fn payload(&self) -> Value {
        let held = self.scene.engine.0.lock().unwrap();
        let record: Value = serde_json::from_slice(&held.tip.as_ref().unwrap().0).unwrap();
        serde_json::from_slice(&STANDARD.decode(record["payload"].as_str().unwrap()).unwrap()).unwrap()
    }

    /// The relay shows this in place of its tip.
    fn show(&self, record: Vec<u8>) {
        self.scene.engine.alter(|held| held.tip = Some((record, 1000)));
    }

    /// A pack of these objects is at the relay; how a tip names it.
    fn put(&self, objects: &str) -> Value {
        let pack = pack_of(&self.scene, objects);
        let name = PackName(sha256(&pack));
        let bytes = pack.len();
        self.scene.engine.alter(|held| _ = held.packs.insert(name, pack));
        json!({ "bytes": bytes, "sha256": name.to_string(), "shallow": [] })
    }

    /// It is refused with this cause; the published tree and the store are as they were.
    #[track_caller]
    fn refuses(&mut self, cause: &str, case: &str) {
        let error = self.follow.fails();
        assert!(error.contains(cause), "{case}: {error}");
        assert!(error.len() < 2000 && !error.contains(char::is_control), "{case}: {error}");
        self.is_as_before(case);
    }

    #[track_caller]
    fn is_as_before(&self, case: &str) {
        assert_eq!(self.follow.published().to_string(), self.shown, "{case}");
        assert_eq!(git(&self.follow.tree(), &["status", "--porcelain"]), "", "{case}");
        let fsck = git(&self.follow.root, &["fsck", "--full", "--strict", "--no-dangling"]);
        assert_eq!(fsck, "", "{case}: git fsck");
        for entry in fs::read_dir(self.follow.root.join(".git/objects/pack")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.contains("tmp") && !name.ends_with(".keep"), "{case}: {name}");
        }
    }

    /// A feeder finds what is no use, and replaces it; the follower goes on.
    #[track_caller]
    fn recovers(&mut self) {
        self.scene.engine.alter(|held| held.tip = None);
        pass(1);
        self.feed.sync();
        self.shown = self.follow.sync();
        assert_eq!(self.shown, self.scene.git(&["rev-parse", "HEAD"]));
        self.follow.is_unchanged();
    }
}

/// A record without a signature.
fn unsigned(payload: &[u8]) -> Value {
    json!({ "payloadType": TYPE, "payload": STANDARD.encode(payload), "signatures": [] })
}

fn record(payload: &Value) -> Vec<u8> {
    unsigned(payload.to_string().as_bytes()).to_string().into_bytes()
}
