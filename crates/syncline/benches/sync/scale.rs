//! A million files: what each step costs, and whether a selection costs what it selects.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::cases::Bench;
use crate::measure::{Cost, Rounds, alone, costs, header, mebibytes, row, run, seconds};
use crate::repositories::Repository;
use crate::support::isolated_git;

pub fn print(bench: &Bench, files: usize) {
    header();
    let repository = Repository::small_files(bench.base, files);
    let label = repository.label();
    costs(label, "first sync", &bench.first_sync(&repository, 1));
    costs(label, "restart, nothing new", &bench.restart(&repository));
    let lives = bench.changes(&repository, &[1, 1, 1]);
    for (case, number) in [("one changed file, first", 0), ("one changed file, again", 2)] {
        let of = |measure: fn(&Cost) -> f64| lives.medians(|life| measure(&life.changes[number].until_flip));
        row(label, case, "wall", seconds, of(|cost| cost.wall.as_secs_f64()));
        row(label, case, "CPU", seconds, of(|cost| cost.cpu.as_secs_f64()));
        row(label, case, "peak memory", mebibytes, alone(of(|cost| cost.memory as f64)[0]));
    }
    costs(label, "repack 41 packs", &bench.repack(&repository));
    // The files of three directories.
    costs(label, "first sync of 1 in 1000", &selection(bench, &repository, 0));
    costs(label, "change of 1 in 1000", &selection(bench, &repository, 1));
}

/// The first sync of some directories, or what follows after so many changes. The peer is a sparse partial clone.
fn selection(bench: &Bench, repository: &Repository, changes: usize) -> Rounds<Cost> {
    const DIRS: [&str; 3] = ["dir0/sub0", "dir1/sub1", "dir2/sub2"];
    let changed = || (0..changes).for_each(|_| repository.publish(&repository.prepare_change(1)));
    let ours = || {
        let root = bench.fresh("ours");
        let again = || {
            let mut syncline = bench.syncline(repository, &root);
            run(syncline
                .arg(format!("--sparse-dirs={}", DIRS.join(",")))
                .args(["--filter=blob:none", "--one-time"]))
        };
        let first = again();
        changed();
        if changes > 0 { again() } else { first }
    };
    let theirs = || {
        let tree = bench.fresh("theirs");
        fs::create_dir_all(tree.parent().unwrap()).unwrap();
        let url = bench.url(repository);
        let clone = ["clone", "--quiet", "--depth=1", "--filter=blob:none", "--sparse", &url];
        let first = run(isolated_git().args(clone).arg(&tree))
            .plus(run(in_tree(&tree).args(["sparse-checkout", "set"]).args(DIRS)));
        changed();
        if changes == 0 {
            return first;
        }
        run(in_tree(&tree).args(["fetch", "--quiet", "--depth=1"])).plus(run(in_tree(&tree).args([
            "reset",
            "--quiet",
            "--hard",
            "FETCH_HEAD",
        ])))
    };
    Rounds::take(bench.rounds, ours, theirs)
}

fn in_tree(tree: &PathBuf) -> Command {
    let mut command = isolated_git();
    command.arg("-C").arg(tree);
    command
}
