//! Transfers that are interrupted go on where they were, within a sync, in the next one and after a restart.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Rig;
use crate::support::lfs::*;
use crate::support::*;

const SIZE: usize = 400_000;

fn content() -> Vec<u8> {
    noise(5, SIZE)
}

/// The part of [`content`] in the store.
fn part(rig: &Rig) -> PathBuf {
    rig.env.root().join(".git/lfs/incomplete").join(format!("{}.part", sha256(content())))
}

/// Leave this as the part of an interrupted transfer.
fn leave(rig: &Rig, bytes: &[u8]) {
    fs::create_dir_all(part(rig).parent().unwrap()).unwrap();
    fs::write(part(rig), bytes).unwrap();
}

/// The ranges that were asked for since so many requests; empty for all of an object.
fn ranges(rig: &Rig, since: usize) -> Vec<String> {
    rig.lfs.gets()[since..].iter().map(|get| header(get, "range")).collect()
}

#[test]
fn a_part_is_kept_over_a_failed_sync_and_a_restart() {
    let rig = Rig::new();
    let commit = rig.prepare(content());
    rig.lfs.spoil_objects(|_, answer| answer.cut(100_000, false));
    let before = rig.lfs.gets().len();
    for round in 1..=2 {
        let fault = fault(&rig.syncline().arg("--sync-timeout=2s").fail());
        assert!(fault.contains("new.bin"), "{fault}");
        let length = fs::metadata(part(&rig)).unwrap().len() as usize;
        assert_eq!(length, round * 100_000);
        rig.env.assert_no_leftovers();
        assert!(!rig.env.lfs_object(content()).exists());
    }
    rig.lfs.mend();
    rig.syncline().sync();
    rig.env.assert_lfs_published(&rig.repo, &commit);
    let last = SIZE - 1;
    let expected = ["".into(), format!("bytes=100000-{last}"), format!("bytes=200000-{last}")];
    assert_eq!(ranges(&rig, before), expected);
}

/// The time limit of a sync is too short for the file, and it arrives all the same.
#[test]
fn a_file_arrives_that_takes_longer_than_a_sync_may() {
    let rig = Rig::new();
    let commit = rig.prepare(content());
    rig.lfs.spoil_objects(|_, answer| answer.cut(120_000, false));
    let syncline = rig.syncline().arg("--sync-timeout=1s").arg("--period=10ms").arg("--max-failures=-1");
    let running = syncline.spawn();
    eventually("publication", || (rig.env.published()? == commit).then_some(()));
    assert!(running.log().matches("sync failed").count() >= 3, "{}", running.log());
    drop(running);
    rig.env.assert_lfs_shown(&rig.repo, &commit);
}

#[test]
fn a_connection_that_ends_early_is_made_again_within_the_sync() {
    let rig = Rig::new();
    let commit = rig.prepare(content());
    rig.lfs.spoil_objects(|_, answer| answer.cut(150_000, true));
    let before = rig.lfs.gets().len();
    let log = rig.syncline().sync().stderr;
    assert!(!log.contains("sync failed"), "{log}");
    rig.env.assert_lfs_published(&rig.repo, &commit);
    let last = SIZE - 1;
    assert_eq!(
        ranges(&rig, before),
        ["".into(), format!("bytes=150000-{last}"), format!("bytes=300000-{last}")]
    );
}

/// Wherever a connection ends, and whether what follows is of the same content or not.
#[test]
fn a_connection_that_ends_anywhere_breaks_nothing() {
    let rig = Rig::new();
    let content = b"short\n".to_vec();
    each_row(0..=content.len(), |at| {
        // Only what was resumed may be of two contents.
        for is_another in [false, true].into_iter().filter(|is_another| at > 0 || !is_another) {
            let commit = rig.prepare(&content);
            let fetched = Arc::new(AtomicUsize::new(0));
            rig.lfs.spoil_objects(move |_, answer| match fetched.fetch_add(1, Ordering::SeqCst) {
                0 => answer.cut(at, true),
                1 if is_another => Answer { body: vec![b'x'; answer.body.len()], ..answer },
                _ => answer,
            });
            rig.syncline().sync();
            assert_eq!(rig.env.published(), Some(commit));
            rig.env.assert_file("new.bin", &content);
            assert_objects_are_whole(&rig.env.root().join(".git"));
            // Nothing of it is there any more when the next row begins.
            fs::remove_dir_all(rig.env.root()).unwrap();
        }
    });
}

