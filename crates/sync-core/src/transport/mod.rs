//! Ways to reach a repository. HTTP(S), SSH and git:// speak git's protocol through gix's transport traits; a local
//! repository is read in process (gix itself would start `git-upload-pack`).

pub(crate) mod answer;
mod connector;
mod dial;
mod exchange;
pub(crate) mod git;
mod hearing;
pub(crate) mod http;
pub(crate) mod local;
mod options;
pub(crate) mod proxy;
mod ration;
pub(crate) mod redirect;
mod refusal;
mod request;
mod socket;
pub(crate) mod ssh;
mod tls;

pub use options::{Allowed, ConnectOptions, HttpSetting, is_loopback};
pub use proxy::{Exceptions, Proxies, Proxy};
pub(crate) use ration::Ration;
pub use request::HttpRequest;
pub use tls::count_certificates;

/// How the program presents itself to servers. Some answer only to agents that begin with `git/`.
pub(crate) const USER_AGENT: &str = concat!("git/2.0 (syncline/", env!("CARGO_PKG_VERSION"), ")");

/// The same for the protocol's `agent` capability, which allows no spaces.
pub(crate) const AGENT: &str = concat!("git/syncline-", env!("CARGO_PKG_VERSION"));
