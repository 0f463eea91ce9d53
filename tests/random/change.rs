//! Random changes of a tree.

use std::rc::Rc;

use fastrand::Rng;

use super::material::{attributes, content, lfs_attributes, path, pieces, target};
use super::tree::{Node, Tree};

/// A commit that a tree may pin, and the name of the repository that has it.
pub type Pin = (String, &'static str);

/// What trees may refer to.
#[derive(Clone, Default)]
pub struct Sources {
    pub pins: Vec<Pin>,
    /// Pointers to objects of Git LFS that every repository has.
    pub pointers: Vec<Rc<[u8]>>,
}

/// More paths than this make a step slow.
const MANY: usize = 120;

/// Change a tree in one way; what was done.
pub fn change(rng: &mut Rng, tree: &mut Tree, sources: &Sources) -> String {
    let is_of_lfs = !sources.pointers.is_empty() && rng.u8(..3) == 0;
    let change = match rng.u32(..100) {
        _ if tree.len() > MANY => remove_directory(rng, tree),
        _ if is_of_lfs => lfs(rng, tree, &sources.pointers),
        0..15 => add(rng, tree),
        15..40 => edit(rng, tree),
        40..46 => with_any(rng, tree, "remove", |_, tree, path| {
            tree.take(path);
        }),
        46..50 => remove_directory(rng, tree),
        50..55 => toggle(rng, tree),
        55..60 => rename(rng, tree),
        60..65 => rename_directory(rng, tree),
        65..68 => copy(rng, tree),
        68..74 => link(rng, tree),
        74..78 => with_any(rng, tree, "make a directory of", |rng, tree, path| {
            let inside = [path, b"/inside.txt"].concat();
            tree.put(inside, Node::file(content(rng)));
        }),
        78..90 => write_attributes(rng, tree),
        90..98 => module(rng, tree, &sources.pins),
        98 => many(rng, tree),
        _ => {
            *tree = Tree::default();
            "remove everything".into()
        }
    };
    tree.map_modules();
    change
}

fn add(rng: &mut Rng, tree: &mut Tree) -> String {
    let path = path(rng);
    tree.put(path.clone(), Node::File { content: content(rng).into(), executable: rng.u8(..4) == 0 });
    format!("write {}", path.escape_ascii())
}

fn edit(rng: &mut Rng, tree: &mut Tree) -> String {
    with_any(rng, tree, "edit", |rng, tree, path| match tree.get_mut(path) {
        // Another digit would name an object that nobody has.
        Some(Node::File { content: old, .. }) if old.starts_with(b"version ") => *old = content(rng).into(),
        Some(Node::File { content: old, .. }) => {
            let mut new = old.to_vec();
            match rng.u8(..5) {
                0 => new.extend(pieces(rng)),
                1 => new.truncate(rng.usize(..=old.len())),
                2 if !new.is_empty() => {
                    let at = rng.usize(..new.len());
                    new[at] = rng.u8(..);
                }
                3 => new = String::from_utf8_lossy(old).replace('\n', "\r\n").into_bytes(),
                _ => new = content(rng),
            }
            *old = new.into();
        }
        Some(Node::Link(old)) => *old = target(rng).into(),
        _ => {}
    })
}

/// A file of Git LFS comes, goes or changes, or what says which files those are.
fn lfs(rng: &mut Rng, tree: &mut Tree, pointers: &[Rc<[u8]>]) -> String {
    let pointer = pointers[rng.usize(..pointers.len())].clone();
    match rng.u8(..10) {
        0..4 => {
            let mut path = path(rng);
            if path.rsplit(|byte| *byte == b'/').next().unwrap().len() <= 250 {
                path.extend_from_slice(b".lfs");
            }
            tree.put(path.clone(), Node::File { content: pointer, executable: rng.u8(..4) == 0 });
            format!("write the pointer {}", path.escape_ascii())
        }
        4..7 => with_any(rng, tree, "make a pointer of", |_, tree, path| {
            if let Some(Node::File { content, .. }) = tree.get_mut(path) {
                *content = pointer;
            }
        }),
        7 => with_any(rng, tree, "write oddly", |rng, tree, path| {
            if let Some(Node::File { content, .. }) = tree.get_mut(path) {
                let text = String::from_utf8_lossy(&pointer);
                let odd = match rng.u8(..5) {
                    0 => text.replace('\n', "\r\n"),
                    1 => text.to_uppercase(),
                    2 => format!("{text}more\n"),
                    3 => format!("\n {text}\n\n"),
                    _ => text.trim_end().to_owned(),
                };
                *content = odd.into_bytes().into();
            }
        }),
        _ => {
            let directories = tree.directories();
            let path = match directories.len() {
                1.. if rng.bool() => {
                    [&directories[rng.usize(..directories.len())][..], b"/.gitattributes"].concat()
                }
                _ => b".gitattributes".to_vec(),
            };
            tree.put(path.clone(), Node::file(lfs_attributes(rng)));
            format!("write {}", path.escape_ascii())
        }
    }
}

fn toggle(rng: &mut Rng, tree: &mut Tree) -> String {
    with_any(rng, tree, "toggle the mode of", |_, tree, path| {
        if let Some(Node::File { executable, .. }) = tree.get_mut(path) {
            *executable = !*executable;
        }
    })
}

fn rename(rng: &mut Rng, tree: &mut Tree) -> String {
    with_any(rng, tree, "rename", |rng, tree, from| {
        let to = path(rng);
        for (_, node) in tree.take(from) {
            tree.put(to.clone(), node);
        }
    })
}

fn copy(rng: &mut Rng, tree: &mut Tree) -> String {
    with_any(rng, tree, "copy", |rng, tree, from| {
        let node = tree.get(from).unwrap().clone();
        tree.put(path(rng), node);
    })
}

fn link(rng: &mut Rng, tree: &mut Tree) -> String {
    let link = Node::Link(target(rng).into());
    match rng.u8(..3) {
        0 => with_any(rng, tree, "make a link of", |_, tree, path| tree.put(path.to_vec(), link)),
        1 => with_directory(rng, tree, "make a link of", |_, tree, path| tree.put(path.to_vec(), link)),
        _ => {
            let path = path(rng);
            tree.put(path.clone(), link);
            format!("link {}", path.escape_ascii())
        }
    }
}

/// Where attributes are, and where they cannot be: below a link or as one.
fn write_attributes(rng: &mut Rng, tree: &mut Tree) -> String {
    let is_set: Vec<Vec<u8>> =
        tree.iter().map(|(path, _)| path.clone()).filter(|path| path.ends_with(b".gitattributes")).collect();
    let directories = tree.directories();
    let path = match rng.u8(..10) {
        0..3 if !is_set.is_empty() => is_set[rng.usize(..is_set.len())].clone(),
        3..7 if !directories.is_empty() => {
            [&directories[rng.usize(..directories.len())][..], b"/.gitattributes"].concat()
        }
        _ => b".gitattributes".to_vec(),
    };
    match rng.u8(..12) {
        0..2 => {
            tree.take(&path);
            return format!("remove {}", path.escape_ascii());
        }
        2 => tree.put(path.clone(), Node::Link(target(rng).into())),
        _ => tree.put(path.clone(), Node::file(attributes(rng))),
    }
    format!("write {}", path.escape_ascii())
}

fn module(rng: &mut Rng, tree: &mut Tree, pins: &[Pin]) -> String {
    if pins.is_empty() {
        return add(rng, tree);
    }
    let modules: Vec<Vec<u8>> = tree
        .iter()
        .filter(|(_, node)| matches!(node, Node::Module { .. }))
        .map(|(path, _)| path.clone())
        .collect();
    let path = match modules.len() {
        0 => path(rng),
        1..4 if rng.bool() => path(rng),
        count => modules[rng.usize(..count)].clone(),
    };
    let (commit, name) = pins[rng.usize(..pins.len())].clone();
    let repository = (rng.u8(..6) > 0).then_some(name);
    match rng.u8(..6) {
        0 => drop(tree.take(&path)),
        1 => tree.put(path.clone(), Node::file(content(rng))),
        _ => tree.put(path.clone(), Node::Module { commit, repository }),
    }
    format!("module {}", path.escape_ascii())
}

/// More files than one thread takes.
fn many(rng: &mut Rng, tree: &mut Tree) -> String {
    let directory = path(rng);
    for number in 0..80 {
        let path = [&directory[..], format!("/{number}.txt").as_bytes()].concat();
        tree.put(path, Node::file(pieces(rng)));
    }
    format!("fill {}", directory.escape_ascii())
}

fn remove_directory(rng: &mut Rng, tree: &mut Tree) -> String {
    with_directory(rng, tree, "remove", |_, tree, path| {
        tree.take(path);
    })
}

fn rename_directory(rng: &mut Rng, tree: &mut Tree) -> String {
    with_directory(rng, tree, "rename", |rng, tree, from| {
        let to = path(rng);
        let moved = tree.take(from);
        tree.take(&to);
        for (rest, node) in moved {
            tree.put([to.clone(), rest].concat(), node);
        }
    })
}

fn with_any(
    rng: &mut Rng,
    tree: &mut Tree,
    verb: &str,
    change: impl FnOnce(&mut Rng, &mut Tree, &[u8]),
) -> String {
    let paths: Vec<Vec<u8>> = tree.iter().map(|(path, _)| path.clone()).collect();
    with(rng, tree, verb, paths, change)
}

fn with_directory(
    rng: &mut Rng,
    tree: &mut Tree,
    verb: &str,
    change: impl FnOnce(&mut Rng, &mut Tree, &[u8]),
) -> String {
    let directories = tree.directories();
    with(rng, tree, verb, directories, change)
}

fn with(
    rng: &mut Rng,
    tree: &mut Tree,
    verb: &str,
    among: Vec<Vec<u8>>,
    change: impl FnOnce(&mut Rng, &mut Tree, &[u8]),
) -> String {
    if among.is_empty() {
        return add(rng, tree);
    }
    let path = &among[rng.usize(..among.len())];
    change(rng, tree, path);
    format!("{verb} {}", path.escape_ascii())
}
