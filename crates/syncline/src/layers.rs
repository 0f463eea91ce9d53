//! A test that keeps the modules in layers: each may use those below it, so there are no cycles.

use std::path::Path;

/// The lowest layer comes first.
const LAYERS: [&[&str]; 11] = [
    &["cgroup", "clock", "processes", "schedule"],
    &["environment", "status", "touch_and_error_files"],
    &["options", "systemd", "worker"],
    &["args"],
    &["reader", "manual", "healthcheck"],
    &["hooks", "login"],
    &["config"],
    &["log", "publish", "serve"],
    &["run"],
    &["startup"],
    &["app"],
];

fn layer(module: &str) -> usize {
    let layer = LAYERS.iter().position(|layer| layer.contains(&module));
    layer.unwrap_or_else(|| panic!("{module} is in no layer"))
}

/// The modules that a file uses, outside its tests.
fn used(path: &Path) -> Vec<String> {
    let text = fs_err::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let name =
        |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').next().map(ToOwned::to_owned);
    let mut used = Vec::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{').and_then(|list| list.split_once('}')) {
            Some((list, _)) => used.extend(list.split(',').filter_map(|item| name(item.trim()))),
            None => used.extend(name(rest)),
        }
    }
    used.retain(|module| !module.is_empty());
    used
}

fn check(module: &str, path: &Path) {
    if path.is_dir() {
        for entry in fs_err::read_dir(path).unwrap() {
            check(module, &entry.unwrap().path());
        }
    } else if path.file_name().is_some_and(|name| name != "tests.rs") {
        for other in used(path).iter().filter(|other| *other != module) {
            assert!(layer(other) < layer(module), "{}: {module} uses {other}", path.display());
        }
    }
}

#[test]
fn modules_use_only_those_of_lower_layers() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs_err::read_dir(&src).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap();
        if !["lib", "main", "fuzzing", "layers"].contains(&module) {
            check(module, &path);
        }
    }
}
