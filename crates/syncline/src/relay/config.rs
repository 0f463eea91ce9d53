//! What the options of the relay mean.

use std::path::PathBuf;
use std::time::Duration;

use ring::digest::{SHA256, digest};
use sync_core::{ConnectOptions, Depth, Reference, RemoteUrl, Source, SubmoduleMode};
use sync_relay::engine::RelayUrl;
use sync_relay::{PublicKeys, RelayName, SigningKey};

use super::login::RelayLogin;
use crate::hex::hex;
use crate::options::{
    FILTER, LFS, LFS_URL, ONE_TIME, REF, RELAY_EXPECT, RELAY_FALLBACK, RELAY_INLINE, RELAY_KEEP,
    RELAY_KEY_FILE, RELAY_NAME, RELAY_PASSWORD_FILE, RELAY_PERIOD, RELAY_ROLE, RELAY_SIGN_KEY_FILE,
    RELAY_TOKEN_FILE, RELAY_URL, RELAY_USERNAME, REPO, RelayRole, Row, SUBMODULES,
};
use crate::reader::OptionReader;

/// How often to ask an engine, by default: one that tells news, and one that does not.
const QUIET_PERIOD: Duration = Duration::from_secs(60);
const POLL_PERIOD: Duration = Duration::from_secs(1);

/// How long the relay may be out of reach before the git server is asked.
const FALLBACK: Duration = Duration::from_secs(300);

/// The largest pack that may travel with a tip.
const MOST_INLINE: u64 = 128 << 10;

/// Which relay to use, and how.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    pub(super) url: RelayUrl,
    pub(super) name: RelayName,
    pub(super) login: RelayLogin,
    pub(super) connect: ConnectOptions,
    pub(super) role: Role,
}

/// What to do with the relay.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Role {
    Follow {
        key_file: Option<PathBuf>,
        /// `None`: never.
        fallback: Option<Duration>,
        period: Duration,
    },
    Feed {
        sign_key_file: Option<PathBuf>,
        inline: u64,
        keep: Duration,
        followers: u32,
        depth: Depth,
    },
}

impl RelayConfig {
    /// How often a follower looks; `None` for a feeder.
    pub fn period(&self) -> Option<Duration> {
        match self.role {
            Role::Follow { period, .. } => Some(period),
            Role::Feed { .. } => None,
        }
    }
}

/// What stands for the repository's URL where a follower has none.
pub fn place_of(r: &mut OptionReader) -> Option<RemoteUrl> {
    let is_follower = r.is_set(&RELAY_URL) && r.get(&RELAY_ROLE) == RelayRole::Follow;
    if !is_follower || r.is_set(&REPO) {
        return None;
    }
    let url = r.find(&RELAY_URL)?;
    let name = r.find(&RELAY_NAME).unwrap_or_default();
    let shown = url.parse::<RelayUrl>().map(|url| url.to_string()).unwrap_or_default();
    Some(RemoteUrl::of_relay(format!("{}/{name}", shown.trim_end_matches('/'))))
}

/// `None` without a relay, or if something is wrong.
pub fn read(
    r: &mut OptionReader,
    source: Option<&mut Source>,
    connect: &ConnectOptions,
) -> Option<RelayConfig> {
    if !r.is_set(&RELAY_URL) {
        let others: [&Row; 12] = [
            RELAY_ROLE.row(),
            &RELAY_NAME,
            &RELAY_USERNAME,
            &RELAY_PASSWORD_FILE,
            &RELAY_TOKEN_FILE,
            &RELAY_KEY_FILE,
            &RELAY_SIGN_KEY_FILE,
            &RELAY_FALLBACK,
            &RELAY_PERIOD,
            RELAY_INLINE.row(),
            RELAY_KEEP.row(),
            RELAY_EXPECT.row(),
        ];
        r.error_each(&others, "needs --relay-url");
        return None;
    }
    let url = parsed::<RelayUrl>(r, &RELAY_URL);
    let role = r.get(&RELAY_ROLE);
    let given = parsed::<RelayName>(r, &RELAY_NAME);
    let login = RelayLogin::read(r);
    let (source, name) = match source {
        Some(source) => {
            let name = given.or_else(|| default_name(r, source));
            (source, name)
        }
        None => return None,
    };
    let role = match role {
        RelayRole::Follow => follow(r, url.as_ref(), source),
        RelayRole::Feed => feed(r, url.as_ref(), source),
    };
    Some(RelayConfig { url: url?, name: name?, login, connect: connect.clone(), role: role? })
}

