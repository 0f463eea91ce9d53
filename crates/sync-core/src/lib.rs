//! Keep a directory in step with a Git reference: fetch it, shallowly, check its tree out, and publish it safely.
//!
//! [`Mirror`] is the whole of it: build one, and call [`Mirror::sync`] whenever it is time. What consumers read is shown
//! by a [`Publisher`]; without one the caller gets the finished tree.
//!
//! ```text
//! Source ──resolve──▶ Tip ──fetch──▶ Fetched ──checkout──▶ Worktree ──publish──▶ consumers
//!                                       │                      │
//!                                  Store (.git)         .worktrees/<id>
//! ```
//!
//! The crate is plain blocking Rust over gitoxide. It runs no other program, reads no clock, no environment variable and
//! none of the machine's git configuration, and shows no async runtime (SSH has one inside). The caller decides when to
//! sync, how long that may take ([`Interrupt`]), and how much of the machine to use ([`Resources`]).
//!
//! The features `http` and `ssh`, both on by default, build in these transports; git:// and local repositories are always
//! there. A URL of a transport that is not built in is an error that names its feature.
//!
//! The examples run for ever: `config_reloader`, `docs_builder` (under tokio) and `ci_checkout`. The single steps are
//! in [`stages`].

// Code that only one transport uses has no mark of its own: it is dead where that transport is left out.
#![cfg_attr(not(all(feature = "http", feature = "ssh")), allow(dead_code))]

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
mod limits;
mod mirror;
mod objects;
mod paths;
mod progress;
mod repack;
mod resources;
mod secret;
mod spec;
mod store;
mod threads;
mod transport;
mod trees;
mod url;
mod worktree;

pub use bounded_read::{LARGEST_FILE, read_bounded, read_bounded_text};
pub use checkout::Worktree;
pub use checkout::staging::Origin;
pub use credentials::{Cookie, Credentials, Login, Scope};
pub use error::{Error, ErrorKind, ParseError, Recovery, Result};
pub use fetched::Tip;
pub use interrupt::Interrupt;
pub use limits::Limits;
pub use mirror::{
    Change, ChangeKind, Clock, CredentialProvider, Mirror, MirrorBuilder, Notice, Publisher, Received,
    Repack, Retention, Severity, SyncOutcome, TreeGuard, Update, Verifier,
};
pub use paths::{relative_path, without_dots};
pub use progress::{Progress, Snapshot, Stage};
pub use resources::Resources;
pub use secret::{Auth, Secret};
pub use spec::filter::Filter;
pub use spec::reference::{CommitId, Reference};
pub use spec::sparse::SparsePatterns;
pub use spec::submodules::{SubmoduleMode, SubmoduleRules};
pub use spec::{Depth, Selection, Source, SymlinkPolicy};
pub use store::Store;
pub use store::history::CommitInfo;
pub use transport::options::{ConnectOptions, HttpSetting, ProtocolPolicy, is_loopback};
pub use transport::proxy::{NoProxy, Proxies, Proxy};
#[cfg(feature = "http")]
pub use transport::request::HttpRequest;
pub use transport::ssh::options::{HostKeys, SshOptions};
pub use url::RemoteUrl;
pub use url::scope::UrlScope;

/// The steps of a [`Mirror`], for those who arrange them otherwise. Nothing here repairs, publishes or removes anything
/// by itself: what [`Mirror::update`] and [`Mirror::maintain`] do after each step is then up to the caller.
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
}
