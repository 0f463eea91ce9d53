//! What SECURITY.md says of tests and of advisories.

use std::path::Path;

const POLICY: &str = include_str!("../SECURITY.md");

fn sources(dir: &Path, text: &mut String) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_test_that_the_policy_names_exists() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut text = String::new();
    sources(&top.join("crates"), &mut text);
    sources(&top.join("tests"), &mut text);
    let is_test = |word: &&str| word.matches('_').count() > 2 && !word.contains(' ');
    let named: Vec<&str> = POLICY.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(named.len() > 25, "{named:?}");
    for name in named {
        assert!(
            text.contains(&format!("#[test]\nfn {name}()"))
                || text.contains(&format!("#[test]\n    fn {name}()")),
            "{name}"
        );
    }
}

/// In the form that cargo-deny heeds: it passes over others without a word.
#[test]
fn every_floor_of_the_policy_is_enforced() {
    let bans = include_str!("../deny.toml");
    let rows = POLICY.lines().filter(|line| line.starts_with("| GHSA-") || line.starts_with("| RUSTSEC-"));
    let mut floors = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        for advisory in
            cells[0].split(", ").filter_map(|text| text.split(' ').next()).filter(|word| word.contains('-'))
        {
            assert!(bans.contains(advisory), "{advisory}");
        }
        for (name, version) in cells[2].split(", ").filter_map(|floor| floor.split_once(' ')) {
            let ban = bans.lines().find(|line| line.contains(&format!("\"{name}:<"))).expect(name);
            let banned = ban.split(":<").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
            let number = |text: &str| text.split('.').map(|part| part.parse().unwrap()).collect::<Vec<u32>>();
            assert!(number(banned) >= number(version), "{name} {version}");
            floors += 1;
        }
    }
    assert!(floors > 9);
}
