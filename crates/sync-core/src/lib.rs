//! Keep a directory in step with a Git reference: fetch it, shallowly, and materialise its tree.
//!
//! ```text
//! Source ──Upstream::look──▶ Tip ──Upstream::receive──▶ Fetched ──checkout──▶ Worktree
//!                                         │                         │
//!                                       Store  (.git)          .worktrees/<id>
//! ```
//!
//! The crate is plain blocking Rust over gitoxide. It knows no clock, no environment variable and no flag, and shows
//! no async runtime (SSH has one inside); it runs no other program and reads no git configuration of the machine. Whoever embeds it
//! decides when to look, how long to wait (by [`Interrupt`]) and what to publish.
//!
//! Modules in reading order: `source` and `url` (what to fetch), `store` (the repository under the root), `fetch` with
//! `transport` (bring objects), `objects` (which objects a commit needs), `checkout` (make files), and the small
//! ones: `error`, `interrupt`, `progress`.
//!
//! See `examples/clone.rs` for the whole of it in use.

mod attributes;
mod bounded;
mod checkout;
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

pub use bounded::{LARGEST_FILE, read_bounded, read_bounded_text};
pub use checkout::draft::{Draft, DraftPlan, Origin};
pub use checkout::verify::altered_files;
pub use checkout::{Worktree, checkout, tree_size};
pub use credentials::{Cookie, Credentials, Login, Scope};
pub use error::{Error, ErrorKind, ParseError, Recovery, Result};
pub use fetch::Upstream;
pub use fetched::{Fetched, Tip};
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
pub use spec::submodules::{SubmoduleRules, Submodules};
pub use spec::{Depth, Selection, Source, Symlinks};
pub use store::Store;
pub use store::history::{CommitInfo, Condition};
pub use transport::options::{Allowed, ConnectOptions, HttpSetting, is_loopback};
pub use transport::proxy::{Exceptions, Proxies, Proxy};
pub use transport::request::HttpRequest;
pub use transport::ssh::options::{HostKeys, SshOptions};
pub use url::RemoteUrl;
pub use url::scope::Place;
