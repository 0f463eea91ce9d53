//! Killed at any step, it breaks nothing: readers see a whole tree, and the next start needs no help and leaves
//! nothing behind. All kinds of steps are tried, or with `SYNCLINE_EVERY_STEP=1` every single one (docs/testing.md).

use crate::stepping::group::GroupScene;
use crate::stepping::points::Point;
use crate::stepping::scene::Scene;
use crate::stepping::scenes;
use crate::stepping::steps::{Call, Deed, Effect};
use crate::support::tell;

#[test]
fn a_first_sync_survives_a_kill_at_every_step() {
    kill_at_every_step(scenes::first_sync(true));
}

#[test]
fn a_change_survives_a_kill_at_every_step() {
    kill_at_every_step(scenes::change(true));
}

#[test]
fn changes_in_one_process_survive_a_kill_at_every_step() {
    kill_at_every_step(scenes::changes());
}

#[test]
fn a_failed_sync_survives_a_kill_at_every_step() {
    kill_at_every_step(scenes::failure());
}

#[test]
fn a_refused_commit_survives_a_kill_at_every_step() {
    kill_at_every_step(scenes::refused_commit(false));
    kill_at_every_step(scenes::refused_commit(true));
}

#[test]
fn a_change_of_submodules_survives_a_kill_at_every_step() {
    kill_at_every_step(scenes::submodules(true));
}

#[test]
fn a_first_sync_with_git_lfs_survives_a_kill_at_every_step() {
    kill_at_every_step(scenes::first_sync_with_lfs(true));
}

#[test]
fn a_change_of_git_lfs_files_survives_a_kill_at_every_step() {
    kill_at_every_step(scenes::lfs(true));
    kill_at_every_step(scenes::lfs(false));
}

#[test]
fn pruning_survives_a_kill_at_every_step() {
    kill_at_every_step(scenes::pruning());
}

#[test]
fn folding_survives_a_kill_at_every_step() {
    kill_at_every_step(scenes::folding());
}

#[test]
fn folding_of_small_packs_survives_a_kill_at_every_step() {
    kill_at_every_step(scenes::folding_small_packs());
}

#[test]
fn a_move_from_git_sync_v4_survives_a_kill_at_every_step() {
    kill_at_every_step(scenes::from_v4());
}

#[test]
fn a_move_from_git_sync_v3_survives_a_kill_at_every_step() {
    kill_at_every_step(scenes::from_v3());
}

#[test]
fn a_followers_first_sync_survives_a_kill_at_every_step() {
    kill_at_every_step(scenes::first_sync_of_follower());
}

#[test]
fn a_followers_change_survives_a_kill_at_every_step() {
    kill_at_every_step(scenes::change_of_follower());
}

#[test]
fn a_feeders_first_sync_survives_a_kill_at_every_step() {
    kill_at_every_step(scenes::first_sync_of_feeder());
}

#[test]
fn a_feeders_change_survives_a_kill_at_every_step() {
    kill_at_every_step(scenes::change_of_feeder());
}

#[test]
fn a_flip_of_a_group_survives_a_kill_at_every_step() {
    let mut scene = GroupScene::flip();
    let steps = scene.rehearse();
    let points = GroupScene::points(&steps, 50, is_dangerous);
    let mut killed = 0;
    for point in &points {
        let case = format!("{}, killed at {point:?}", scene.name);
        let mut is_there = point.finder();
        let played = scene.play(|call| if is_there(call) { Deed::Kill } else { Deed::Allow });
        killed += usize::from(played.code.is_none());
        scene.assert_whole(&case);
        scene.group.assert_sound(&case);
        scene.recover(&case);
        scene.assert_settled(&case);
    }
    assert_killed(scene.name, killed, points.len(), &steps);
}

fn kill_at_every_step(mut scene: Scene) {
    let steps = scene.rehearse();
    let befores = Point::of(&steps, 70, is_dangerous).into_iter().map(|point| (point, Deed::Kill));
    let middles = Point::of(&steps, 20, is_write).into_iter().map(|point| (point, Deed::Tear));
    let points: Vec<_> = befores.chain(middles).collect();
    let mut killed = 0;
    for (point, deed) in &points {
        let case = format!("{}, {deed:?} at {point:?}", scene.name);
        let mut is_there = point.finder();
        let played = scene.play(|call| if is_there(call) { *deed } else { Deed::Allow });
        killed += usize::from(played.code.is_none());
        scene.assert_whole(&case);
        scene.assert_named(&case);
        scene.recover(&case);
        scene.assert_settled(&case);
    }
    assert_killed(scene.name, killed, points.len(), &steps);
}

/// Threads are not in step with each other, so that a number may not be reached.
fn assert_killed(name: &str, killed: usize, points: usize, steps: &[Call]) {
    assert!(killed * 10 >= points * 9, "{name}: killed {killed} times of {points}");
    let all = steps.iter().filter(|call| is_dangerous(call)).count();
    tell(&format!("{name}: survived {killed} kills, of {all} steps that change the disk or use the network"));
}

fn is_dangerous(call: &Call) -> bool {
    matches!(call.effect, Effect::Changes | Effect::Network)
}

fn is_write(call: &Call) -> bool {
    call.effect == Effect::Changes && call.name == "write"
}
