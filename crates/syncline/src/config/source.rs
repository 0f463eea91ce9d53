//! What to sync.

use std::path::PathBuf;

use sync_core::{ConnectOptions, Limits, RefPattern, Reference, RemoteUrl, Selection, Source, VersionTags};

use super::git_config;
use super::git_setting::GitSetting;
use super::lfs::lfs;
use crate::options::{
    BRANCH, DEPTH, FILTER, MAX_BLOB_SIZE, MAX_FILES, MAX_PACK_SIZE, MAX_SUBMODULES, MAX_TREE_SIZE, REF,
    REF_MATCH, REF_ORDER, REF_SEMVER, REF_TAG_PREFIX, REPO, REV, RefOrder, SPARSE_CHECKOUT_FILE, SPARSE_DIRS,
    SUBDIRECTORY, SUBMODULES, SYMLINKS,
};
use crate::reader::OptionReader;
use crate::relay;

/// `None` without a URL; then there is an error.
pub fn source(r: &mut OptionReader, connect: &ConnectOptions, settings: &[GitSetting]) -> Option<Source> {
    let urls = match relay::place_of(r) {
        Some(place) => Some((place.clone(), place)),
        None => r.required(&REPO).and_then(|text| urls(r, connect, &text)),
    };
    let (named, chosen) = (reference(r), choice(r));
    let reference = chosen.unwrap_or(named);
    let (depth, filter) = (r.get(&DEPTH), r.find(&FILTER));
    let mut selection = Selection::default();
    selection.submodules = r.get(&SUBMODULES);
    selection.submodule_rules = git_config::submodule_rules(settings);
    selection.sparse = r.find(&SPARSE_DIRS).flatten();
    selection.subdirectory = r.find(&SUBDIRECTORY);
    if let (Some(sparse), Some(directory)) = (&selection.sparse, &selection.subdirectory)
        && sparse.leave_out(directory)
    {
        r.error(
            &SUBDIRECTORY,
            format!("{directory} is in none of the directories of --sparse-dirs; add it there"),
        );
    }
    selection.lfs = lfs(r);
    selection.symlinks = r.get(&SYMLINKS);
    selection.limits = limits(r);
    let (url, written) = urls?;
    let mut source = Source::new(url, reference);
    source.written = written;
    source.depth = depth;
    source.filter = filter;
    source.selection = selection;
    Some(source)
}

/// Where the sparse patterns are, if they are in a file.
pub fn sparse_file(r: &mut OptionReader) -> Option<PathBuf> {
    let file = r.path(&SPARSE_CHECKOUT_FILE)?;
    if r.is_set(&SPARSE_DIRS) {
        r.error(&SPARSE_DIRS, "cannot be combined with --sparse-checkout-file");
    }
    Some(file)
}

/// The URL to connect to, and as it was written. What only `insteadOf` makes a URL has no other form.
fn urls(r: &mut OptionReader, connect: &ConnectOptions, text: &str) -> Option<(RemoteUrl, RemoteUrl)> {
    let directory = r.absolute("");
    let parse = |text: &str| text.parse::<RemoteUrl>().map(|url| url.relative_to(&directory));
    let url = match parse(&connect.rewrite(text)) {
        Ok(url) => url,
        Err(error) => {
            r.error(&REPO, error);
            return None;
        }
    };
    if !connect.allows(&url, false) {
        let by_variable = r.variable("GIT_ALLOW_PROTOCOL").is_some();
        let forbids = if by_variable { "GIT_ALLOW_PROTOCOL" } else { "protocol.allow" };
        r.error(&REPO, format!("uses the protocol {}, which {forbids} forbids", url.protocol()));
    }
    let written = parse(text).unwrap_or_else(|_| url.clone());
    Some((url, written))
}

/// `--ref`, or git-sync v3's `--branch` and `--rev`, of which only one may name something.
fn reference(r: &mut OptionReader) -> Reference {
    let today = r.get(&REF);
    let (branch, rev) = (r.find(&BRANCH), r.find(&REV));
    let (option, older) = match (branch, rev) {
        (Some(_), Some(rev)) if rev != REF.default_value() => {
            r.error(&BRANCH, "cannot be combined with --rev; use --ref");
            return today;
        }
        (Some(branch), _) => (BRANCH.row(), branch),
        (None, Some(rev)) => (REV.row(), rev),
        (None, None) => return today,
    };
    if r.is_set(&REF) && today != older {
        let (option, reference) = (r.origin(option), r.mention(&REF));
        let text = format!("{older} overrides {reference}, as in git-sync; omit it to sync {today}");
        r.warn_at(&option, text);
    }
    older
}

/// What `--ref-semver` or `--ref-match` chooses, if one of them is set. Then nothing else may name a reference.
fn choice(r: &mut OptionReader) -> Option<Reference> {
    let (range, pattern) = (r.find(&REF_SEMVER), r.find(&REF_MATCH));
    let (prefix, order) = (r.find(&REF_TAG_PREFIX), r.find(&REF_ORDER));
    let has_range = r.is_set(&REF_SEMVER);
    if !has_range && !r.is_set(&REF_MATCH) {
        r.error_each(&[REF_TAG_PREFIX.row(), REF_ORDER.row()], "needs --ref-semver or --ref-match");
        return None;
    }
    let chooser = r.mention(if has_range { &REF_SEMVER } else { &REF_MATCH });
    r.error_each(&[REF.row(), BRANCH.row(), REV.row()], &format!("cannot be combined with {chooser}"));
    let is_of_tags = pattern.as_ref().is_none_or(RefPattern::is_of_tags);
    let is_by_version = has_range || (is_of_tags && order != Some(RefOrder::Name));
    if has_range && !is_of_tags {
        r.error(&REF_MATCH, "must match tags only, since --ref-semver chooses a tag");
    } else if has_range && order == Some(RefOrder::Name) {
        r.error(&REF_ORDER, "must be semver, since --ref-semver chooses by version");
    } else if !is_of_tags && order == Some(RefOrder::Semver) {
        r.error(&REF_ORDER, "must be name, since only tags name versions");
    }
    if is_by_version {
        let mut tags = VersionTags::default();
        (tags.range, tags.prefix, tags.pattern) = (range, prefix.unwrap_or_default(), pattern);
        return Some(Reference::Highest(tags));
    }
    r.error_each(&[REF_TAG_PREFIX.row()], "is only for tags that are chosen by version");
    pattern.map(Reference::Last)
}

fn limits(r: &mut OptionReader) -> Limits {
    let mut limits = Limits::default();
    limits.files = r.get(&MAX_FILES);
    limits.tree_size = r.get(&MAX_TREE_SIZE);
    limits.blob_size = r.get(&MAX_BLOB_SIZE);
    limits.pack_size = r.get(&MAX_PACK_SIZE);
    limits.submodules = r.get(&MAX_SUBMODULES);
    limits
}
