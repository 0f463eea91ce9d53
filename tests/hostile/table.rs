//! The table of attacks is true.

use std::fs;
use std::path::Path;

use crate::support::*;

#[test]
fn the_tests_that_the_table_names_exist() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let table = fs::read_to_string(base.join("docs/hostile-input.md")).unwrap();
    let mut code = String::new();
    for dir in ["tests", "crates"] {
        walk(&base.join(dir), &mut |path| {
            if path.extension() == Some("rs".as_ref()) {
                code += &fs::read_to_string(path).unwrap();
            }
        });
    }
    let rows = table.lines().filter(|line| line.starts_with("| S"));
    let mut numbers = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [number, _, _, proof] = cells[..] else { panic!("{row}") };
        numbers.push(number.trim_start_matches("| S").parse::<usize>().unwrap());
        let names: Vec<&str> = proof.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty() || proof.contains("does not apply"), "{row}");
        for name in names {
            assert!(code.contains(&format!("fn {name}()")), "{row}: no test {name}");
        }
    }
    assert_eq!(numbers, (1..=93).collect::<Vec<_>>());
}
