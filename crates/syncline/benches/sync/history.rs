//! Millions of objects of history, all of them wanted: what each step costs, and its memory.

use crate::cases::Bench;
use crate::life::{Costs, Life, Step, of_git, of_step, of_syncline};
use crate::measure::{Cost, Rounds, costs, header, plain, row};
use crate::repositories::Repository;

const STEPS: [(Step, &str); 6] = [
    (Step::FirstSync, "first sync"),
    (Step::Poll, "poll"),
    (Step::Restart, "restart, nothing new"),
    (Step::FirstChange, "one changed file, first"),
    (Step::Change, "one changed file, again"),
    (Step::Fold, "repack 41 packs"),
];

/// Without git this takes a tenth of the time.
pub fn print(bench: &Bench, objects: usize, with_git: bool) {
    header();
    let repository = Repository::long_history(bench.base, objects);
    let ours = || {
        let mut life = Life::new();
        let root = bench.fresh("ours");
        of_syncline(bench, &repository, &root, &["--depth=0"], &mut |step, act| life.push((step, act())));
        life
    };
    let theirs = || {
        let mut life = Life::new();
        if with_git {
            of_git(bench, &repository, &bench.fresh("theirs"), 0, &mut |step, act| {
                // All changes are alike, and each looks at all history several times.
                if !matches!(step, Step::FirstChange | Step::ColdChange) {
                    life.push((step, act()));
                }
            });
        }
        life
    };
    let lives = Rounds::take(bench.rounds, ours, theirs);
    for (step, case) in STEPS {
        let costs_of_step = lives.flat_map(|life| cost(life, step));
        costs(repository.label(), case, &costs_of_step);
        let bytes = costs_of_step.medians(|cost| cost.memory as f64).map(|bytes| bytes / objects as f64);
        row(repository.label(), case, "peak memory, bytes an object", plain, bytes);
    }
}

/// Of a step, where it was taken.
fn cost(life: &Life<Costs>, step: Step) -> Option<Cost> {
    let (until_flip, after) = of_step(life, step)?;
    match (step, of_step(life, Step::BeforeFold)) {
        // What this change did more than the one before it.
        (Step::Fold, Some((_, before))) => Some(Cost {
            wall: after.wall.saturating_sub(before.wall),
            cpu: after.cpu.saturating_sub(before.cpu),
            memory: after.memory,
        }),
        _ => Some(until_flip),
    }
}