/// The value as a type of the relay's crate.
fn parsed<T: std::str::FromStr<Err = sync_core::ParseError>>(
    r: &mut OptionReader,
    option: &crate::options::Opt<String>,
) -> Option<T> {
    let text = r.find(option)?;
    text.parse().map_err(|error| r.error(option, error)).ok()
}

/// A name that feeders and followers of the same repository and reference find by themselves.
fn default_name(r: &mut OptionReader, source: &Source) -> Option<RelayName> {
    if r.is_set(&RELAY_NAME) {
        return None; // there is an error already
    }
    if !r.is_set(&REPO) {
        r.error(&RELAY_NAME, "must be given, since there is no --repo to make it from");
        return None;
    }
    let last = source.written.last_component().to_ascii_lowercase();
    let last = last.strip_suffix(".git").unwrap_or(&last);
    let plain: String = last.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(50).collect();
    let digest = digest(&SHA256, format!("{}\n{}", source.written, source.reference).as_bytes());
    format!("{plain}-{}", hex(&digest.as_ref()[..4])).trim_start_matches('-').parse().ok()
}

fn follow(r: &mut OptionReader, url: Option<&RelayUrl>, source: &mut Source) -> Option<Role> {
    let others: [&Row; 4] = [&RELAY_SIGN_KEY_FILE, RELAY_INLINE.row(), RELAY_KEEP.row(), RELAY_EXPECT.row()];
    r.error_each(&others, "is for --relay-role=feed");
    common(r, source, "follows a relay");
    if !matches!(source.reference, Reference::Name(_)) {
        r.error(&REF, "must name a branch or a tag, or be left out, since the feeder chooses what to follow");
    }
    let has_repo = r.is_set(&REPO);
    if r.get(&LFS) && !has_repo && !r.is_set(&LFS_URL) {
        r.error(&LFS, "needs --repo or --lfs-url: a relay has no objects of Git LFS");
    }
    let key_file = r.path(&RELAY_KEY_FILE);
    if let Some(Err(error)) = key_file.as_deref().map(PublicKeys::read) {
        r.error(&RELAY_KEY_FILE, error);
    }
    let fallback = match r.find(&RELAY_FALLBACK) {
        Some(Some(_)) if !has_repo => {
            r.error(&RELAY_FALLBACK, "needs --repo");
            None
        }
        Some(given) => given,
        None => has_repo.then_some(FALLBACK),
    };
    let tells_news = url.is_some_and(|url| url.kind().tells_news());
    let period = r.find(&RELAY_PERIOD).unwrap_or(if tells_news { QUIET_PERIOD } else { POLL_PERIOD });
    Some(Role::Follow { key_file, fallback, period })
}

fn feed(r: &mut OptionReader, url: Option<&RelayUrl>, source: &mut Source) -> Option<Role> {
    let others: [&Row; 3] = [&RELAY_KEY_FILE, &RELAY_FALLBACK, &RELAY_PERIOD];
    r.error_each(&others, "is for --relay-role=follow");
    common(r, source, "feeds a relay");
    if matches!(source.reference, Reference::Commit(_)) {
        r.error(&REF, "must not be a commit, since a relay is fed with what a reference names");
    }
    if r.get(&ONE_TIME) {
        r.error(&ONE_TIME, "cannot be combined with --relay-role=feed");
    }
    if url.is_some_and(|url| !url.kind().can_be_written()) {
        r.error(
            &RELAY_URL,
            "cannot be fed over HTTP; feed a directory (file://) that the web server serves, or s3://",
        );
    }
    let sign_key_file = r.path(&RELAY_SIGN_KEY_FILE);
    if let Some(Err(error)) = sign_key_file.as_deref().map(SigningKey::read) {
        r.error(&RELAY_SIGN_KEY_FILE, error);
    }
    let inline = r.get(&RELAY_INLINE);
    if inline > MOST_INLINE {
        r.error(&RELAY_INLINE, "must be at most 128KiB");
    }
    let followers = r.get(&RELAY_EXPECT).try_into().unwrap_or(u32::MAX);
    Some(Role::Feed { sign_key_file, inline, keep: r.get(&RELAY_KEEP), followers, depth: source.depth })
}

/// What neither a feeder nor a follower can do.
fn common(r: &mut OptionReader, source: &mut Source, what: &str) {
    r.error_each(&[&FILTER], &format!("cannot be combined with a process that {what}: packs are complete"));
    if r.is_given(&SUBMODULES) && source.selection.submodules != SubmoduleMode::Off {
        r.error(
            &SUBMODULES,
            format!("must be off in a process that {what}: packs of submodules are not relayed"),
        );
    }
    source.selection.submodules = SubmoduleMode::Off;
}
