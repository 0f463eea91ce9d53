//! The life of a root, step by step, for cases that measure something else of each step, or whose repositories are too
//! large to begin anew for each.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::cases::Bench;
use crate::measure::{Cost, run, wait_until};
use crate::peer::GitSync;
use crate::repositories::Repository;

/// What happens to a root, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    FirstSync,
    /// A process that finds all as it should be; git-sync's poll.
    Restart,
    Poll,
    /// A changed file, when no tree was replaced yet.
    FirstChange,
    /// A changed file, when a replaced tree is there.
    Change,
    /// The same. Whoever measures may empty the page cache before.
    ColdChange,
    /// A change that is as the next one, but for the fold.
    BeforeFold,
    /// The packs of all changes become one, with that of the first sync if the depth is limited.
    Fold,
}

/// What a step cost until the link showed it, and what followed.
pub type Costs = (Cost, Cost);

/// What was measured of each step that was taken.
pub type Life<T> = Vec<(Step, T)>;

/// Of a step, where it was taken.
pub fn of_step<T: Copy>(life: &Life<T>, step: Step) -> Option<T> {
    life.iter().find(|(taken, _)| *taken == step).map(|(_, measured)| *measured)
}

/// Measures a step: it gets each, and does it.
pub type Measure<'a> = dyn FnMut(Step, &mut dyn FnMut() -> Costs) + 'a;

/// So many changes in one process are folded.
const CHANGES: usize = 40;

pub fn of_syncline(
    bench: &Bench,
    repository: &Repository,
    root: &Path,
    options: &[&str],
    measure: &mut Measure,
) {
    // A fold of millions of objects takes longer than a sync may, unless told otherwise.
    let options = &*[options, &["--sync-timeout=4h"]].concat();
    let mut once =
        || (run(bench.syncline(repository, root).arg("--one-time").args(options)), Cost::default());
    measure(Step::FirstSync, &mut once);
    measure(Step::Restart, &mut once);
    // Nothing is to happen of itself, however long this takes.
    let options = [options, &["--worktree-check-period=0"]].concat();
    let running = bench.running_in(repository, root, "24h", &options);
    let process = &running.process;
    process.settle();
    measure(Step::Poll, &mut || {
        process.wake();
        (process.settle(), Cost::default())
    });
    let mut change = || {
        let change = bench.change(repository, &running, 1);
        (change.until_flip, Cost { memory: process.peak(), ..change.after })
    };
    measure(Step::FirstChange, &mut change);
    measure(Step::Change, &mut change);
    measure(Step::ColdChange, &mut change);
    for _ in 3..CHANGES - 2 {
        change();
    }
    measure(Step::BeforeFold, &mut change);
    measure(Step::Fold, &mut || {
        let (until_flip, after) = change();
        let (started, cpu) = (Instant::now(), process.cpu());
        // With all history, the large pack stays beside that of the changes.
        wait_until(|| packs(root) <= 2);
        let folding = Cost { wall: started.elapsed(), cpu: process.cpu() - cpu, memory: process.peak() };
        (until_flip, after.plus(folding))
    });
}

fn packs(root: &Path) -> usize {
    let entries = fs::read_dir(root.join(".git/objects/pack")).unwrap().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|kind| kind == "pack")).count()
}

/// git-sync folds at every change, and all that comes with a change is measured. Here a fold is a `git gc` alone.
pub fn of_git(bench: &Bench, repository: &Repository, root: &Path, depth: u32, measure: &mut Measure) {
    let mut peer = GitSync::new(root.to_owned(), bench.url(repository), depth);
    measure(Step::FirstSync, &mut || (peer.first_sync(), Cost::default()));
    measure(Step::Restart, &mut || (peer.poll(), Cost::default()));
    for step in [Step::FirstChange, Step::Change, Step::ColdChange] {
        repository.publish(&repository.prepare_change(1));
        measure(step, &mut || peer.change());
    }
    for _ in 3..CHANGES {
        repository.publish(&repository.prepare_change(1));
        peer.only_fetch();
    }
    measure(Step::Fold, &mut || (peer.gc(), Cost::default()));
}

/// It changes its tree in place, and folds nothing.
pub fn of_floor(bench: &Bench, repository: &Repository, root: &Path, measure: &mut Measure) {
    measure(Step::FirstSync, &mut || (bench.floor(repository, root, None), Cost::default()));
    for step in [Step::Change, Step::ColdChange] {
        let last = repository.head();
        repository.publish(&repository.prepare_change(1));
        measure(step, &mut || (bench.floor(repository, root, Some(&last)), Cost::default()));
    }
}
