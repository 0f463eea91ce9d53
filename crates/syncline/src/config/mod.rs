//! What the options mean. Made in one step that reports every fault; nothing is touched and nobody asks
//! afterwards whether an option was given.

mod connect;
mod credential;
mod environment;
mod faults;
mod git_config;
mod hooks;
mod limits;
mod login;
mod ssh;
mod tokens;
mod values;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sync_core::{
    ConnectOptions, Depth, Reference, RemoteUrl, Repack, Selection, Source, SparsePatterns, Submodules,
    Symlinks,
};

use crate::args::Args;
use crate::schedule::Policy;

pub use credential::{Proof, SecretFrom};
pub use hooks::{ExecHook, NotifyHook, WebHook};
pub use login::{Cookies, Issuer, Login, Netrc, Way};
pub use tokens::{GitHubApp, Grant, OAuth};

use faults::Reader;

/// Everything the program runs by.
#[derive(Clone, Debug)]
pub struct Config {
    pub source: Source,
    pub connect: ConnectOptions,
    /// Where the sparse patterns of `source` are, if in a file.
    pub sparse_file: Option<PathBuf>,
    pub login: Login,
    /// Absolute.
    pub root: PathBuf,
    pub publish: Publish,
    /// What to publish. Absolute, or relative to the root once its symbolic links are resolved.
    pub link: PathBuf,
    pub touch_file: Option<PathBuf>,
    /// Absolute.
    pub error_file: Option<PathBuf>,
    pub group_write: bool,
    pub stale_worktree_timeout: Duration,
    /// How long a retired tree stays untouched before the next may be made from it.
    pub worktree_reuse_delay: Duration,
    /// `None`: only at start.
    pub worktree_check_period: Option<Duration>,
    /// Whether unchanged files are shared with the last tree.
    pub shares_files: bool,
    /// Whether everything is written to disk before the link is flipped.
    pub is_durable: bool,
    pub repack: Repack,
    pub wait_for_lock: bool,
    pub policy: Policy,
    pub sync_timeout: Duration,
    pub sync_on_signal: Option<i32>,
    pub exechook: Option<ExecHook>,
    pub pre_publish: Option<ExecHook>,
    pub pre_publish_required: bool,
    pub webhook: Option<WebHook>,
    pub notify: Option<NotifyHook>,
    pub http: Option<Http>,
    pub log: LogConfig,
    /// What is worth saying although it works.
    pub warnings: Vec<String>,
}

/// What the published path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publish {
    Symlink,
    /// A directory that is exchanged for the next one.
    Directory,
    /// A directory that is brought up to date file by file.
    InPlace,
}

/// The HTTP server.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// `host:port` or `:port`.
    pub bind: String,
    pub metrics: bool,
    /// Zero for never.
    pub stale_after: Duration,
}

/// How to log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    pub format: LogFormat,
    pub verbosity: u8,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON lines otherwise.
    #[default]
    Auto,
    Text,
    Json,
}

/// The shortest time that git-sync accepts for its periods.
const SHORTEST_PERIOD: Duration = Duration::from_millis(10);

