//! `--config`: many repositories in one process. [`ManyConfig::load`] reads a file, or those of a directory, makes the
//! options of each repository from it, and judges them as if they had been typed.

mod document;
mod entries;
mod faults;
mod given;
mod groups;
mod places;
mod process;
mod repos;
mod secrets;
pub(crate) mod yaml;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::args::Args;
use crate::environment::Environment;
use crate::options::{
    CONFIG, CONFIG_CHECK, CONFIG_HOOKS, EXECHOOK_ARG, EXECHOOK_COMMAND, LINK, PRE_PUBLISH_EXECHOOK_ARG,
    PRE_PUBLISH_EXECHOOK_COMMAND, Publish, REPO, ROOT, Row,
};
use crate::origin::{Entry, Place};
use crate::reader::{Note, OptionReader};

use document::{Document, Documents};
use entries::{FileEntries, GroupEntry, RepoEntry, Set};
use faults::{Faults, Notes};
use places::Places;

pub use crate::options::{GiveUp, Incomplete, Removed};
pub use given::GivenOptions;
pub use groups::{GroupConfig, Pins};
pub use process::Process;
pub use repos::RepoConfig;

/// Everything that a file of many repositories says, judged.
#[derive(Clone, Debug)]
pub struct ManyConfig {
    /// What the process runs by.
    pub process: Process,
    /// In the order of their names.
    pub repos: Vec<RepoConfig>,
    /// In the order of their names.
    pub groups: Vec<GroupConfig>,
    /// The file or the directory, as it was given.
    pub path: PathBuf,
    /// The SHA-256 of all that was read, in hexadecimal digits.
    pub sha256: String,
    /// What works, but should be changed.
    pub warnings: Vec<String>,
}

/// The options that run programs of the user's choice.
const PROGRAMS: [&Row; 4] = [
    EXECHOOK_COMMAND.row(),
    EXECHOOK_ARG.row(),
    PRE_PUBLISH_EXECHOOK_COMMAND.row(),
    PRE_PUBLISH_EXECHOOK_ARG.row(),
];

impl ManyConfig {
    /// Whether the options ask for many repositories. Otherwise they are those of one, which [`Config::new`] reads.
    ///
    /// [`Config::new`]: crate::config::Config::new
    pub fn is_asked(args: &Args) -> bool {
        args.has_value(&CONFIG)
    }

    /// Whether the file is only to be judged.
    pub fn is_only_judged(args: &Args) -> bool {
        let given = args.get(&CONFIG_CHECK).and_then(|given| given.values.last());
        given.is_some_and(|value| CONFIG_CHECK.parse(value) == Ok(true))
    }

    /// Read and judge the file that `--config` names.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, a line each, together with what was wrong with the command line already.
    pub fn load(args: &Args, environment: &Environment) -> Result<ManyConfig, Vec<String>> {
        let mut r = OptionReader::new(args, environment).map_err(|error| vec![error])?;
        let Some(path) = r.required(&CONFIG) else { return Err(r.into_errors()) };
        let documents = match document::read(&r.absolute(&path), &path) {
            Ok(documents) => documents,
            Err(err) => {
                r.error(&CONFIG, err);
                return Err(r.into_errors());
            }
        };
        match judge(args, environment, path, documents) {
            Ok(config) => Ok(ManyConfig { warnings: r.with_strays(config.warnings), ..config }),
            Err(errors) => Err(r.with_strays(errors)),
        }
    }
}

/// The SHA-256 of a file, or of the files of a directory, as [`ManyConfig::sha256`] has it; nothing is parsed.
///
/// # Errors
///
/// If one cannot be read, or is larger than 1 MiB. The text names it.
pub fn digest(path: &Path) -> io::Result<String> {
    document::read(path, path).map(|documents| documents.sha256)
}

/// Where the process serves HTTP, if that can be found out; the repositories are not judged.
pub(crate) fn http_bind(args: &Args, environment: &Environment) -> Option<String> {
    let r = OptionReader::new(args, environment).ok()?;
    let path = PathBuf::from(args.get(&CONFIG)?.values.last()?);
    let documents = document::read(&r.absolute(&path), &path).ok()?;
    let file = read(&documents, &mut Faults::default());
    let options = process::options(args, &file.process);
    process::read(&mut OptionReader::new(&options, environment).ok()?).http.map(|http| http.bind)
}

/// What the content of a file means.
#[cfg(feature = "fuzzing")]
pub fn of_text(content: &[u8], args: &Args, environment: &Environment) -> Result<ManyConfig, Vec<String>> {
    let document = Document { shown: "F".into(), path: "/F".into(), content: content.to_vec() };
    judge(args, environment, "F".into(), Documents { list: vec![document], sha256: String::new() })
}

