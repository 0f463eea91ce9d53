//! The layers of sync-core, as ARCHITECTURE.md draws them, against the `use` lines of the code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A module, by its names from the crate's root.
type Module = Vec<String>;

/// A file of a crate: its module, and the paths that its `use` lines name.
struct File {
    module: Module,
    uses: Vec<Module>,
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The Rust files below a directory, without those that hold only tests.
fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(dir).expect("a directory");
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.expect("a directory entry").path()) {
        if path.is_dir() && !path.ends_with("tests") {
            files.extend(rust_files(&path));
        } else if path.extension() == Some("rs".as_ref()) && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
    files
}

fn module_of(path: &Path) -> Module {
    let path = path.with_extension("");
    let names = path.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
    names.filter(|name| !["mod", "lib", "main"].contains(&name.as_str())).collect()
}

/// `a::{b, c::{d}}` as `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let Some((prefix, inside)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap_or(tree).trim().to_owned()];
    };
    let inside = inside.rsplit_once('}').map_or(inside, |(inside, _)| inside);
    let (mut depth, mut parts) = (0_i32, vec![String::new()]);
    for c in inside.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match c {
            ',' if depth == 0 => parts.push(String::new()),
            c => parts.last_mut().expect("never empty").push(c),
        }
    }
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts.flat_map(|part| expand(part).into_iter().map(|part| format!("{}{part}", prefix.trim()))).collect()
}

/// The paths of this crate that a file uses, from the crate's root. Tests may use anything.
fn uses(module: &Module, is_directory: bool, text: &str) -> Vec<Module> {
    let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text);
    let lines =
        code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let imports = lines.split("use ").skip(1).filter_map(|rest| rest.split_once(';')).map(|(tree, _)| tree);
    let mut paths: Vec<String> = imports.flat_map(expand).collect();
    // Paths that are written out, such as `crate::url::port(..)`.
    for place in ["crate::", "super::"] {
        let rest = lines.split(place).skip(1);
        let name = |rest: &str| {
            rest.chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect::<String>()
        };
        paths.extend(rest.map(name).filter(|name| !name.is_empty()).map(|name| format!("{place}{name}")));
    }
    paths.iter().filter_map(|path| resolve(module, is_directory, path)).collect()
}

fn resolve(module: &Module, is_directory: bool, path: &str) -> Option<Module> {
    let mut parts: Vec<String> = path.split("::").map(ToOwned::to_owned).collect();
    let mut from = match parts.first()?.as_str() {
        "crate" => Vec::new(),
        "super" => module[..module.len().checked_sub(1)?].to_vec(),
        // In a module with files of its own, their names need no `self`.
        _ if is_directory => [module.as_slice(), &parts[..1]].concat(),
        _ => return None,
    };
    parts.remove(0);
    from.extend(parts);
    Some(from)
}

fn read(src: &Path) -> Vec<File> {
    let all = rust_files(src);
    let read = all.iter().map(|path| {
        let text = fs_err::read_to_string(path).expect("a file");
        let module = module_of(path.strip_prefix(src).expect("below it"));
        let uses = uses(&module, path.ends_with("mod.rs"), &text);
        File { module, uses }
    });
    read.filter(|file| file.module != ["fuzzing"]).collect()
}

/// The module that a path leads to: the longest beginning that is one.
fn target(modules: &BTreeSet<Module>, path: &Module) -> Option<Module> {
    (1..=path.len()).rev().map(|length| path[..length].to_vec()).find(|path| modules.contains(path))
}

