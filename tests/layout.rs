//! No test is forgotten: every file here is in a module, and what `tests/run` calls by name is there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::*;

fn base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests")
}

/// Every module's name, and the files one of which declares it.
fn modules() -> Vec<(String, Vec<PathBuf>)> {
    let base = base();
    let mut modules = Vec::new();
    walk(&base, &mut |path| {
        if path.extension() != Some("rs".as_ref()) || path == base.join("main.rs") {
            return;
        }
        // The module `name` is in `name.rs` or in `name/mod.rs`.
        let module = if path.ends_with("mod.rs") { path.parent().unwrap() } else { path };
        let above = module.parent().unwrap();
        let parents = if above == base {
            vec![base.join("main.rs")]
        } else {
            vec![above.join("mod.rs"), above.with_extension("rs")]
        };
        modules.push((module.file_stem().unwrap().to_str().unwrap().to_owned(), parents));
    });
    modules
}

#[test]
fn every_file_is_in_a_module() {
    let is_declared = |name: &str, file: &PathBuf| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().any(|line| line.trim_start_matches("pub ") == format!("mod {name};"))
    };
    let mut modules = modules();
    assert!(modules.len() > 70, "{modules:?}");
    modules.retain(|(name, parents)| !parents.iter().any(|file| is_declared(name, file)));
    assert!(modules.is_empty(), "in no module, with the files that should declare it: {modules:#?}");
}

/// Those that are in no list are in the lane `servers`.
#[test]
fn every_module_is_in_one_lane() {
    let script = fs::read_to_string(base().join("run")).unwrap();
    let list = |name: &str| -> Vec<&str> {
        let line = script.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("=("));
        line.unwrap().trim_end_matches(')').split_whitespace().collect()
    };
    let listed = [list("root_tests"), list("long_tests")].concat();
    let mut modules = modules();
    modules.retain(|(_, parents)| !parents[0].ends_with("support/mod.rs"));
    for name in listed {
        // Tests are chosen by a part of their path.
        let found: Vec<_> = modules.iter().filter(|(module, _)| module.ends_with(name)).collect();
        assert!(found.len() == 1 && found[0].0 == name, "{name}: {found:?}");
        assert_eq!(found[0].1, [base().join("main.rs")], "{name}");
    }
}
