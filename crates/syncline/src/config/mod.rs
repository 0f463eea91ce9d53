//! What the options mean. [`Config::new`] reads them all at once, reports every error and touches nothing.

mod connect;
mod git_config;
mod git_setting;
mod git_variables;
mod lfs;
pub mod many;
mod monitoring;
mod publishing;
mod rules;
mod schedule;
mod signatures;
mod source;
mod ssh;

use std::path::PathBuf;

use sync_core::{ConnectOptions, Rules, SignaturePolicy, Source};

use crate::args::Args;
use crate::environment::Environment;
use crate::hooks::HookConfig;
use crate::login::LoginConfig;
use crate::options::{
    CHANGE_PERMISSIONS, CONFIG, CONFIG_CHECK, CONFIG_HOOKS, ERROR_FILE, MAX_PARALLEL, ON_GIVE_UP, REMOVED,
    REQUIRED, ROOT, Row,
};
use crate::reader::OptionReader;
use crate::receive::{self, PushConfig, ReceiveConfig};
use crate::relay::{self, RelayConfig};

pub use crate::options::{FileReuse, Fsync, GitGc, LogFormat, Publish};
pub use many::ManyConfig;
pub use monitoring::{Http, LogConfig};
pub use publishing::Publishing;
pub use schedule::Timing;

/// Everything that the program runs by.
#[derive(Clone, Debug)]
pub struct Config {
    /// What to sync.
    pub source: Source,
    /// The file with the sparse patterns of `source`, if they come from one.
    pub sparse_file: Option<PathBuf>,
    /// Which new commits to publish, and when.
    pub rules: Rules,
    /// Whose signatures a commit must have, if any.
    pub signatures: Option<SignaturePolicy>,
    /// Where and how to publish.
    pub publishing: Publishing,
    /// When to sync.
    pub timing: Timing,
    /// How to log in over HTTP.
    pub login: LoginConfig,
    /// How to connect.
    pub connect: ConnectOptions,
    /// The relay to follow or to feed, if there is one.
    pub relay: Option<RelayConfig>,
    /// What to run or to notify.
    pub hooks: HookConfig,
    /// The HTTP server, if it is wanted.
    pub http: Option<Http>,
    /// Where push hooks are taken, if they are; of one repository alone.
    pub receive: Option<ReceiveConfig>,
    /// Which push hooks concern it.
    pub pushes: PushConfig,
    /// How to log.
    pub log: LogConfig,
    /// What works, but should be changed.
    pub warnings: Vec<String>,
}

impl Config {
    /// Read the options that were given, and in `environment` what else counts.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, together with what was wrong with the command line already.
    pub fn new(args: &Args, environment: &Environment) -> Result<Config, Vec<String>> {
        let mut r = OptionReader::new(args, environment).map_err(|error| vec![error])?;
        if !r.is_set(&CONFIG) {
            let of_many: [&Row; 6] =
                [&CONFIG_CHECK, &CONFIG_HOOKS, &MAX_PARALLEL, &REMOVED, &REQUIRED, &ON_GIVE_UP];
            r.error_each(&of_many, "needs --config");
        }
        let receive = receive::receive(&mut r);
        match Config::read(&mut r) {
            Some(config) => r.finish(|warnings| Config { receive, warnings, ..config }),
            None => Err(r.into_errors()),
        }
    }

    /// What the options mean, without warnings; `None` only if there is an error.
    fn read(r: &mut OptionReader) -> Option<Config> {
        let settings = connect::git_settings(r);
        let connect = connect::connect(r, &settings);
        let mut source = source::source(r, &connect, &settings);
        let relay = relay::read(r, source.as_mut(), &connect);
        let sparse_file = source::sparse_file(r);
        let rules = rules::rules(r);
        let reference = source.as_ref().map(|source| &source.reference);
        let signatures = signatures::signatures(r, reference, rules.forward_only);
        let url = source.as_ref().map(|source| &source.url);
        if let Some(url) = url {
            ssh::warn_of_any_host(r, &connect.ssh, url);
        }
        let publishing = publishing::publishing(r, url);
        let git_cookies = git_config::cookie_file(r, &settings);
        let login = LoginConfig::read(r, url, git_cookies);
        let mut timing = schedule::timing(r);
        timing.policy.idle_period = relay.as_ref().and_then(RelayConfig::period);
        let hooks = HookConfig::read(r, &connect, source.as_ref());
        let pushes = receive::pushes(r, source.as_ref());
        let (http, log) = (monitoring::http(r), monitoring::log(r));
        if r.given(&CHANGE_PERMISSIONS).is_some_and(|mode| mode != 0) {
            r.error(&CHANGE_PERMISSIONS, "is no longer supported; use --group-write");
        }
        Some(Config {
            source: source?,
            sparse_file,
            rules,
            signatures,
            publishing: publishing?,
            timing,
            login,
            connect,
            relay,
            hooks,
            http,
            receive: None,
            pushes,
            log,
            warnings: Vec::new(),
        })
    }
}

/// Where to write the errors of a command line, as far as it can be read in spite of them.
pub fn error_file(args: &Args, environment: &Environment) -> Option<PathBuf> {
    let mut r = OptionReader::new(args, environment).ok()?;
    let root = r.path(&ROOT).unwrap_or_else(|| r.absolute(""));
    Some(root.join(r.find(&ERROR_FILE)?))
}

#[cfg(test)]
pub(crate) mod tests;
