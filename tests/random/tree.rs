//! A tree as it is to be committed.

use std::collections::BTreeMap;
use std::rc::Rc;

/// What is at a path.
#[derive(Clone, PartialEq)]
pub enum Node {
    File {
        content: Rc<[u8]>,
        executable: bool,
    },
    Link(Rc<[u8]>),
    /// A pinned commit; without a place where it is to be had, it stays an empty directory.
    Module {
        commit: String,
        repository: Option<&'static str>,
    },
}

impl Node {
    pub fn file(content: impl Into<Rc<[u8]>>) -> Node {
        Node::File { content: content.into(), executable: false }
    }
}

/// Paths and what is there. No path is below a file.
#[derive(Clone, Default)]
pub struct Tree(BTreeMap<Vec<u8>, Node>);

impl Tree {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn get(&self, path: &[u8]) -> Option<&Node> {
        self.0.get(path)
    }

    pub fn get_mut(&mut self, path: &[u8]) -> Option<&mut Node> {
        self.0.get_mut(path)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Vec<u8>, &Node)> {
        self.0.iter()
    }

    /// Put something at a path; whatever is in its way goes.
    ///
    /// Submodules have names that no pattern has: to git, a pattern for directories is one for a submodule only
    /// when its directory is there already.
    pub fn put(&mut self, mut path: Vec<u8>, mut node: Node) {
        if let Node::Module { repository, .. } = &mut node {
            // git takes a path that begins like an option for an attack.
            repository.take_if(|_| path.starts_with(b"-"));
        }
        if matches!(node, Node::Module { .. }) && !path.ends_with(b".mod") {
            path.truncate(
                path.len() - path.rsplit(|byte| *byte == b'/').next().unwrap().len().saturating_sub(200),
            );
            path.extend_from_slice(b".mod");
        }
        for end in (0..path.len()).filter(|at| path[*at] == b'/') {
            self.0.remove(&path[..end]);
        }
        self.take(&path);
        self.0.insert(path, node);
    }

    /// Remove a file, or a directory with all that it holds, and return what it was by the rest of the path.
    pub fn take(&mut self, path: &[u8]) -> Vec<(Vec<u8>, Node)> {
        let is_within =
            |key: &[u8]| key.strip_prefix(path).is_some_and(|rest| matches!(rest, [] | [b'/', ..]));
        let keys: Vec<Vec<u8>> = self.0.keys().filter(|key| is_within(key)).cloned().collect();
        keys.into_iter().map(|key| (key[path.len()..].to_vec(), self.0.remove(&key).unwrap())).collect()
    }

    /// All directories.
    pub fn directories(&self) -> Vec<Vec<u8>> {
        let ends = |path: &[u8]| (0..path.len()).filter(|at| path[*at] == b'/').collect::<Vec<_>>();
        let mut all: Vec<Vec<u8>> =
            self.0.keys().flat_map(|path| ends(path).into_iter().map(|end| path[..end].to_vec())).collect();
        all.sort();
        all.dedup();
        all
    }

    /// The submodules that are to be had: path, commit.
    pub fn modules(&self) -> impl Iterator<Item = (&[u8], &str)> {
        self.0.iter().filter_map(|(path, node)| match node {
            Node::Module { commit, repository: Some(_) } => Some((path.as_slice(), commit.as_str())),
            _ => None,
        })
    }

    /// Make `.gitmodules` say what the tree holds.
    pub fn map_modules(&mut self) {
        self.take(b".gitmodules");
        let mut text = Vec::new();
        for (number, (path, node)) in self.0.iter().enumerate() {
            let Node::Module { repository: Some(repository), .. } = node else { continue };
            text.extend_from_slice(format!("[submodule \"m{number}\"]\n\tpath = \"").as_bytes());
            for byte in path {
                match byte {
                    b'\n' => text.extend_from_slice(b"\\n"),
                    b'"' | b'\\' => text.extend_from_slice(&[b'\\', *byte]),
                    _ => text.push(*byte),
                }
            }
            text.extend_from_slice(format!("\"\n\turl = ../{repository}\n").as_bytes());
        }
        if !text.is_empty() {
            text.extend_from_slice(b"[submodule \"gone\"]\n\tpath = gone/away\n\turl = ../nowhere\n");
            self.put(b".gitmodules".to_vec(), Node::file(text));
        }
    }
}
