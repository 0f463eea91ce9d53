//! A disk, a quota or a kernel that refuses: what is published stays, the error says where, what the attempt took
//! is given back, and the next one works. Every kind of step is tried with one error, or with
//! `SYNCLINE_EVERY_STEP=1` every single step with every error (docs/testing.md).

use std::path::Path;

use nix::errno::Errno;

use crate::stepping::group::GroupScene;
use crate::stepping::points::Point;
use crate::stepping::scene::Scene;
use crate::stepping::scenes;
use crate::stepping::steps::{Call, Deed, Effect, masked};
use crate::support::*;

#[test]
fn a_first_sync_survives_refusals_at_every_step() {
    refuse_every_step(scenes::first_sync(true));
}

#[test]
fn a_change_survives_refusals_at_every_step() {
    refuse_every_step(scenes::change(true));
}

#[test]
fn changes_in_one_process_survive_refusals_at_every_step() {
    refuse_every_step(scenes::changes());
}

#[test]
fn a_refused_commit_survives_refusals_at_every_step() {
    refuse_every_step(scenes::refused_commit(false));
}

#[test]
fn a_change_of_submodules_survives_refusals_at_every_step() {
    refuse_every_step(scenes::submodules(false));
}

#[test]
fn a_first_sync_with_git_lfs_survives_refusals_at_every_step() {
    refuse_every_step(scenes::first_sync_with_lfs(true));
}

#[test]
fn a_change_of_git_lfs_files_survives_refusals_at_every_step() {
    refuse_every_step(scenes::lfs(true));
}

#[test]
fn folding_survives_refusals_at_every_step() {
    refuse_every_step(scenes::folding());
}

#[test]
fn folding_of_small_packs_survives_refusals_at_every_step() {
    refuse_every_step(scenes::folding_small_packs());
}

#[test]
fn a_followers_first_sync_survives_refusals_at_every_step() {
    refuse_every_step(scenes::first_sync_of_follower());
}

#[test]
fn a_followers_change_survives_refusals_at_every_step() {
    refuse_every_step(scenes::change_of_follower());
}

#[test]
fn a_feeders_first_sync_survives_refusals_at_every_step() {
    refuse_every_step(scenes::first_sync_of_feeder());
}

#[test]
fn a_feeders_change_survives_refusals_at_every_step() {
    refuse_every_step(scenes::change_of_feeder());
}

#[test]
fn a_flip_of_a_group_survives_refusals_at_every_step() {
    let mut scene = GroupScene::flip();
    let steps = scene.rehearse();
    let points = GroupScene::points(&steps, 30, is_concerned);
    let mut outcomes = [0; 3];
    for (fault, point) in cases(points) {
        outcomes[refuse_in_group(&scene, fault, &point) as usize] += 1;
    }
    assert_reached(scene.name, outcomes);
}

#[test]
fn packs_that_cannot_be_listed_are_not_taken_for_gone() {
    let mut scene = scenes::changes();
    let steps = scene.rehearse();
    let lists_packs = |call: &Call| call.name == "getdents64" && call.object == ".git/objects/pack";
    let fault = Fault { errno: Errno::EIO, lasts: false, concerns: reads };
    let points = Point::all(&steps, lists_packs);
    let reached = points.iter().filter(|point| !matches!(refuse(&scene, &fault, point), Outcome::Unreached));
    assert!(reached.count() > 5);
}

/// What may be wrong with a machine.
struct Fault {
    errno: Errno,
    /// Whether it stays until the program has complained.
    lasts: bool,
    concerns: fn(&Call) -> bool,
}

const FAULTS: [Fault; 7] = [
    Fault { errno: Errno::ENOSPC, lasts: true, concerns: needs_room },
    Fault { errno: Errno::EIO, lasts: false, concerns: changes },
    Fault { errno: Errno::EDQUOT, lasts: true, concerns: needs_room },
    Fault { errno: Errno::EROFS, lasts: true, concerns: changes },
    Fault { errno: Errno::EMFILE, lasts: false, concerns: opens },
    Fault { errno: Errno::ENOMEM, lasts: false, concerns: changes },
    Fault { errno: Errno::EIO, lasts: false, concerns: reads },
];

