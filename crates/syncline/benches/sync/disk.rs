//! A disk of a hundred operations a second: how long the steps take there, and how many operations each needs.

use std::time::Duration;

use crate::cases::Bench;
use crate::life::{Costs, Life, Measure, Step, of_floor, of_git, of_step, of_syncline};
use crate::measure::{Figures, Rounds, alone, plain, row, seconds};
use crate::repositories::Repository;
use crate::slow_disk::SlowDisk;

/// So many reads and as many writes.
const PER_SECOND: usize = 100;

/// What a step needed.
#[derive(Clone, Copy)]
struct Need {
    wall: Duration,
    /// Until nothing is left to be done, and all is on the disk.
    until_on_disk: Duration,
    reads: f64,
    writes: f64,
}

const STEPS: [(Step, &str); 5] = [
    (Step::FirstSync, "first sync"),
    (Step::Restart, "restart, nothing new, nothing cached"),
    (Step::Change, "one changed file, again"),
    (Step::ColdChange, "one changed file, again, nothing cached"),
    (Step::Fold, "one changed file, and a fold, nothing cached"),
];

pub fn print(bench: &Bench, repository: &Repository) {
    if let Err(reason) = SlowDisk::new(bench.base, PER_SECOND, 1 << 26) {
        println!("\nThere can be no slow disk here: {reason}.");
        return;
    }
    // Nobody gets what another one has put in order, or not.
    let life = |act: &dyn Fn(&SlowDisk, &mut Measure)| {
        let room = (1 << 30) + repository.count() as u64 * (64 << 10);
        let disk = SlowDisk::new(bench.base, PER_SECOND, room).unwrap();
        let mut life = Life::new();
        act(&disk, &mut |step, act| life.push((step, need(&disk, step, act))));
        life
    };
    let ours = |options: &[&str]| {
        life(&|disk, measure| of_syncline(bench, repository, &disk.path.join("root"), options, measure))
    };
    let theirs = || {
        let mut life = life(&|disk, measure| of_git(bench, repository, &disk.path.join("root"), 1, measure));
        // A fold is a part of every change.
        life.retain(|(step, _)| *step != Step::Fold);
        life.extend(of_step(&life, Step::ColdChange).map(|need| (Step::Fold, need)));
        life
    };
    let floor = || life(&|disk, measure| of_floor(bench, repository, &disk.path.join("root"), measure));
    let lives = Rounds::with_floor(bench.rounds, || ours(&[]), theirs, || Some(floor()));
    let flushed = Rounds::take(bench.rounds, || ours(&["--fsync=all"]), Life::new);
    for (step, case) in STEPS {
        let of = |measure: fn(&Need) -> f64| lives.flat_map(|life| of_step(life, step)).medians(measure);
        let of_flushed = |measure: fn(&Need) -> f64| {
            let [ours, ..] = flushed.flat_map(|life| of_step(life, step)).medians(measure);
            alone(ours)
        };
        rows(repository, case, &of);
        if !matches!(step, Step::Restart | Step::Fold) {
            rows(repository, &format!("{case}, --fsync=all"), &of_flushed);
        }
    }
}

fn rows(repository: &Repository, case: &str, of: &dyn Fn(fn(&Need) -> f64) -> Figures) {
    let case = format!("{case}, {PER_SECOND} operations/s");
    let row = |measure, form, values| row(repository.label(), &case, measure, form, values);
    row("wall", seconds, of(|need| need.wall.as_secs_f64()));
    row("until all is on disk", seconds, of(|need| need.until_on_disk.as_secs_f64()));
    row("reads", plain, of(|need| need.reads));
    row("writes", plain, of(|need| need.writes));
}

fn need(disk: &SlowDisk, step: Step, act: &mut dyn FnMut() -> Costs) -> Need {
    disk.sync();
    if matches!(step, Step::Restart | Step::ColdChange | Step::Fold) {
        disk.cool();
    }
    let before = disk.operations();
    let (until_flip, after) = act();
    // What the kernel writes by itself while nothing is done any more is not much: it waits for seconds.
    let until_on_disk = until_flip.wall + after.wall + disk.sync();
    let now = disk.operations();
    let difference = |now, before| (now - before) as f64;
    Need {
        wall: until_flip.wall,
        until_on_disk,
        reads: difference(now.reads, before.reads),
        writes: difference(now.writes, before.writes),
    }
}
