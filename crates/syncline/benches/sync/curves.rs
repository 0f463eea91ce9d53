//! How costs grow with the number of files, and with the number of those that changed: a table, and charts.

use std::fs;
use std::path::Path;

use crate::FLOORS_OF_CHANGE;
use crate::cases::{Bench, Change, Changes};
use crate::chart::Chart;
use crate::measure::{Figures, Form, alone, header, mebibytes, milliseconds, row, seconds};
use crate::repositories::Repository;

/// A chart that grows while the table is printed.
struct Curve {
    chart: Chart,
    file: &'static str,
    form: Form,
    /// What the charted numbers are counted in.
    unit: f64,
}

impl Curve {
    fn seconds(file: &'static str, title: &'static str, x_axis: &'static str) -> Curve {
        Curve { chart: Chart::new(title, x_axis, "s"), file, form: seconds, unit: 1.0 }
    }

    fn milliseconds(file: &'static str, title: &'static str, x_axis: &'static str) -> Curve {
        Curve { chart: Chart::new(title, x_axis, "ms"), file, form: milliseconds, unit: 1e-3 }
    }

    fn mebibytes(file: &'static str, title: &'static str, x_axis: &'static str) -> Curve {
        Curve { chart: Chart::new(title, x_axis, "MiB"), file, form: mebibytes, unit: (1 << 20) as f64 }
    }

    /// Print a row, and go on with the lines of these names; one without a name is not charted.
    fn add(&mut self, at: (&str, usize), case: (&str, &str), lines: [&str; 3], values: Figures) {
        row(at.0, case.0, case.1, self.form, values);
        for (line, value) in lines.into_iter().zip(values) {
            if !line.is_empty() {
                self.chart.add(line, at.1 as f64, value / self.unit);
            }
        }
    }
}

const BOTH: [&str; 3] = ["syncline", "git", ""];
const ALL: [&str; 3] = ["syncline", "git", "floor"];

pub fn print(bench: &Bench, quick: bool, dir: &Path) {
    header();
    let mut by_files = ByFiles {
        first: Curve::seconds("first-sync", "First sync", "files"),
        memory: Curve::mebibytes(
            "memory",
            "Memory: peak of a first sync and of a change, and afterwards",
            "files",
        ),
        poll: Curve::milliseconds("poll", "CPU of a poll that finds nothing new", "files"),
        change: Curve::seconds("change", "One changed file, until the link shows it", "files"),
    };
    for files in if quick { [100, 300, 1_000, 3_000] } else { [1_000, 10_000, 100_000, 1_000_000] } {
        // A round of a million files takes a quarter of an hour.
        let rounds = if files < 1_000_000 { bench.rounds } else { 1 };
        by_files.measure(&Bench { rounds, ..*bench }, files);
    }
    let repository = Repository::files(bench.base, if quick { 500 } else { 60_000 });
    let changed = by_changes(bench, &repository);
    let ByFiles { first, memory, poll, change } = by_files;
    for curve in [first, memory, poll, change, changed] {
        fs::write(dir.join(format!("performance-{}.svg", curve.file)), curve.chart.svg()).unwrap();
    }
}

/// What grows with the number of files.
struct ByFiles {
    first: Curve,
    memory: Curve,
    poll: Curve,
    change: Curve,
}

impl ByFiles {
    fn measure(&mut self, bench: &Bench, files: usize) {
        let repository = Repository::files(bench.base, files);
        let at = (repository.label(), files);
        let costs = bench.first_sync(&repository, 1);
        let case = "first sync";
        self.first.add(at, (case, "wall"), ALL, costs.medians(|cost| cost.wall.as_secs_f64()));
        let floor = alone(bench.reading(&repository, 1));
        self.first.add(at, (case, "wall of only reading the pack"), ["reading the pack", "", ""], floor);
        self.memory.add(at, (case, "peak memory"), BOTH, costs.medians(|cost| cost.memory as f64));

        let polls = bench.poll(&repository);
        self.poll.add(at, ("poll", "CPU"), BOTH, polls.medians(|poll| poll.cpu.as_secs_f64()));

        let lives = bench.changes(&repository, &[1, 1, 1]);
        let of = |number: usize, measure: fn(&Change) -> f64| {
            lives.medians(|life: &Changes| measure(&life.changes[number]))
        };
        let wall = |change: &Change| change.until_flip.wall.as_secs_f64();
        let [first, again] = ["one changed file, first", "one changed file, again"];
        self.change.add(at, (first, "until the flip"), ["syncline, first", "git", ""], of(0, wall));
        self.change.add(at, (again, "until the flip"), ["syncline, again", "", "floor"], of(2, wall));
        for (floor, measure) in bench.floors_of_change(&repository).into_iter().zip(FLOORS_OF_CHANGE) {
            let line = measure.split(' ').nth(3).unwrap_or_default(); // linking, looking
            self.change.add(at, ("one changed file", measure), [line, "", ""], alone(floor));
        }
        let peak = of(2, |change| change.until_flip.memory as f64);
        self.memory.add(at, (again, "peak memory"), ["syncline, change", "", ""], peak);
        let resident = of(2, |change| change.resident);
        self.memory.add(at, (again, "resident after"), ["syncline, afterwards", "", ""], resident);
    }
}

/// What grows with the number of files that changed.
fn by_changes(bench: &Bench, repository: &Repository) -> Curve {
    let mut curve =
        Curve::seconds("changed-files", "Changed files, until the link shows them", "changed files");
    for files in [1, 10, 100] {
        let lives = bench.changes(repository, &[1, 1, files]);
        let walls = lives.medians(|life| life.changes[2].until_flip.wall.as_secs_f64());
        let case = format!("{files} changed, again");
        curve.add((repository.label(), files), (&case, "until the flip"), BOTH, walls);
    }
    curve
}
