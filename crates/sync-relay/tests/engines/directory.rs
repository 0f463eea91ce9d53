//! The directory.

use std::os::unix::fs::PermissionsExt;

use crate::behaviours;
use crate::support::{Pack, Place, interrupt};

fn place(dir: &std::path::Path) -> Place {
    Place::new(format!("file://{}", dir.display()), Default::default())
}

#[test]
fn it_behaves_as_all_do() {
    let dir = tempfile::tempdir().unwrap();
    behaviours::check(&place(dir.path()));
}

#[test]
fn anybody_may_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = place(&dir.path().join("new")).engine("a");
    engine.swap(b"tip", None, &interrupt()).unwrap();
    Pack::of(10, 1).put(engine.as_mut()).unwrap();
    let mode = |path: &str| fs_err::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("new"), mode("new/a"), mode("new/a/packs")), (0o755, 0o755, 0o755));
    let pack = fs_err::read_dir(dir.path().join("new/a/packs")).unwrap().next().unwrap().unwrap();
    assert_eq!(
        (mode("new/a/tip.json"), pack.metadata().unwrap().permissions().mode() & 0o777),
        (0o644, 0o644)
    );
}

#[test]
fn what_a_killed_feeder_left_goes_at_the_next_write() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = place(dir.path()).engine("a");
    engine.prepare(&interrupt()).unwrap();
    let (old, used) = (dir.path().join("a/packs/.tmp-1"), dir.path().join("a/packs/.tmp-2"));
    fs_err::write(&old, "x").unwrap();
    let file = fs_err::File::create(&used).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    Pack::of(10, 1).put(engine.as_mut()).unwrap();
    assert!(!old.exists() && used.exists());
    drop(file);
    Pack::of(10, 2).put(engine.as_mut()).unwrap();
    assert!(!used.exists());
}

#[test]
fn a_missing_volume_is_no_missing_tip() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = place(&dir.path().join("none")).engine("a");
    let missing = engine.tip(&interrupt()).unwrap_err();
    assert_eq!(missing.kind(), std::io::ErrorKind::NotConnected, "{missing}");
    assert!(!engine.is_connected());
}
