//! The repositories of a file, each judged as if its options had been typed.

use std::sync::Arc;
use std::time::Duration;

use super::entries::RepoEntry;
use super::faults::{Notes, Shared};
use super::given::GivenOptions;
use crate::args::{Args, Given};
use crate::config::Config;
use crate::environment::Environment;
use crate::options::{GiveUp, LINK, ON_GIVE_UP, PUBLISH, Publish, READYZ_MAX_AGE, REQUIRED, ROOT};
use crate::origin::{Origin, Place};
use crate::reader::{Note, OptionReader};
use std::path::Path;

/// What is published, unless `link` says otherwise: paths should not depend on URLs.
const USUAL_LINK: &str = "current";

/// One of the repositories.
#[derive(Clone, Debug)]
pub struct RepoConfig {
    /// A DNS label: it is a directory, a label of metrics and a part of paths.
    pub name: String,
    /// As for one repository; what is the process's is the same in all. It has no warnings.
    pub config: Arc<Config>,
    /// The age of the last success beyond which it is not ready; zero for any age.
    pub readyz_max_age: Duration,
    /// Whether the process is ready only if it is.
    pub required: bool,
    /// What follows too many failures.
    pub on_give_up: GiveUp,
    /// The options that it was made from; two equal ones behave the same.
    pub given: GivenOptions,
}

/// A repository that is judged, and where its paths come from.
pub struct Judged {
    pub config: RepoConfig,
    pub root: Origin,
    pub link: Origin,
}

/// Judge all repositories: their own options over the defaults of their file over `base`.
pub fn judge(
    entries: &[RepoEntry],
    base: &Args,
    process_root: &Path,
    environment: &Environment,
    notes: &mut Notes,
) -> Vec<Judged> {
    let (mut errors, mut advice) = (Shared::default(), Shared::default());
    let mut judged = Vec::with_capacity(entries.len());
    for entry in entries {
        let mut options = entry.options(base);
        complete(&mut options, entry, process_root);
        let Ok(mut r) = OptionReader::new(&options, environment) else { continue };
        judged.extend(read(&mut r, entry, &options));
        let (found, warnings) = r.into_notes();
        let is_known = |note: &Note| {
            let is_of_file = note.origin.as_ref().is_some_and(|origin| origin.place().is_some());
            is_of_file && note.option.is_some_and(|name| entry.faulty.contains(&name))
        };
        found.into_iter().filter(|note| !is_known(note)).for_each(|note| errors.add(&entry.name, note));
        warnings.into_iter().for_each(|note| advice.add(&entry.name, note));
    }
    let is_all = |place: Option<&Place>, names: &[Arc<str>]| {
        let is_meant = |entry: &&RepoEntry| place.is_none_or(|place| place.file == entry.place.file);
        names.len() == entries.iter().filter(is_meant).count()
    };
    errors.report(&mut notes.faults, is_all);
    advice.report(&mut notes.warnings, is_all);
    judged
}

/// Give what the file need not say: the root, and the link.
fn complete(options: &mut Args, entry: &RepoEntry, process_root: &Path) {
    let usual = |key: &str| Origin::File(entry.place.clone(), key.to_owned());
    let (root, origin) = match options.get(&ROOT) {
        Some(Given { values, origin }) => (values.last().cloned().unwrap_or_default(), origin.clone()),
        None => (entry.name.as_ref().into(), usual(ROOT.name)),
    };
    options.give(&ROOT, Given { values: vec![process_root.join(root).into()], origin });
    let mode = options.get(&PUBLISH).and_then(|given| PUBLISH.parse(given.values.last()?).ok());
    if options.get(&LINK).is_none() && mode != Some(Publish::InPlace) {
        let values = vec![USUAL_LINK.into()];
        options.give(&LINK, Given { values, origin: usual(LINK.name) });
    }
}

fn read(r: &mut OptionReader, entry: &RepoEntry, options: &Args) -> Option<Judged> {
    let config = Config::read(r);
    let (readyz_max_age, required, on_give_up) =
        (r.get(&READYZ_MAX_AGE), r.get(&REQUIRED), r.get(&ON_GIVE_UP));
    let config = RepoConfig {
        name: entry.name.to_string(),
        config: Arc::new(config?),
        readyz_max_age,
        required,
        on_give_up,
        given: GivenOptions::new(options),
    };
    Some(Judged { config, root: options.origin(&ROOT), link: options.origin(&LINK) })
}