/// The layers, from the top; what is on one line does not know each other.
fn layers() -> Vec<BTreeSet<String>> {
    let text = fs_err::read_to_string(project().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let block = text
        .split("```layers\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("a block of layers");
    let names = |line: &str| {
        line.split("  ").next().unwrap_or_default().split_whitespace().map(ToOwned::to_owned).collect()
    };
    block.lines().map(names).collect()
}

/// A way round in a graph, if there is one.
fn cycle(edges: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    edges.keys().find_map(|start| walk(start, edges, &mut Vec::new(), &mut done))
}

fn walk(
    at: &String,
    edges: &BTreeMap<String, BTreeSet<String>>,
    way: &mut Vec<String>,
    done: &mut BTreeSet<String>,
) -> Option<Vec<String>> {
    if let Some(start) = way.iter().position(|name| name == at) {
        return Some(way[start..].to_vec());
    }
    if !done.insert(at.clone()) {
        return None;
    }
    way.push(at.clone());
    let found = edges.get(at).into_iter().flatten().find_map(|next| walk(next, edges, way, done));
    way.pop();
    found
}

#[test]
fn modules_use_only_layers_below_them() {
    let files = read(&project().join("crates/sync-core/src"));
    let layers = layers();
    let layer = |name: &String| layers.iter().position(|layer| layer.contains(name));
    let mut faults = BTreeSet::new();
    for file in files.iter().filter(|file| !file.module.is_empty()) {
        let own = &file.module[0];
        let Some(at) = layer(own) else { panic!("{own} is in no layer of ARCHITECTURE.md") };
        for path in file.uses.iter().filter(|path| path.first() != Some(own)) {
            match path.first().map(|name| (name, layer(name))) {
                Some((_, Some(below))) if below > at => {}
                Some((name, Some(_))) => _ = faults.insert(format!("{} uses {name}", file.module.join("::"))),
                // Names that lib.rs gives to users: inside, the defining module is named.
                _ => {
                    _ = faults.insert(format!(
                        "{} imports {} from the root",
                        file.module.join("::"),
                        path.join("::")
                    ))
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    let there: BTreeSet<&String> = files.iter().filter_map(|file| file.module.first()).collect();
    let drawn: BTreeSet<&String> = layers.iter().flatten().collect();
    assert_eq!(there, drawn, "ARCHITECTURE.md draws other modules than there are");
}

#[test]
fn files_beside_each_other_form_no_cycle() {
    let mut cycles = Vec::new();
    for name in ["sync-core", "sync-relay", "syncline"] {
        let files = read(&project().join("crates").join(name).join("src"));
        let modules: BTreeSet<Module> = files.iter().map(|file| file.module.clone()).collect();
        let mut graphs: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for file in &files {
            for target in file.uses.iter().filter_map(|path| target(&modules, path)) {
                // The first names in which they differ are beside each other. A module and its own files may know each
                // other: methods of one type are spread over them.
                let shared = file.module.iter().zip(&target).take_while(|(a, b)| a == b).count();
                if let (Some(from), Some(to)) = (file.module.get(shared), target.get(shared)) {
                    let graph = graphs.entry(target[..shared].to_vec()).or_default();
                    graph.entry(from.clone()).or_default().insert(to.clone());
                }
            }
        }
        let found = graphs.iter().filter_map(|(place, graph)| Some((place.join("::"), cycle(graph)?)));
        cycles.extend(found.map(|(place, cycle)| format!("{name} {place}: {}", cycle.join(" -> "))));
    }
    assert!(cycles.is_empty(), "{cycles:#?}");
}

#[test]
fn the_code_map_names_every_file() {
    let text = fs_err::read_to_string(project().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    for name in ["sync-core", "sync-relay", "syncline"] {
        let start = format!("### `crates/{name}`");
        let map = text.split(&start).nth(1).and_then(|rest| rest.split("\n### ").next());
        let map = map.unwrap_or_else(|| panic!("ARCHITECTURE.md has no part {start:?}"));
        let named: BTreeSet<&str> = map.split('`').skip(1).step_by(2).collect();
        let files = read(&project().join("crates").join(name).join("src"));
        let mut missing = BTreeSet::new();
        for module in files.iter().map(|file| &file.module).filter(|module| !module.is_empty()) {
            let is_directory =
                files.iter().any(|file| file.module.len() > module.len() && file.module.starts_with(module));
            let shown = format!("{}{}", module[module.len() - 1], if is_directory { "/" } else { "" });
            let path = format!("{}{}", module.join("/"), if is_directory { "/" } else { "" });
            if !named.contains(shown.as_str()) && !named.contains(path.as_str()) {
                missing.insert(path);
            }
        }
        assert!(missing.is_empty(), "{name}: not in the map: {missing:?}");
        let known: BTreeSet<String> = files.iter().flat_map(|file| file.module.iter().cloned()).collect();
        let gone: Vec<_> = named
            .iter()
            .filter(|name| name.ends_with('/') && !name.contains(' '))
            .filter(|name| name.trim_end_matches('/').split('/').any(|part| !known.contains(part)))
            .collect();
        assert!(gone.is_empty(), "{name}: in the map, and not there: {gone:?}");
    }
}
