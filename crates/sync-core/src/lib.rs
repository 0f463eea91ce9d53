//! Keep a directory in step with a Git reference: fetch a shallow history, check out the tree, and publish it
//! atomically.
//!
//! [`Mirror`] does all of this: build one, and call [`Mirror::sync`] periodically. A [`Publisher`] shows the trees
//! to consumers; without one the caller gets the path of the finished tree.
//!
//! ```text
//! Source ──resolve──▶ Tip ──fetch──▶ Fetched ──checkout──▶ Worktree ──publish──▶ consumers
//!                                       │                      │
//!                                  Store (.git)         .worktrees/<id>
//! ```
//!
//! The crate is blocking Rust over gitoxide. It runs no other program, and reads no clock, no environment variable and
//! no git configuration of the machine. It needs no async runtime (SSH uses one internally). The caller decides when to
//! sync, how long that may take ([`Interrupt`]), and how much memory and how many threads to use ([`Resources`]).
//!
//! The features `http` and `ssh`, both on by default, add these transports; git:// and local repositories always work.
//! A URL that needs a missing transport is an error that names the feature. Signatures by SSH are verified with `ssh`,
//! those by OpenPGP with `openpgp`, which is on by default, too.
//!
//! Several mirrors may share a [`Pool`]: it bounds how many work at once, and divides the memory among them.
//!
//! There are six examples, which run until they are stopped: `config_reloader`, `release_follower`, `signed_policies`,
//! `many_mirrors`, `docs_builder` (under tokio) and `ci_checkout`. The single steps are in [`stages`].

// Without one of the features, code that only its transport uses is dead. Marking each such item would be noise.
#![cfg_attr(not(all(feature = "http", feature = "openpgp", feature = "ssh")), allow(dead_code))]

mod attributes;
mod bounded_read;
mod checkout;
mod convert;
mod credentials;
mod error;
mod fetch;
mod fetched;
mod fs_ext;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod index_pack;
mod interrupt;
mod lfs;
mod limits;
mod mirror;
mod objects;
mod paths;
mod permits;
mod progress;
mod relay;
mod repack;
mod resources;
mod secret;
mod signatures;
mod spec;
mod store;
mod threads;
mod transport;
mod trees;
mod url;
mod wildcards;
mod worktree;

pub use bounded_read::{LARGEST_FILE, read_bounded, read_bounded_text};
pub use checkout::Worktree;
pub use checkout::lfs::LfsCounts;
pub use checkout::staging::Origin;
pub use credentials::{Cookie, Credentials, Login, Scope};
pub use error::{Error, ErrorKind, ParseError, Recovery, Result};
pub use fetched::Received;
pub use fetched::Tip;
pub use interrupt::Interrupt;
pub use limits::Limits;
pub use mirror::{
    Candidate, Change, ChangeKind, Clock, CredentialProvider, Decision, Found, Held, Look, MinAge, Mirror,
    MirrorBuilder, Notice, Pool, Publisher, Repack, Retention, Rule, Rules, Severity, SyncOutcome, TreeGuard,
    Update, Verifier,
};
pub use paths::{relative_path, without_dots};
pub use permits::{Permit, PermitRequest};
pub use progress::{Progress, Snapshot, Stage};
pub use relay::{Relay, RelayLink, RelayLook, RelayPack, RelayTip};
pub use resources::Resources;
pub use secret::{Auth, Secret};
pub use signatures::{
    ExpiredKeys, Judged, Refusal, RefusalReason, SignatureFormat, SignaturePolicy, SignatureVerifier,
    SignedObject, Signer, VerifyMode,
};
pub use spec::filter::Filter;
pub use spec::lfs::{LfsConfig, LfsSelection, MissingContent};
pub use spec::path_patterns::PathPatterns;
pub use spec::ref_pattern::RefPattern;
pub use spec::reference::{CommitId, Reference};
pub use spec::sparse::SparsePatterns;
pub use spec::subdirectory::Subdirectory;
pub use spec::submodules::{SubmoduleMode, SubmoduleRules};
pub use spec::version::Version;
pub use spec::version_range::VersionRange;
pub use spec::version_tags::{TagPrefix, VersionTags};
pub use spec::watch_paths::WatchPaths;
pub use spec::{Depth, Selection, Source, SymlinkPolicy};
pub use store::Store;
pub use store::history::CommitInfo;
#[cfg(feature = "http")]
pub use transport::client::{HttpBody, HttpCall, HttpClient, HttpReply};
pub use transport::options::{ConnectOptions, HttpSetting, ProtocolPolicy, is_loopback};
pub use transport::proxy::{NoProxy, Proxies, Proxy};
#[cfg(feature = "http")]
pub use transport::request::HttpRequest;
pub use transport::requests::{RequestObserver, RequestResult};
pub use transport::ssh::options::{HostKeys, SshOptions};
pub use url::RemoteUrl;
pub use url::scope::UrlScope;

/// The single steps of a [`Mirror`], for callers that need another procedure. They do not repair, publish, repack or
/// delete anything: the caller then has to do what [`Mirror::update`] and [`Mirror::maintain`] do between the steps.
///
/// ```no_run
/// use sync_core::stages::{Fetcher, checkout};
/// use sync_core::{ConnectOptions, Interrupt, Progress, Resources, Source, Store};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let source = Source::new("https://example.com/site.git".parse()?, "main".parse()?);
/// let (interrupt, progress) = (Interrupt::new(), Progress::new());
/// let mut store = Store::open("/srv/site".as_ref(), Resources::default())?;
/// let mut fetcher = Fetcher::new(source, ConnectOptions::default(), interrupt.clone(), progress.clone());
/// let tip = fetcher.resolve()?;
/// let fetched = fetcher.fetch(&tip, &mut store)?;
/// let tree = checkout(&store, &fetched, None, &progress, &interrupt)?;
/// # Ok(())
/// # }
/// ```
pub mod stages {
    pub use crate::checkout::staging::{StagePlan, StagedTree};
    pub use crate::checkout::verify::altered_files;
    pub use crate::checkout::{checkout, tree_size};
    pub use crate::fetch::Fetcher;
    pub use crate::fetched::Fetched;
    pub use crate::store::history::Condition;
    pub use crate::store::repacking::RepackExtent;
}