fn changes(call: &Call) -> bool {
    call.effect == Effect::Changes
}

/// But for a mere look: what cannot be looked at counts as not there.
fn reads(call: &Call) -> bool {
    let looks = ["stat", "lstat", "statx", "newfstatat", "readlink", "readlinkat"];
    call.effect == Effect::Reads && !looks.contains(&call.name)
}

fn opens(call: &Call) -> bool {
    matches!(call.name, "open" | "openat")
}

fn needs_room(call: &Call) -> bool {
    let names = ["write", "mkdir", "mkdirat", "link", "linkat", "symlink", "symlinkat", "open", "openat"];
    changes(call) && names.contains(&call.name)
}

fn removes(call: &Call) -> bool {
    matches!(call.name, "unlink" | "unlinkat" | "rmdir")
}

fn refuse_every_step(mut scene: Scene) {
    let steps = scene.rehearse();
    let mut outcomes = [0; 3];
    for (fault, point) in cases(Point::of(&steps, 60, is_concerned)) {
        outcomes[refuse(&scene, fault, &point) as usize] += 1;
    }
    assert_reached(scene.name, outcomes);
}

fn assert_reached(name: &str, [unreached, harmless, failed]: [usize; 3]) {
    let refused = harmless + failed;
    tell(&format!(
        "{name}: survived {refused} refusals of {} tried, {failed} of which failed a sync",
        refused + unreached
    ));
    // Threads are not in step with each other, so that a number may not be reached.
    assert!(unreached * 5 <= refused, "{name}: {unreached} steps were not reached");
}

fn is_concerned(call: &Call) -> bool {
    FAULTS.iter().any(|fault| (fault.concerns)(call))
}

/// Every step with one of the faults that concern it, or with all of them.
fn cases(points: Vec<Point>) -> Vec<(&'static Fault, Point)> {
    let of_point = |(at, point): (usize, Point)| {
        let faults: Vec<_> = FAULTS.iter().filter(|fault| (fault.concerns)(&point.call)).collect();
        let chosen = if tries_every_step() { faults } else { vec![faults[at % faults.len()]] };
        chosen.into_iter().map(move |fault| (fault, point.clone()))
    };
    points.into_iter().enumerate().flat_map(of_point).collect()
}

/// What came of a refusal.
enum Outcome {
    /// Nothing was refused: threads are not in step with each other.
    Unreached,
    Harmless,
    SyncFailed,
}

