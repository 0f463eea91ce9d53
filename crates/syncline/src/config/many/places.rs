//! Where the repositories are on disk, and that none is in the way of another.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::faults::{Faults, Notes};
use super::groups;
use super::repos::Judged;
use crate::options::Publish;
use crate::origin::{Origin, Place};

/// Where groups keep their generations, below the root of the process.
const GROUPS: &str = ".groups";

/// Where a repository keeps its trees, below its root.
const TREES: &str = ".worktrees";

/// The paths of all repositories, without symbolic links.
pub struct Places<'a> {
    process: PathBuf,
    owners: Vec<Owner<'a>>,
}

/// A repository, or a group, which has no root.
struct Owner<'a> {
    name: &'a str,
    root: Option<(PathBuf, &'a Origin)>,
    link: PathBuf,
    link_place: Option<&'a Place>,
    link_key: &'static str,
    /// Whether the files of others may be in what it publishes.
    keeps_others: bool,
    error_file: Option<&'a Path>,
}

impl<'a> Places<'a> {
    /// Look at the disk, to see where symbolic links lead.
    pub fn new(process: &Path, repos: &'a [Judged], groups: &'a [groups::Judged]) -> Places<'a> {
        let process = resolved(process);
        let mut owners: Vec<Owner> = repos.iter().map(Owner::of_repo).collect();
        // What has the name of another is a fault already.
        owners.dedup_by(|a, b| a.name == b.name);
        let is_name_free =
            |group: &&groups::Judged| repos.iter().all(|repo| repo.config.name != group.config.name);
        owners.extend(groups.iter().filter(is_name_free).map(|group| Owner {
            name: &group.config.name,
            root: None,
            link: process.join(&group.config.name),
            link_place: Some(&group.place),
            link_key: "its path",
            keeps_others: false,
            error_file: None,
        }));
        Places { process, owners }
    }

    /// Report all that are in the way of another.
    pub fn check(&self, notes: &mut Notes) {
        let roots = self.check_roots(&mut notes.faults);
        self.check_links(&roots, &mut notes.faults);
        self.check_error_files(&mut notes.warnings);
    }

    fn check_error_files(&self, warnings: &mut Faults) {
        let mut files: BTreeMap<&Path, &str> = BTreeMap::new();
        let files_of = self.owners.iter().filter_map(|owner| Some((owner.error_file?, owner.name)));
        for (file, name) in files_of {
            if let Some(other) = files.insert(file, name) {
                return warnings.add_elsewhere(format!(
                    "{} is the error-file of {other} and of {name}: when one succeeds, the error of the other is lost",
                    file.display()
                ));
            }
        }
    }

    /// The owners of all roots that are in nobody's way.
    fn check_roots(&self, faults: &mut Faults) -> BTreeMap<&Path, &Owner<'a>> {
        let mut roots: BTreeMap<&Path, &Owner> = BTreeMap::new();
        for owner in &self.owners {
            let Some((root, origin)) = &owner.root else { continue };
            match self.root_fault(root, roots.get(root.as_path())) {
                Some(fault) => faults.add_origin(origin, fault),
                None => _ = roots.insert(root, owner),
            }
        }
        let outer = |root: &Path| root.ancestors().skip(1).find_map(|ancestor| roots.get(ancestor));
        let nested: Vec<&Path> = roots.keys().filter(|root| outer(root).is_some()).copied().collect();
        for root in &nested {
            if let (Some(outer), Some((_, origin))) = (outer(root), &roots[root].root) {
                let text = format!("{} is inside the root of {}", root.display(), outer.name);
                faults.add_origin(origin, format!("{text}; each repository needs its own"));
            }
        }
        nested.into_iter().for_each(|root| _ = roots.remove(root));
        roots
    }

    fn root_fault(&self, root: &Path, same: Option<&&Owner>) -> Option<String> {
        let groups = self.process.join(GROUPS);
        if root.parent().is_none() {
            Some("must not be the root of the file system".to_owned())
        } else if self.process.starts_with(root) {
            let process = self.process.display();
            Some(format!("holds the root of the process, {process}; choose a directory below it"))
        } else if root.starts_with(&groups) {
            Some(format!("is inside {}, where the groups are", groups.display()))
        } else {
            let (root, other) = (root.display(), same?.name);
            Some(format!("{root} is the root of {other}, too; each repository needs its own"))
        }
    }

    /// What has no root of its own to be judged by is passed over.
    fn check_links(&self, roots: &BTreeMap<&Path, &Owner<'a>>, faults: &mut Faults) {
        let mut links: BTreeMap<&Path, &Owner> = BTreeMap::new();
        let has_root = |owner: &&Owner| {
            let is_own = |(root, _): &(PathBuf, _)| {
                roots.get(root.as_path()).is_some_and(|known| known.name == owner.name)
            };
            owner.root.as_ref().is_none_or(is_own)
        };
        for owner in self.owners.iter().filter(has_root) {
            let fault = self.hides_groups(&owner.link);
            match fault.or_else(|| owner.link_fault(roots, links.get(owner.link.as_path()))) {
                Some(fault) => owner.fault(fault, faults),
                None => _ = links.insert(&owner.link, owner),
            }
        }
        for (link, owner) in &links {
            let mut outer = link.ancestors().skip(1).filter_map(|ancestor| links.get(ancestor));
            if let Some(outer) = outer.find(|outer| !outer.keeps_others && outer.name != owner.name) {
                owner.fault(format!("{} is inside of what {} publishes", link.display(), outer.name), faults);
            }
        }
    }

    /// The fault of a link that is where groups keep their generations.
    fn hides_groups(&self, link: &Path) -> Option<String> {
        let is_there = link.starts_with(self.process.join(GROUPS));
        is_there.then(|| format!("{} is where the groups are", link.display()))
    }

    /// Whether a file is in a tree of one of the repositories, or of what was one: the file itself says which
    /// repositories there are, and so cannot be asked alone.
    pub fn publishes(&self, file: &Path) -> bool {
        let file = resolved(file);
        let is_below = |owner: &Owner| {
            owner.root.as_ref().is_some_and(|(root, _)| file.starts_with(root))
                || file.starts_with(&owner.link)
        };
        let mut above = file.ancestors().skip(1);
        self.owners.iter().any(is_below)
            || above.any(|path| path.ends_with(TREES) && path.with_file_name(".git").is_dir())
    }
}