#[test]
fn whatever_a_part_holds_only_the_content_is_published() {
    let rig = Rig::new();
    let content = content();
    let ranged = |first: usize| format!("bytes={first}-{}", SIZE - 1);
    let altered = [&noise(6, 10)[..], &content[10..1000]].concat();
    let too_long = [&content[..], b"more"].concat();
    let rows: [(&str, &[u8], Vec<String>); 7] = [
        ("nothing", b"", vec!["".into()]),
        ("a byte", &content[..1], vec![ranged(1)]),
        ("the most of it", &content[..SIZE - 1], vec![ranged(SIZE - 1)]),
        ("all of it", &content, vec![]),
        ("another beginning", &altered, vec![ranged(1000), "".into()]),
        ("more than it", &too_long, vec!["".into()]),
        ("another content of its size", &noise(7, SIZE), vec!["".into()]),
    ];
    each_row(rows, |(what, bytes, expected)| {
        let commit = rig.prepare(&content);
        let _ = fs::remove_file(rig.env.lfs_object(&content));
        leave(&rig, bytes);
        let before = rig.lfs.gets().len();
        rig.syncline().sync();
        rig.env.assert_lfs_published(&rig.repo, &commit);
        assert_eq!(ranges(&rig, before), expected, "{what}");
    });
}

#[test]
fn servers_may_answer_a_range_as_they_like() {
    type Spoil = fn(Answer) -> Answer;
    let rows: [(&str, Spoil, usize); 8] = [
        ("all of it", move |_| Answer::new("200 OK", content()), 1),
        ("it cannot", |_| Answer::new("416 Range Not Satisfiable", ""), 2),
        (
            "another range",
            |answer| Answer { headers: vec![format!("Content-Range: bytes 0-9/{SIZE}")], ..answer },
            2,
        ),
        ("no range", |answer| Answer { headers: Vec::new(), ..answer }, 2),
        ("nonsense", |answer| Answer { headers: vec!["Content-Range: pages 1-2".into()], ..answer }, 2),
        ("another content", |answer| Answer { body: noise(8, answer.body.len()), ..answer }, 2),
        ("too much", |answer| Answer { body: [answer.body, vec![0; 9]].concat(), ..answer }, 2),
        ("less", |answer| answer.cut(10, true), 2),
    ];
    let rig = Rig::new();
    each_row(rows, |(what, spoil, requests)| {
        let commit = rig.prepare(content());
        let _ = fs::remove_file(rig.env.lfs_object(content()));
        leave(&rig, &content()[..1000]);
        let spoiled = Arc::new(AtomicUsize::new(0));
        rig.lfs.spoil_objects(move |_, answer| match spoiled.fetch_add(1, Ordering::SeqCst) {
            0 => spoil(answer),
            _ => answer,
        });
        let before = rig.lfs.gets().len();
        rig.syncline().sync();
        rig.env.assert_lfs_published(&rig.repo, &commit);
        let asked = ranges(&rig, before);
        assert_eq!(asked.len(), requests, "{what}: {asked:?}");
        assert_eq!(asked[0], format!("bytes=1000-{}", SIZE - 1), "{what}");
    });
}

#[test]
fn parts_of_what_nobody_wants_any_more_go() {
    let rig = Rig::new();
    rig.prepare(content());
    rig.lfs.spoil_objects(|_, answer| answer.cut(100_000, false));
    rig.syncline().arg("--sync-timeout=1s").fail();
    assert_eq!(rig.env.lfs_parts().len(), 1);
    // Not even a sync that succeeds by another file alone.
    let next = rig.repo.commit(&[("new.bin", "small\n")]);
    rig.lfs.mend();
    rig.syncline().sync();
    rig.env.assert_lfs_published(&rig.repo, &next);

    // What is no part at all does no harm either.
    let dir = rig.env.root().join(".git/lfs/incomplete");
    fs::create_dir_all(dir.join(format!("{}.part", sha256("x")))).unwrap();
    fs::write(dir.join("foreign"), "x").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.join(format!("{}.part", sha256("new\n")))).unwrap();
    let next = rig.repo.commit(&[("new.bin", "new\n"), ("x.bin", "x")]);
    rig.syncline().sync();
    rig.env.assert_lfs_published(&rig.repo, &next);
    assert!(!fs::read_to_string("/etc/passwd").unwrap().starts_with("new\n"));
}

#[test]
fn parts_do_not_add_up() {
    let rig = Rig::new();
    rig.syncline().sync();
    rig.lfs.spoil_objects(|_, answer| answer.cut(100_000, false));
    for round in 0..3 {
        rig.repo.write("new.bin", noise(10 + round, SIZE));
        rig.repo.commit(&[]);
        rig.syncline().arg("--sync-timeout=1s").fail();
        assert_eq!(rig.env.lfs_parts(), [format!("{}.part", sha256(noise(10 + round, SIZE)))]);
    }
}

#[test]
fn a_signal_ends_a_transfer_that_stands_still() {
    let rig = Rig::new();
    rig.prepare(content());
    rig.lfs.spoil_objects(|_, answer| answer.cut(100_000, false));
    let mut running = rig.syncline().spawn();
    eventually("a part", || (fs::metadata(part(&rig)).ok()?.len() == 100_000).then_some(()));
    running.signal(rustix::process::Signal::TERM);
    let (code, time) = running.wait();
    assert_eq!(code, Some(0), "{}", running.log());
    assert!(time < SOON, "{time:?}");
    assert_eq!(fs::metadata(part(&rig)).unwrap().len(), 100_000);
}