impl Config {
    /// Judge what was typed, `faults` being what is known to be wrong already. Relative paths are taken from
    /// `cwd`.
    pub fn new(args: &Args, faults: Vec<String>, cwd: &Path) -> Result<Config, Vec<String>> {
        let mut r = Reader::new(args, faults);
        let settings = connect::git_settings(&mut r);
        let (mut connect, said) = connect::connect(&mut r, &settings, cwd);
        let mut warnings: Vec<_> = args.warnings.iter().cloned().chain(said).collect();
        connect.ssh = ssh::ssh(&mut r, cwd, &mut warnings);
        let url = r.required("repo", |text| connect.rewrite(text).parse::<RemoteUrl>());
        let url = url.map(|url| url.relative_to(cwd));
        // What only insteadOf makes a URL has no other form.
        let written =
            r.text("repo").and_then(|text| text.parse().ok()).map(|url: RemoteUrl| url.relative_to(cwd));
        if let Some(url) = url.as_ref().filter(|url| !connect.allows(url, false)) {
            let by_variable = r.variable("GIT_ALLOW_PROTOCOL").is_some();
            let forbids = if by_variable { "GIT_ALLOW_PROTOCOL" } else { "protocol.allow" };
            r.fault("repo", format!("is a URL of {}, which {forbids} forbids", url.protocol()));
        }
        let reference = reference(&mut r, &mut warnings);
        let depth = r.or("depth", Depth::default(), |text| match u32::try_from(values::integer(text)?) {
            Ok(depth) => Ok(Depth::new(depth)),
            Err(_) => Err(format!("{text:?} is not between 0 and {}", u32::MAX)),
        });
        let submodules = r.or("submodules", Submodules::Recursive, |text| match text {
            "recursive" => Ok(Submodules::Recursive),
            "shallow" => Ok(Submodules::Shallow),
            "off" => Ok(Submodules::Off),
            _ => Err(format!("{text:?} is neither recursive, shallow nor off")),
        });
        let symlinks = r.or("symlinks", Symlinks::Keep, str::parse);
        let limits = limits::limits(&mut r);
        let filter =
            r.or("filter", None, |text| if text.is_empty() { Ok(None) } else { text.parse().map(Some) });
        let sparse = r.or("sparse", None, sparse);
        let sparse_file = r.path("sparse-checkout-file").map(|file| cwd.join(file));
        if sparse.is_some() && sparse_file.is_some() {
            r.fault("sparse", "and --sparse-checkout-file cannot both be given");
        }
        let root =
            r.required("root", |text| if text.is_empty() { Err("is empty") } else { Ok(cwd.join(text)) });
        let publish = r.or("publish", Publish::Symlink, |text| match text {
            "symlink" => Ok(Publish::Symlink),
            "directory" => Ok(Publish::Directory),
            "in-place" => Ok(Publish::InPlace),
            _ => Err(format!("{text:?} is neither symlink, directory nor in-place")),
        });
        let link = link(&mut r, url.as_ref(), publish);
        let login = login::read(&mut r, url.as_ref(), &settings, cwd);
        let policy = policy(&mut r);
        let timeout = r.or("timeout", 0, |text| {
            u64::try_from(values::integer(text)?).map_err(|_| format!("{text:?} is negative"))
        });
        let sync_timeout = match timeout {
            0 => r.at_least(SHORTEST_PERIOD, "sync-timeout", Duration::from_secs(120)),
            seconds => Duration::from_secs(seconds),
        };
        let check_period = r.or("worktree-check-period", Duration::from_secs(600), values::duration);
        let worktree_reuse_delay = r.or("worktree-reuse-delay", Duration::from_secs(60), values::duration);
        let exechook = hooks::exec(&mut r, "exechook", Some("sync-hook-command"));
        let pre_publish = hooks::exec(&mut r, "pre-publish-exechook", None);
        let pre_publish_required = r.switch("pre-publish-exechook-required");
        let webhook = hooks::web(&mut r);
        let notify = hooks::notify(&mut r);
        let shares_files = r.or("checkout", true, |text| match text {
            "link" => Ok(true),
            "copy" => Ok(false),
            _ => Err(format!("{text:?} is neither link nor copy")),
        });
        let is_durable = r.or("durability", false, |text| match text {
            "none" => Ok(false),
            "data" => Ok(true),
            _ => Err(format!("{text:?} is neither none nor data")),
        });
        let repack = r.or("git-gc", Repack::WhenNeeded, |text| match text {
            "auto" | "always" => Ok(Repack::WhenNeeded),
            "aggressive" => Ok(Repack::Always),
            "off" => Ok(Repack::Never),
            _ => Err(format!("{text:?} is neither auto, always, aggressive nor off")),
        });
        let http = http(&mut r);
        let log = log(&mut r);
        if r.or("change-permissions", 0, values::integer) != 0 {
            r.fault("change-permissions", "is no longer supported; use --group-write");
        }
        let (touch_file, error_file) = (r.path("touch-file"), r.path("error-file"));
        let (group_write, wait_for_lock) = (r.switch("group-write"), r.switch("wait-for-lock"));
        let stale_worktree_timeout = r.or("stale-worktree-timeout", Duration::ZERO, values::duration);
        let sync_on_signal = r.or("sync-on-signal", None, |text| match text {
            "" => Ok(None),
            text => values::signal(text).map(Some),
        });
        let (Some(url), Some(root)) = (url, root) else { return Err(r.into_faults()) };
        let submodule_rules = git_config::submodule_rules(&settings);
        let selection = Selection { submodules, submodule_rules, sparse, symlinks, limits };
        let written = written.unwrap_or_else(|| url.clone());
        let config = Config {
            source: Source { url, written, reference, depth, filter, selection },
            sparse_file,
            connect,
            login,
            error_file: error_file.map(|file| root.join(file)),
            root,
            publish,
            link,
            touch_file,
            group_write,
            stale_worktree_timeout,
            worktree_reuse_delay,
            worktree_check_period: (!check_period.is_zero()).then_some(check_period),
            shares_files,
            is_durable,
            repack,
            wait_for_lock,
            policy,
            sync_timeout,
            sync_on_signal,
            exechook,
            pre_publish,
            pre_publish_required,
            webhook,
            notify,
            http,
            log,
            warnings,
        };
        r.finish(config)
    }
}

/// Where faults of the command line are to be written, as far as that can be told in spite of them.
pub fn error_file(args: &Args, cwd: &Path) -> Option<PathBuf> {
    let r = Reader::new(args, Vec::new());
    Some(cwd.join(r.path("root").unwrap_or_default()).join(r.path("error-file")?))
}

