//! Objects that the server does not have.

use std::fs;

use serde_json::json;

use super::Rig;
use crate::support::lfs::*;
use crate::support::*;

/// What servers say of one object, and what a person reads of it.
const FAULTS: [(u16, &str); 5] = [
    (404, "Object does not exist"),
    (410, "Object was removed by its owner"),
    (422, "Validation failed"),
    (409, "Another hash algorithm"),
    (500, "Something went wrong"),
];

fn without(
    oid: String,
    code: u16,
    message: &'static str,
) -> impl Fn(&str, Answer) -> Answer + Send + 'static {
    move |request, answer| {
        match is_batch(request) {
        false => answer,
        true => answer.alter(|body| {
            for object in body["objects"].as_array_mut().unwrap() {
                if object["oid"] == oid {
                    *object = json!({ "oid": oid, "size": object["size"], "error": { "code": code, "message": message } });
                }
            }
        }),
    }
    }
}

#[test]
fn a_missing_object_refuses_the_commit() {
    let rig = Rig::new();
    each_row(FAULTS, |(code, message)| {
        let content = format!("missing by {code}\n");
        let words = [&*code.to_string(), message, &format!("{} bytes", content.len()), "/up/.git/info/lfs"];
        rig.assert_refused(&content, &words, without(sha256(&content), code, message));
    });
}

#[test]
fn how_many_are_missing_is_said_and_the_rest_is_not_lost() {
    let rig = Rig::new();
    rig.syncline().sync();
    for number in 0..250 {
        rig.repo.write(&format!("many/{number:03}.bin"), format!("{number}\n"));
    }
    let commit = rig.repo.commit(&[]);
    for number in [7, 107, 207] {
        fs::remove_file(rig.repo.lfs_object(format!("{number}\n"))).unwrap();
    }
    let fault = fault(&rig.syncline().fail());
    assert!(fault.contains("\"many/007.bin\"") && fault.contains("2 more"), "{fault}");
    for number in [7, 107, 207] {
        rig.repo.add_lfs_object(format!("{number}\n"));
    }
    rig.syncline().sync();
    rig.env.assert_lfs_published(&rig.repo, &commit);
}

#[test]
fn a_missing_object_may_stay_a_pointer_until_it_comes() {
    let rig = Rig::new();
    let commit = rig.prepare("comes later\n");
    let object = rig.repo.lfs_object("comes later\n");
    fs::rename(&object, rig.env.path("away")).unwrap();
    let port = free_port();
    let syncline = rig.syncline().arg("--lfs-missing=pointer").arg("--worktree-check-period=100ms");
    let running = syncline
        .arg("--period=20ms")
        .arg(format!("--http-bind=127.0.0.1:{port}"))
        .arg("--http-metrics")
        .spawn();
    running.wait_for("\"published\"");
    running.wait_for("new.bin");
    assert_eq!(rig.env.published(), Some(commit.clone()));
    rig.env.assert_file("new.bin", pointer("comes later\n"));
    rig.env.assert_file("a.bin", "content of a\n");
    assert_eq!(git(&rig.env.link(), &["status", "--porcelain"]), "");
    let page = get(port, "/metrics").1;
    assert!(page.contains("syncline_lfs_objects_total{result=\"missing\"}"), "{page}");
    // Not at every poll, but when trees are checked.
    fs::rename(rig.env.path("away"), &object).unwrap();
    eventually("the content", || {
        (fs::read(rig.env.link().join("new.bin")).ok()? == b"comes later\n").then_some(())
    });
    drop(running);
    rig.syncline().sync();
    rig.env.assert_lfs_published(&rig.repo, &commit);
}

#[test]
fn a_missing_object_is_asked_for_again_at_a_restart_and_refuses_where_it_must() {
    let rig = Rig::new();
    let commit = rig.prepare("comes later\n");
    let object = rig.repo.lfs_object("comes later\n");
    fs::rename(&object, rig.env.path("away")).unwrap();
    let pointers = || rig.syncline().arg("--lfs-missing=pointer");
    pointers().sync();
    rig.env.assert_file("new.bin", pointer("comes later\n"));
    // The published tree is not what the options say; it stays all the same.
    let fault = fault(&rig.syncline().fail());
    assert!(fault.contains("\"new.bin\"") && fault.contains("404"), "{fault}");
    rig.env.assert_file("a.bin", "content of a\n");
    fs::rename(rig.env.path("away"), &object).unwrap();
    pointers().sync();
    rig.env.assert_lfs_published(&rig.repo, &commit);
}

#[test]
fn only_what_is_gone_for_good_may_stay_a_pointer() {
    let rig = Rig::new();
    let pointers = |syncline: Syncline| syncline.arg("--lfs-missing=pointer");
    for (code, message) in [(403, "Forbidden"), (422, "Validation failed"), (500, "Something went wrong")] {
        let content = format!("not missing by {code}\n");
        let spoil = without(sha256(&content), code, message);
        rig.assert_refused_with(&content, &[&code.to_string()], spoil, pointers);
    }
    rig.prepare("gone\n");
    rig.lfs.spoil(without(sha256("gone\n"), 410, "Object was removed by its owner"));
    pointers(rig.syncline()).sync();
    rig.env.assert_file("new.bin", pointer("gone\n"));
    // Neither is a server without LFS, nor a wrong content.
    rig.assert_refused_with("no LFS\n", &["404"], |_, _| Answer::new("404 Not Found", "not here"), pointers);
    rig.assert_refused_with("right\n", &[], wrong_content("wrong\n"), pointers);
}

fn wrong_content(content: &'static str) -> impl Fn(&str, Answer) -> Answer + Send + 'static {
    move |request, answer| if is_batch(request) { answer } else { Answer::new("200 OK", content) }
}
