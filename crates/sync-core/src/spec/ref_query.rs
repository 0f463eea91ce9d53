//! Which references to list, and which of them to follow.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::iter;

use super::ref_pattern::{RefPattern, by_numbers};
use super::reference::{AdvertisedRef, Reference};
use super::version::Version;
use super::version_range::VersionRange;
use super::version_tags::VersionTags;
use crate::error::ErrorKind;

/// Which references to list, and which of them to follow. The choice depends on nothing else and is the same for every
/// remote.
pub(crate) struct RefQuery {
    wanted: Wanted,
    /// Beginnings of the names of all references that may be chosen, none of them the beginning of another.
    prefixes: Vec<String>,
}

enum Wanted {
    /// The first of `prefixes` that exists, as a full name.
    First,
    Highest(VersionTags),
    Last(RefPattern),
}

/// The reference to follow.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    pub(crate) found: &'a AdvertisedRef,
    /// The version that it names, if that decided.
    pub(crate) version: Option<Version>,
    /// The full name of another tag of the same version that names another commit.
    pub(crate) rival: Option<&'a str>,
}

/// Why no reference was chosen.
#[derive(Debug)]
pub(crate) struct NoChoice {
    pub(crate) kind: ErrorKind,
    pub(crate) cause: String,
}

impl NoChoice {
    fn missing(cause: impl Into<String>) -> Self {
        NoChoice { kind: ErrorKind::NotFound, cause: cause.into() }
    }
}

impl RefQuery {
    /// The query for a name, in the order of gitrevisions(7), or for a choice. A commit id needs no references.
    pub(crate) fn of(reference: &Reference) -> RefQuery {
        let (wanted, prefixes) = match reference {
            Reference::Commit(_) => (Wanted::First, Vec::new()),
            Reference::Name(name) if name == "HEAD" || name.starts_with("refs/") => {
                (Wanted::First, vec![name.clone()])
            }
            Reference::Name(name) => {
                let full = ["refs/", "refs/tags/", "refs/heads/", "refs/remotes/"];
                (Wanted::First, full.map(|prefix| format!("{prefix}{name}")).into())
            }
            Reference::Highest(tags) => (Wanted::Highest(tags.clone()), tags.prefixes()),
            Reference::Last(pattern) => (Wanted::Last(pattern.clone()), vec![pattern.beginning().to_owned()]),
        };
        RefQuery { wanted, prefixes }
    }

    /// The query that also lists what is not in the range, if there is more. It finds what is near, and what is written
    /// with more zeros.
    pub(crate) fn widened(&self) -> Option<RefQuery> {
        let Wanted::Highest(tags) = &self.wanted else { return None };
        let prefixes = vec![tags.widest()];
        (prefixes != self.prefixes).then(|| RefQuery { wanted: Wanted::Highest(tags.clone()), prefixes })
    }

    /// Prefixes of the names of all references that may be chosen.
    pub(crate) fn prefixes(&self) -> &[String] {
        &self.prefixes
    }

    /// Choose the reference to follow among those that a remote lists.
    pub(crate) fn choose<'a>(&self, refs: &'a [AdvertisedRef]) -> Result<Choice<'a>, NoChoice> {
        match &self.wanted {
            Wanted::First => {
                let found =
                    self.prefixes.iter().find_map(|name| refs.iter().find(|found| found.name == *name));
                let choice = found.map(|found| Choice { found, version: None, rival: None });
                choice.ok_or_else(|| NoChoice::missing("it does not exist"))
            }
            Wanted::Highest(tags) => highest(tags, &self.candidates(refs)?),
            Wanted::Last(pattern) => last(pattern, &self.candidates(refs)?),
        }
    }

    /// The listed references whose names are valid and begin as asked for.
    fn candidates<'a>(&self, refs: &'a [AdvertisedRef]) -> Result<Vec<&'a AdvertisedRef>, NoChoice> {
        /// With more, a pass would take seconds.
        const MOST: usize = 200_000;
        let is_asked_for = |name: &str| self.prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()));
        let is_valid = |name: &str| gix::validate::reference::name(name.into()).is_ok();
        let found: Vec<&AdvertisedRef> =
            refs.iter().filter(|found| is_asked_for(&found.name) && is_valid(&found.name)).collect();
        if found.len() > MOST {
            let cause = format!(
                "there are {} references to choose from, and more than {MOST} are not compared; a smaller range, or \
                 --ref-match, leaves out most of them",
                found.len()
            );
            return Err(NoChoice { kind: ErrorKind::Limit, cause });
        }
        let mut names = HashSet::with_capacity(found.len());
        match found.iter().find(|found| !names.insert(found.name.as_str())) {
            None => Ok(found),
            Some(twice) => {
                let cause = format!("the server listed {} twice", shown(&twice.name));
                Err(NoChoice { kind: ErrorKind::Server, cause })
            }
        }
    }
}