/// `--ref`, or git-sync v3's `--branch` and `--rev`, which may not both name something.
fn reference(r: &mut Reader, warnings: &mut Vec<String>) -> Reference {
    let head = || Reference::Name("HEAD".into());
    let today = r.or("ref", head(), Reference::from_str);
    let is_given = |r: &Reader, name: &str| r.set(name).is_some();
    let names_rev = is_given(r, "rev") && r.text("rev").as_deref() != Some("HEAD");
    match (is_given(r, "branch"), names_rev) {
        (true, true) => {
            r.fault("branch", "and --rev cannot both be given; use --ref");
            today
        }
        (true, false) => r.or("branch", head(), Reference::from_str),
        (false, true) => r.or("rev", head(), Reference::from_str),
        (false, false) if is_given(r, "rev") => {
            if is_given(r, "ref") && today != head() {
                let (rev, reference) = (r.origin("rev"), r.origin("ref"));
                warnings.push(format!(
                    "{rev}: HEAD undoes {reference}, as in git-sync; leave it out to sync {today}"
                ));
            }
            head()
        }
        (false, false) => today,
    }
}

fn sparse(text: &str) -> Result<Option<SparsePatterns>, String> {
    let directories: Vec<&str> =
        text.split(',').map(str::trim).filter(|directory| !directory.is_empty()).collect();
    match directories.iter().find(|directory| directory.contains(['*', '?', '[', '!', '\\'])) {
        Some(pattern) => {
            Err(format!("{pattern:?} is no directory; write patterns to a file for --sparse-checkout-file"))
        }
        None => Ok((!directories.is_empty()).then(|| SparsePatterns::directories(directories))),
    }
}

fn link(r: &mut Reader, url: Option<&RemoteUrl>, publish: Publish) -> PathBuf {
    let link = match (r.path("dest").or_else(|| r.path("link")), url) {
        (Some(link), _) => link,
        (None, _) if publish == Publish::InPlace => PathBuf::from("."),
        (None, Some(url)) => PathBuf::from(url.last_component()),
        (None, None) => return PathBuf::new(),
    };
    let first = link.components().next().map(|part| part.as_os_str().to_owned());
    if link.file_name().is_none() && publish != Publish::InPlace {
        r.fault("link", "must be given, since the URL ends in no name");
    } else if first.is_some_and(|first| first == ".git" || first == ".worktrees") {
        r.fault("link", format!("{} is where syncline keeps its own files", link.display()));
    }
    link
}

fn policy(r: &mut Reader) -> Policy {
    let wait = r.or("wait", 0.0, |text| match text.parse::<f64>() {
        Ok(seconds) if seconds == 0.0 || (0.01..1e9).contains(&seconds) => Ok(seconds),
        _ => Err(format!("{text:?} is not a number of seconds, 0.01 or more")),
    });
    let period = if wait > 0.0 {
        Duration::from_millis((wait * 1000.0) as u64)
    } else {
        r.at_least(SHORTEST_PERIOD, "period", Duration::from_secs(10))
    };
    let init_period = r.or("init-period", Duration::ZERO, |text| {
        let period = values::duration(text)?;
        if period.is_zero() || period >= SHORTEST_PERIOD {
            Ok(period)
        } else {
            Err(format!("{text:?} is shorter than 10ms"))
        }
    });
    let number = |text: &str| values::integer(text).map(Some);
    let max_failures = match r.or("max-sync-failures", 0, values::integer) {
        0 => r.or("max-failures", None, number),
        limit => Some(limit),
    };
    Policy {
        period,
        init_period: (!init_period.is_zero()).then_some(init_period),
        one_time: r.switch("one-time"),
        max_failures,
        init_max_failures: r.or("init-max-failures", None, number),
    }
}

fn http(r: &mut Reader) -> Option<Http> {
    let (metrics, pprof) = (r.switch("http-metrics"), r.switch("http-pprof"));
    let stale_after = r.or("stale-after", Duration::from_secs(300), values::duration);
    let bind = r.or("http-bind", None, |text| match text.rsplit_once(':') {
        _ if text.is_empty() => Ok(None),
        Some((_, port)) if port.parse::<u16>().is_ok() => Ok(Some(text.to_owned())),
        _ => Err(format!("{text:?} is no address and port, such as :8080")),
    });
    if bind.is_none() {
        for name in [("http-metrics", metrics), ("http-pprof", pprof)].into_iter().filter(|(_, on)| *on) {
            r.fault(name.0, "needs --http-bind");
        }
    }
    bind.map(|bind| Http { bind, metrics, stale_after })
}

fn log(r: &mut Reader) -> LogConfig {
    let format = r.or("log-format", LogFormat::Auto, |text| match text {
        "auto" => Ok(LogFormat::Auto),
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("{text:?} is neither auto, text nor json")),
    });
    let verbosity = match r.or("v", -1, values::integer) {
        older @ 0.. => older,
        _ => r.or("verbose", 0, values::integer),
    };
    LogConfig { format, verbosity: verbosity.clamp(0, 9) as u8 }
}

#[cfg(test)]
mod tests;
