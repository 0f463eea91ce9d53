//! Packs that are not what the tip says, boundaries and tags.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sync_relay::{PackKind, Reason};

use super::{Fleet, record, unsigned};
use crate::support::{Scene, git};

/// A tip whose only pack is this one.
fn whole(mut payload: Value, mut pack: Value) -> Value {
    pack["commit"] = payload["commit"].clone();
    pack["shallow"] = payload["full"]["shallow"].clone();
    (payload["full"], payload["chain"]) = (pack, json!([]));
    payload
}

/// The objects of the newest commit.
fn objects(fleet: &Fleet) -> Vec<String> {
    let all = fleet.scene.git(&["rev-list", "--objects", "--no-object-names", "-1", "HEAD"]);
    all.lines().map(ToOwned::to_owned).collect()
}

#[test]
fn lengths_that_lie_are_refused_and_nothing_of_the_pack_is_shown() {
    let mut fleet = Fleet::new();
    let payload = fleet.change();
    let payload = whole(payload, fleet.put(&objects(&fleet).join("\n")));
    let length = payload["full"]["bytes"].as_u64().unwrap();
    for bytes in [0, 1, 12, length - 1, length + 1, 1 << 40, u64::MAX, u64::MAX] {
        let mut payload = payload.clone();
        payload["full"]["bytes"] = bytes.into();
        fleet.show(record(&payload));
        let cause = if bytes < length { "is longer than announced" } else { "ends too early" };
        fleet.refuses(cause, &format!("{bytes} of {length} bytes"));
        let mut fresh = fleet.scene.follower("fresh");
        assert!(fresh.fails().contains(cause));
        assert!(fresh.mirror.published().unwrap().is_none());
        drop(fresh);
        fs::remove_dir_all(fleet.scene.dir.path().join("fresh")).unwrap();
    }
    assert_eq!(fleet.follow.refused(Reason::Pack), 8);
    fleet.recovers();
}

#[test]
fn a_pack_that_lacks_a_tree_or_the_commit_is_refused() {
    for lacking in ["HEAD", "HEAD^{tree}", "HEAD:dir", "HEAD:dir/b"] {
        let mut fleet = Fleet::new();
        let payload = fleet.change();
        let (all, id) = (objects(&fleet), fleet.scene.git(&["rev-parse", lacking]));
        let others: Vec<&str> = all.iter().map(String::as_str).filter(|object| *object != id).collect();
        assert_eq!(others.len() + 1, all.len());
        let pack = fleet.put(&others.join("\n"));
        fleet.show(record(&whole(payload.clone(), pack)));
        fleet.refuses(&id, lacking);
        let mut fresh = fleet.scene.follower("fresh");
        assert!(fresh.fails().contains(&id), "{lacking}");
        assert!(fresh.mirror.published().unwrap().is_none());
        assert_eq!(fleet.follow.refused(Reason::Pack), 1);
        fleet.recovers();
    }
}

#[test]
fn a_pack_inside_the_tip_that_is_another_one_counts_for_nothing() {
    for inline in [vec![0; 150_000], vec![], vec![0; 1]] {
        let mut fleet = Fleet::new();
        let payload = fleet.change();
        let length = payload["chain"][0]["bytes"].as_u64().unwrap() as usize;
        // One is as long as what was announced.
        let inline = if inline.len() == 1 { vec![0; length] } else { inline };
        let mut tip = unsigned(payload.to_string().as_bytes());
        tip["inline"] = STANDARD.encode(&inline).into();
        fleet.show(tip.to_string().into_bytes());
        let full = fleet.follow.bytes(PackKind::Full);
        assert_eq!(fleet.follow.sync(), payload["commit"].as_str().unwrap());
        assert_eq!(fleet.follow.bytes(PackKind::Full), full, "the step itself is asked for");
        assert_eq!(fleet.follow.bytes(PackKind::Inline), 0);
        assert!(fleet.follow.bytes(PackKind::Chain) > 0);
    }
}

#[test]
fn a_boundary_of_commits_that_do_not_exist_does_no_harm() {
    for depth in [1, 3, 0] {
        let mut fleet = Fleet::of(Scene::of("sha1", depth));
        let mut payload = fleet.change();
        let made_up = json!(["1".repeat(40), "2".repeat(40)]);
        let good = payload.clone();
        payload["chain"][0]["shallow"] = made_up.clone();
        payload["full"]["shallow"] = made_up;
        // First with packs that are not there.
        let mut broken = payload.clone();
        broken["chain"][0]["sha256"] = "ab".repeat(32).into();
        fleet.show(record(&broken));
        fleet.refuses("there is no pack", "broken");
        fleet.show(record(&payload));
        fleet.shown = fleet.follow.sync();
        assert_eq!(fleet.shown, good["commit"].as_str().unwrap());
        fleet.follow.is_unchanged();
        fleet.change();
        fleet.shown = fleet.follow.sync();
        fleet.follow.is_unchanged();
        let commits = git(&fleet.follow.tree(), &["rev-list", "--count", "HEAD"]);
        assert_eq!(commits, if depth == 1 { "1" } else { "3" }, "depth {depth}");
    }
}

#[test]
fn a_tag_with_another_content_is_refused() {
    let mut fleet = Fleet::new();
    let payload = fleet.change();
    fleet.scene.git(&["tag", "--annotate", "--message=one", "v1"]);
    let id = fleet.scene.git(&["rev-parse", "v1"]);
    let content = fleet.scene.git(&["cat-file", "tag", "v1"]) + "\n";
    let tip = |id: &str, content: &str| {
        let mut payload = payload.clone();
        payload["tag"] = json!({ "id": id, "object": STANDARD.encode(content) });
        record(&payload)
    };
    for (case, content) in [("nothing", ""), ("another message", &content.replace("one", "two"))] {
        fleet.show(tip(&id, content));
        fleet.refuses("the relay has another tag of this id", case);
    }
    // Its id is right, but it is no tag.
    fs::write(fleet.scene.dir.path().join("nonsense"), "nonsense\n").unwrap();
    let nonsense = fleet.scene.git(&["hash-object", "-t", "tag", "--literally", "../nonsense"]);
    fleet.show(tip(&nonsense, "nonsense\n"));
    fleet.refuses("is no tag", "nonsense");
    fleet.show(tip(&id, &content));
    fleet.shown = fleet.follow.sync();
    assert_eq!(fleet.follow.mirror.published_tip().unwrap().tag(), Some(id));
}

#[test]
fn a_tip_of_the_other_object_format_leaves_the_published_tree() {
    let mut fleet = Fleet::new();
    let mut payload = fleet.payload();
    let long = "1".repeat(64);
    (payload["commit"], payload["full"]["commit"]) = (long.as_str().into(), long.as_str().into());
    payload["full"]["shallow"] = json!([]);
    payload["generation"] = (payload["generation"].as_u64().unwrap() + 1).into();
    fleet.show(record(&payload));
    let error = fleet.follow.fails();
    assert!(error.contains("pack"), "{error}");
    let link = fleet.follow.tree();
    assert_eq!(fs::read_to_string(link.join("a")).unwrap(), "1\n");
    fleet.change();
    fleet.recovers();
}
