//! Whatever happens upstream, what is published equals what stock git checks out, byte for byte and mode for mode.
//!
//! Every test draws its steps from a seed, which a failure names with the step and what was done in it.
//! `SYNCLINE_SEED` and `SYNCLINE_STEPS` say where all of them begin and how long they go on.

mod change;
mod consumer;
mod history;
mod material;
mod reference;
mod scene;
mod tree;
mod upstream;

use scene::Scene;

/// How a test runs the program, and what happens besides changes upstream.
#[derive(Clone, Copy, Default)]
struct Profile {
    seed: u64,
    steps: usize,
    format: &'static str,
    served: Served,
    arguments: &'static [&'static str],
    /// The file of sparse patterns changes.
    patterns: bool,
    /// The program is ended and started with other options.
    restarts: bool,
    /// Published files are altered in place.
    consumer: bool,
    /// Some files are such of Git LFS.
    lfs: bool,
}

#[derive(Clone, Copy, Default)]
enum Served {
    #[default]
    Local,
    Http,
    Git,
}

#[test]
fn whatever_changes_is_published_as_git_checks_it_out() {
    run(Profile { seed: 1, steps: 600, format: "sha1", ..Profile::default() });
}

#[test]
fn whatever_patterns_and_a_filter_leave_is_as_git_checks_it_out() {
    run(Profile {
        seed: 2,
        steps: 250,
        format: "sha1",
        served: Served::Http,
        arguments: &["--filter=blob:none", "--depth=3", "--stale-worktree-timeout=1h"],
        patterns: true,
        ..Profile::default()
    });
}

#[test]
fn whatever_options_a_restart_brings_the_tree_is_as_git_checks_it_out() {
    run(Profile {
        seed: 3,
        steps: 300,
        format: "sha256",
        served: Served::Git,
        restarts: true,
        ..Profile::default()
    });
}

#[test]
fn whatever_consumers_write_reaches_no_later_tree() {
    run(Profile {
        seed: 4,
        steps: 500,
        format: "sha1",
        arguments: &["--stale-worktree-timeout=1h"],
        consumer: true,
        ..Profile::default()
    });
}

#[test]
fn whatever_is_copied_is_as_git_checks_it_out() {
    run(Profile {
        seed: 5,
        steps: 250,
        format: "sha256",
        served: Served::Http,
        arguments: &["--checkout=copy", "--depth=0"],
        consumer: true,
        ..Profile::default()
    });
}

#[test]
fn whatever_becomes_a_file_of_git_lfs_is_as_git_lfs_has_it() {
    run(Profile { seed: 6, steps: 250, format: "sha1", lfs: true, ..Profile::default() });
}

#[test]
fn whatever_restarts_do_to_files_of_git_lfs_they_are_as_git_lfs_has_them() {
    run(Profile {
        seed: 7,
        steps: 200,
        format: "sha256",
        arguments: &["--stale-worktree-timeout=1h"],
        restarts: true,
        consumer: true,
        lfs: true,
        ..Profile::default()
    });
}

fn run(profile: Profile) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("SYNCLINE_SEED").unwrap_or(profile.seed);
    let steps = number("SYNCLINE_STEPS").map_or(profile.steps, |steps| steps as usize);
    let mut scene = Scene::new(Profile { seed, steps, ..profile });
    for step in 1..=steps {
        scene.step(step);
    }
    scene.end();
}