fn refuse(scene: &Scene, fault: &Fault, point: &Point) -> Outcome {
    let case = format!("{}, {:?} at {point:?}", scene.name, fault.errno);
    let root = scene.env.root();
    let (mut is_there, mut refused, mut complaint, mut is_ending) = (point.finder(), Vec::new(), None, false);
    let played = scene.play(|call| {
        is_ending |= refused.is_empty() && call.object.contains("\"message\":\"stopping\"");
        let is_of_the_scene = scene.refusal.is_some_and(|words| call.object.contains(words));
        let is_complaint = call.effect == Effect::Logs && !is_of_the_scene;
        if is_complaint && !refused.is_empty() && complaint.is_none() {
            complaint = Some(call.object.clone());
            if call.object.contains("sync failed") {
                scene.assert_whole(&case);
                // What cannot be removed now is removed later.
                if !refused.iter().any(removes) {
                    scene.assert_given_back(&case);
                    // What is half there is worth keeping, unless there is no room.
                    let is_full = matches!(fault.errno, Errno::ENOSPC | Errno::EDQUOT);
                    assert!(
                        !is_full || scene.env.lfs_parts().is_empty(),
                        "{case}: {:?}",
                        scene.env.lfs_parts()
                    );
                }
            }
        }
        let lasts = fault.lasts && !refused.is_empty() && complaint.is_none() && (fault.concerns)(call);
        let is_futile = call.name.starts_with("mkdir") && root.join(&call.object).is_dir();
        if (is_there(call) || lasts) && !is_futile {
            refused.push(call.clone());
            return Deed::Refuse(fault.errno);
        }
        Deed::Allow
    });
    assert!(!played.log.contains("damaged"), "{case}: {}", played.log);
    let complaint = complaint.filter(|line| line.contains("\"ERROR\"") || line.contains("\"WARN\""));
    if let Some(complaint) = &complaint {
        assert!(complaint.contains("(os error"), "{case}: not told why: {complaint}");
        let is_named = |call: &Call| names_place(complaint, &root, &call.object);
        assert!(refused.iter().any(is_named), "{case}: not told where: {complaint}");
    }
    // A start that failed, or work that is left to the next one.
    let failed = complaint.as_ref().is_some_and(|line| line.contains("sync failed"));
    if played.code != Some(0) || is_ending || (complaint.is_some() && !failed) {
        assert_eq!(
            played.code,
            Some(i32::from(played.log.contains("cannot start"))),
            "{case}: {}",
            played.log
        );
        scene.assert_whole(&case);
        scene.recover(&case);
    }
    scene.assert_settled(&case);
    match refused[..] {
        [] => Outcome::Unreached,
        _ if failed => Outcome::SyncFailed,
        _ => Outcome::Harmless,
    }
}

/// The same in a one-time run of a group. It fails, or the new set is shown.
fn refuse_in_group(scene: &GroupScene, fault: &Fault, point: &Point) -> Outcome {
    let case = format!("{}, {:?} at {point:?}", scene.name, fault.errno);
    let root = scene.root();
    let (mut is_there, mut refused, mut complaint) = (point.finder(), Vec::new(), None);
    let played = scene.play(|call| {
        let is_complaint = call.effect == Effect::Logs && !refused.is_empty() && complaint.is_none();
        if is_complaint && ["\"ERROR\"", "\"WARN\""].iter().any(|level| call.object.contains(level)) {
            complaint = Some(call.object.clone());
        }
        let lasts = fault.lasts && !refused.is_empty() && complaint.is_none() && (fault.concerns)(call);
        let is_futile = call.name.starts_with("mkdir") && root.join(&call.object).is_dir();
        if (is_there(call) || lasts) && !is_futile {
            refused.push(call.clone());
            return Deed::Refuse(fault.errno);
        }
        Deed::Allow
    });
    let log = &played.log;
    assert!(!log.contains("damaged") && !log.contains("panicked"), "{case}: {log}");
    scene.assert_whole(&case);
    if let Some(complaint) = &complaint {
        assert!(complaint.contains("(os error"), "{case}: not told why: {complaint}");
        let is_named = |call: &Call| names_place(complaint, &root, &call.object);
        assert!(refused.iter().any(is_named), "{case}: not told where: {complaint}");
        scene.recover(&case);
    } else {
        assert_eq!(played.code, Some(0), "{case}: {log}");
    }
    scene.assert_settled(&case);
    match (&refused[..], played.code) {
        ([], _) => Outcome::Unreached,
        (_, Some(0)) => Outcome::Harmless,
        _ => Outcome::SyncFailed,
    }
}

/// Whether a log line names a place in the root or a directory above it.
fn names_place(line: &str, root: &Path, place: &str) -> bool {
    let line = masked(line);
    let is_told = |place: &Path| line.contains(&masked(&root.join(place).to_string_lossy()));
    let mut places = Path::new(place).ancestors().filter(|above| above.parent().is_some());
    places.any(is_told) || (place.is_empty() && line.contains(root.to_str().unwrap()))
}