impl<'a> Owner<'a> {
    fn of_repo(repo: &'a Judged) -> Owner<'a> {
        let publishing = &repo.config.config.publishing;
        let root = resolved(&publishing.root);
        let link = root.join(&publishing.link);
        // The last part is what is exchanged, and so not followed.
        let link = match (link.parent(), link.file_name()) {
            (Some(parent), Some(name)) => resolved(parent).join(name),
            _ => resolved(&link),
        };
        let link_place = repo.link.place();
        Owner {
            name: &repo.config.name,
            root: Some((root, &repo.root)),
            link,
            link_place,
            link_key: "link",
            keeps_others: publishing.mode == Publish::InPlace,
            error_file: publishing.error_file.as_deref(),
        }
    }

    fn link_fault(&self, roots: &BTreeMap<&Path, &Owner>, same: Option<&&Owner>) -> Option<String> {
        let (link, shown) = (self.link.as_path(), self.link.display());
        let is_other = |other: &&&Owner| other.name != self.name;
        let inside = || link.ancestors().find_map(|path| roots.get(path).filter(is_other));
        let below = || {
            let mut below = roots.range(link..).take_while(|(root, _)| root.starts_with(link));
            below.find_map(|(_, owner)| Some(owner).filter(is_other))
        };
        if let Some(other) = same {
            is_other(&other).then(|| format!("{shown} is where {} is published, too", other.name))
        } else if let Some(other) = inside() {
            Some(format!("{shown} is inside the root of {}", other.name))
        } else {
            below().map(|other| format!("{shown} holds the root of {}", other.name))
        }
    }

    fn fault(&self, what: String, faults: &mut Faults) {
        match self.link_place {
            Some(place) => faults.add_to(place, self.link_key, what),
            None => faults.add_elsewhere(format!("{}: {}: {what}", self.name, self.link_key)),
        }
    }
}

/// A path without dots, and without symbolic links as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    if let Ok(path) = fs_err::canonicalize(path) {
        return path;
    }
    let mut found = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = found.pop(),
            Component::CurDir => {}
            part => {
                found.push(part);
                found = fs_err::canonicalize(&found).unwrap_or(found);
            }
        }
    }
    found
}
