//! What a process runs by, whatever it syncs.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::entries::Set;
use crate::args::Args;
use crate::config::monitoring::{self, Http, LogConfig};
use crate::options::{
    CONFIG_CHECK, GROUP_WRITE, LINK, MAX_PARALLEL, ONE_TIME, REMOVED, REPO, ROOT, Removed, SYNC_ON_SIGNAL,
};
use crate::reader::OptionReader;
use crate::receive::{self, ReceiveConfig};

/// The signal that reloads the file.
const SIGHUP: i32 = 1;

/// What a process runs by, whatever it syncs.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// The directory of all roots that are not given; absolute.
    pub root: PathBuf,
    /// The HTTP server, if it is wanted.
    pub http: Option<Http>,
    /// Where push hooks are taken, if they are.
    pub receive: Option<ReceiveConfig>,
    /// How to log.
    pub log: LogConfig,
    /// Whether the group may write.
    pub group_write: bool,
    /// The number of the signal that starts a sync of all repositories.
    pub sync_on_signal: Option<i32>,
    /// Whether to exit after the first sync of all repositories.
    pub one_time: bool,
    /// How many repositories may be fetched and checked out at once, if that was given.
    pub max_parallel: Option<NonZeroUsize>,
    /// What becomes of a repository that is no longer in the file.
    pub removed: Removed,
}

/// What was typed or set, and what the file says of the process besides.
pub fn options(args: &Args, settings: &[Set]) -> Args {
    let mut all = args.clone();
    for set in settings.iter().filter(|set| !args.has_value(set.option)) {
        if let Some(given) = &set.given {
            all.give(set.option, given.clone());
        }
    }
    all
}

/// What the options of the process mean; without a root there is an error.
pub fn read(r: &mut OptionReader) -> Process {
    let older: Vec<_> = crate::options::options().filter(|option| option.replaces(&LINK)).collect();
    let of_one = [&[REPO.row(), LINK.row()][..], &older].concat();
    r.error_each(&of_one, "cannot be combined with --config, in whose file each repository has its own");
    let root = r.path(&ROOT);
    match &root {
        None => r.error(&ROOT, "must be given, here or as root at the top of the file"),
        Some(root) if root == Path::new("/") => r.error(&ROOT, "must not be the root of the file system"),
        Some(_) => {}
    }
    let sync_on_signal = r.find(&SYNC_ON_SIGNAL);
    if sync_on_signal == Some(SIGHUP) {
        r.error(
            &SYNC_ON_SIGNAL,
            "must be another signal: with --config, SIGHUP makes the file be read again",
        );
    }
    r.get(&CONFIG_CHECK);
    Process {
        root: root.unwrap_or_default(),
        http: monitoring::http(r),
        receive: receive::receive(r),
        log: monitoring::log(r),
        group_write: r.get(&GROUP_WRITE),
        sync_on_signal,
        one_time: r.get(&ONE_TIME),
        max_parallel: r.find(&MAX_PARALLEL),
        removed: r.get(&REMOVED),
    }
}
