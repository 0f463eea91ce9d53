//! The file in the tree of a lead that says which commit of each other member belongs to it.

use std::collections::BTreeMap;
use std::path::Path;

use sync_core::{CommitId, LARGEST_FILE, read_bounded_text};

use crate::config::many::yaml::{self, Fault, Key, Node, Value};

/// Commits by the names of members.
pub type Pins = BTreeMap<String, CommitId>;

/// The commits that the file pins, by the names of members.
///
/// The file comes from a repository: it must lie in the tree, and errors do not quote it.
pub fn read(tree: &Path, file: &Path) -> Result<Pins, String> {
    let path = fs_err::canonicalize(tree.join(file)).map_err(|err| err.to_string())?;
    let tree = fs_err::canonicalize(tree).map_err(|err| err.to_string())?;
    if !path.starts_with(&tree) {
        return Err(format!("{} is a link that leads out of the tree", file.display()));
    }
    let text = read_bounded_text(&path, LARGEST_FILE).map_err(|err| err.to_string())?;
    parse(&text).map_err(|Fault { line, text }| format!("{}:{line}: {text}", file.display()))
}

fn parse(text: &str) -> Result<Pins, Fault> {
    let (root, faults) = yaml::parse(text);
    if let Some(fault) = faults.into_iter().find(|fault| fault.text != yaml::EMPTY) {
        return Err(fault);
    }
    let Some(Node { value: Value::Map(entries), .. }) = root else {
        return Err(Fault { line: 1, text: "must be lines NAME: COMMIT".into() });
    };
    let commit = |node: &Node| match &node.value {
        Value::Text(commit) => commit.parse().ok(),
        _ => None,
    };
    let pin = |(name, node): (Key, Node)| {
        let fault = || Fault {
            line: node.line,
            text: format!("{}: must be a full commit id", yaml::shown(&name.text)),
        };
        commit(&node).map(|commit| (name.text.clone(), commit)).ok_or_else(fault)
    };
    entries.into_iter().map(pin).collect()
}

/// Check that all of these members are pinned.
pub fn check(pins: &Pins, members: impl Iterator<Item = String>, file: &Path) -> Result<(), String> {
    let missing: Vec<String> = members.filter(|name| !pins.contains_key(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("{}: no commit for {}", file.display(), missing.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn a_pin_is_a_full_commit_id() {
        let pins = parse(&format!("dags: {ID}\n# a comment\n\"docs\": '{ID}'\n")).unwrap();
        assert_eq!(
            pins.into_iter().collect::<Vec<_>>(),
            ["dags", "docs"].map(|name| (name.into(), ID.parse().unwrap()))
        );
        for (text, line) in [
            ("dags: main", 1),
            ("\ndags: 0123456", 2),
            ("dags:", 1),
            ("- dags", 1),
            ("", 1),
            ("dags: [x]", 1),
            ("dags: &a x\nsite: *a", 1),
        ] {
            assert_eq!(parse(text).unwrap_err().line, line, "{text:?}");
        }
    }

    #[test]
    fn the_file_lies_in_the_tree_and_names_all_members() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, file) = (dir.path().join("tree"), Path::new("pins.yaml"));
        fs_err::create_dir(&tree).unwrap();
        fs_err::write(dir.path().join("outside"), format!("dags: {ID}")).unwrap();
        std::os::unix::fs::symlink("../outside", tree.join(file)).unwrap();
        assert_eq!(read(&tree, file).unwrap_err(), "pins.yaml is a link that leads out of the tree");
        fs_err::remove_file(tree.join(file)).unwrap();
        fs_err::write(tree.join(file), format!("dags: {ID}\nothers: {ID}\n")).unwrap();
        let pins = read(&tree, file).unwrap();
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>().into_iter();
        assert_eq!(check(&pins, names(&["dags"]), file), Ok(()));
        assert_eq!(
            check(&pins, names(&["dags", "docs", "site"]), file),
            Err("pins.yaml: no commit for docs, site".into())
        );
    }
}