/// The tag with the highest version. Build data decides between equal ones, and then the bytes of the names.
fn highest<'a>(tags: &VersionTags, candidates: &[&'a AdvertisedRef]) -> Result<Choice<'a>, NoChoice> {
    let is_matched =
        |found: &&&AdvertisedRef| tags.pattern.as_ref().is_none_or(|like| like.matches(&found.name));
    let named: Vec<&'a AdvertisedRef> = candidates.iter().filter(is_matched).copied().collect();
    let versions: Vec<(Version, &'a AdvertisedRef)> =
        named.iter().filter_map(|found| Some((tags.version(&found.name)?, *found))).collect();
    let is_taken = |version: &Version| tags.range.as_ref().is_none_or(|range| range.contains(version));
    let order = |left: &&(Version, &AdvertisedRef), right: &&(Version, &AdvertisedRef)| {
        (&left.0, &left.1.name).cmp(&(&right.0, &right.1.name))
    };
    let Some((version, found)) = versions.iter().filter(|(version, _)| is_taken(version)).max_by(order)
    else {
        return Err(NoChoice::missing(match (&tags.range, versions.is_empty()) {
            (Some(range), false) => nothing_in_range(range, &versions, named.len()),
            _ => no_version(tags, &named),
        }));
    };
    let rivals = versions.iter().filter(|(other, tag)| other == version && tag.commit != found.commit);
    let rival = rivals.map(|(_, tag)| tag.name.as_str()).max();
    Ok(Choice { found, version: Some(version.clone()), rival })
}

/// The reference whose name comes last, numbers by value.
fn last<'a>(pattern: &RefPattern, candidates: &[&'a AdvertisedRef]) -> Result<Choice<'a>, NoChoice> {
    let matched =
        candidates.iter().filter(|found| pattern.matches(&found.name) && !is_gerrit_data(&found.name));
    let found = matched.copied().max_by(|left, right| by_numbers(&left.name, &right.name));
    let choice = found.map(|found| Choice { found, version: None, rival: None });
    choice.ok_or_else(|| NoChoice::missing(format!("no reference is like {pattern}")))
}

/// Beside the patch sets of a change, which have numbers, Gerrit keeps data about it.
fn is_gerrit_data(name: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    name.starts_with("refs/changes/") && !name.rsplit('/').next().is_some_and(is_number)
}

fn no_version(tags: &VersionTags, named: &[&AdvertisedRef]) -> String {
    let prefix = tags.prefix.to_string();
    let examples: Vec<String> = named.iter().take(2).map(|found| shown(&found.name)).collect();
    match (named.len(), &tags.pattern) {
        (0, Some(pattern)) => format!("no tag is like {pattern}"),
        (0, None) if prefix.is_empty() => "there are no tags".into(),
        (0, None) => format!("no tag begins with {prefix:?}"),
        (count, _) => format!("{}, such as {}", none_of(count, "a version"), examples.join(" and ")),
    }
}

fn nothing_in_range(range: &VersionRange, versions: &[(Version, &AdvertisedRef)], count: usize) -> String {
    let by_version = |left: &&(Version, &AdvertisedRef), right: &&(Version, &AdvertisedRef)| -> Ordering {
        left.0.cmp(&right.0)
    };
    let below = versions.iter().filter(|(version, _)| range.is_above(version)).max_by(by_version);
    let near = below.map(|near| ("nearest below", near));
    let near = near.or_else(|| versions.iter().max_by(by_version).map(|near| ("the highest", near)));
    let near = near.map(|(what, (version, tag))| {
        let only = if version.is_prerelease() { ", a prerelease (*-0 takes them all)" } else { "" };
        format!("; {what} is {}{only}", shown(&tag.name))
    });
    iter::once(none_of(count, &format!("in \"{range}\""))).chain(near).collect()
}

fn none_of(count: usize, what: &str) -> String {
    match count {
        1 => format!("the only tag is not {what}"),
        count => format!("none of {count} tags is {what}"),
    }
}

/// The name for an error, without what all tags have in common.
fn shown(name: &str) -> String {
    const LONGEST: usize = 100;
    let name = name.strip_prefix("refs/tags/").unwrap_or(name);
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests;
