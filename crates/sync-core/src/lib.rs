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

mod bounded;
mod checkout;
mod credentials;
mod error;
mod fetch;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod interrupt;
mod limits;
mod objects;
mod paths;
mod progress;
mod protocol;
mod resources;
mod selection;
mod source;
mod store;
mod submodules;
mod transport;
mod trees;
mod unpack;
mod url;

pub use bounded::{LARGEST_FILE, read_bounded, read_bounded_text};
pub use checkout::{Draft, DraftPlan, Origin, Symlinks, Worktree, altered_files, checkout, tree_size};
pub use credentials::{Auth, Cookie, Credentials, Login, Scope, Secret};
pub use error::{Error, Recovery, Result};
pub use fetch::{Fetched, Tip, Upstream};
pub use interrupt::Interrupt;
pub use limits::Limits;
pub use paths::{relative_path, without_dots};
pub use progress::{Progress, Snapshot, Stage};
pub use resources::Resources;
pub use selection::{Filter, Selection, SparsePatterns};
pub use source::{CommitId, Depth, Reference, Source};
pub use store::{CommitInfo, Condition, OpenError, Store};
pub use submodules::{SubmoduleRules, Submodules};
pub use transport::ssh::{HostKeys, SshOptions};
pub use transport::{
    Allowed, ConnectOptions, Exceptions, HttpRequest, HttpSetting, Proxies, Proxy, count_certificates,
    is_loopback,
};
pub use url::{Place, RemoteUrl};