fn judge(
    args: &Args,
    environment: &Environment,
    path: PathBuf,
    documents: Documents,
) -> Result<ManyConfig, Vec<String>> {
    let mut notes = Notes::default();
    let file = read(&documents, &mut notes.faults);
    if file.is_broken {
        return Err(notes.faults.into_texts()); // what is not there need not be missing
    }
    let options = process::options(args, &file.process);
    let mut r = OptionReader::new(&options, environment).map_err(|error| vec![error])?;
    let process = process::read(&mut r);
    let may_run = r.get(&CONFIG_HOOKS);
    let (errors, warnings) = r.into_notes();
    let is_typed_or_set = |name: &str| args.all().any(|(given, _)| given == name);
    let is_known =
        |note: &Note| note.option.is_some_and(|name| file.faulty.contains(&name) && !is_typed_or_set(name));
    errors.iter().filter(|note| !is_known(note)).for_each(|note| notes.faults.add_note(note));
    warnings.iter().for_each(|note| notes.warnings.add_note(note));

    let mut base = options;
    [REPO.row(), LINK.row(), ROOT.row()].into_iter().for_each(|option| base.forget(option));
    let repos = repos::judge(&file.repos, &base, &process.root, environment, &mut notes);
    let names: Vec<Arc<str>> = file.repos.iter().map(|entry| entry.name.clone()).collect();
    let judge = |entry| groups::judge(entry, &names, environment, &mut notes.faults);
    let groups: Vec<groups::Judged> = file.groups.iter().map(judge).collect();
    check_members(&groups, &repos, &mut notes.faults);
    if process.root.is_absolute() {
        let places = Places::new(&process.root, &repos, &groups);
        places.check(&mut notes);
        let programs = programs(&file.repos, &groups).filter(|_| !may_run);
        refuse_strangers(&documents, &places, programs, &mut notes);
    }
    if !notes.faults.is_empty() {
        return Err(notes.faults.into_texts());
    }
    Ok(ManyConfig {
        process,
        repos: repos.into_iter().map(|repo| repo.config).collect(),
        groups: groups.into_iter().map(|group| group.config).collect(),
        path,
        sha256: documents.sha256,
        warnings: notes.warnings.into_texts(),
    })
}

/// Files in published trees are as trustworthy as those who may push to the repository, who are not meant to run
/// `programs` here.
fn refuse_strangers<'a>(
    documents: &Documents,
    places: &Places,
    programs: impl Iterator<Item = (&'a Place, &'a str)>,
    notes: &mut Notes,
) {
    let published: Vec<&Document> =
        documents.list.iter().filter(|file| places.publishes(&file.path)).collect();
    if let Some(first) = published.first() {
        notes.warnings.add_elsewhere(format!(
            "{} is in a published tree: whoever may push to its repository decides what is synced here",
            first.shown
        ));
    }
    for (place, key) in programs {
        if published.iter().any(|file| file.shown == place.file) {
            let text = "is in a published tree: whoever may push to its repository could run programs here; --config-hooks \
                        allows it";
            notes.faults.add_to(place, key, text);
        }
    }
}

/// What all files say.
struct File {
    process: Vec<Set>,
    /// In the order of their names.
    repos: Vec<RepoEntry>,
    groups: Vec<GroupEntry>,
    /// Options of the process of which a fault is known already.
    faulty: Vec<&'static str>,
    /// Whether one of them cannot be read to its end.
    is_broken: bool,
}

fn read(documents: &Documents, faults: &mut Faults) -> File {
    let mut all = File {
        process: Vec::new(),
        repos: Vec::new(),
        groups: Vec::new(),
        faulty: Vec::new(),
        is_broken: false,
    };
    for document in &documents.list {
        let top = Place { file: document.shown.clone(), line: 1, entry: Entry::Top };
        let Ok(text) = std::str::from_utf8(&document.content) else {
            faults.add(&top, "the file is not UTF-8");
            all.is_broken = true;
            continue;
        };
        let (root, found) = yaml::parse(text);
        found.iter().for_each(|fault| faults.add(&top.at(fault.line), &fault.text));
        let Some(root) = root else {
            all.is_broken = true;
            continue;
        };
        let FileEntries { process, repos, groups, faulty } = entries::read(root, &top, faults);
        all.process.extend(process);
        all.repos.extend(repos);
        all.groups.extend(groups);
        all.faulty.extend(faulty);
    }
    entries::repeated(all.process.iter().map(|set| (set.option.name, &set.place)), faults);
    // A group is beside the repositories, on disk and in paths.
    let repos = all.repos.iter().map(|entry| (&*entry.name, &entry.place));
    let groups = all.groups.iter().map(|entry| (&*entry.name, &entry.place));
    entries::repeated(repos.chain(groups), faults);
    all.repos.sort_by(|a, b| a.name.cmp(&b.name));
    all.groups.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// A repository is in one group at most, and publishes a link.
fn check_members(groups: &[groups::Judged], repos: &[repos::Judged], faults: &mut Faults) {
    let mut first: BTreeMap<&str, &str> = BTreeMap::new();
    for group in groups {
        for (name, place) in &group.members {
            if let Some(other) = first.insert(name, &group.config.name) {
                faults.add_to(
                    place,
                    "members",
                    format!("{name} is in the group {other}, too; one is all it can be in"),
                );
            }
            let repo = repos.iter().find(|repo| *repo.config.name == **name);
            if repo.is_some_and(|repo| repo.config.config.publishing.mode != Publish::Symlink) {
                faults.add_to(
                    place,
                    "members",
                    format!("{name} must have publish: symlink, to be in a group"),
                );
            }
        }
    }
}

/// Where files name programs to run, or their arguments.
fn programs<'a>(
    repos: &'a [RepoEntry],
    groups: &'a [groups::Judged],
) -> impl Iterator<Item = (&'a Place, &'a str)> {
    let is_program = |set: &&Set| PROGRAMS.iter().any(|program| program.name == set.option.name);
    let of_repos = repos.iter().flat_map(RepoEntry::given).filter(is_program);
    let of_repos = of_repos.map(|set| (&set.place, set.option.name));
    let of_groups = groups.iter().flat_map(|group| &group.hook);
    of_repos.chain(of_groups.filter_map(|origin| Some((origin.place()?, origin.name()))))
}

#[cfg(test)]
mod tests;
