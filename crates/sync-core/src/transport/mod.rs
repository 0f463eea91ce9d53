//! Connections to servers: HTTP(S), SSH and git:// as gix's transports. Local repositories need none: `fetch` reads
//! them in process, where gix would start `git-upload-pack`.
//!
//! HTTP and SSH are features of the crate. Without a feature its URLs still parse, but connecting is an error.

pub(crate) mod agent;
#[cfg(feature = "http")]
pub(crate) mod answer;
mod challenges;
#[cfg(feature = "http")]
pub(crate) mod client;
pub(crate) mod connections;
#[cfg(feature = "http")]
mod connector;
mod dial;
#[cfg(feature = "http")]
pub(crate) mod download;
#[cfg(feature = "http")]
mod exchange;
pub(crate) mod git;
#[cfg_attr(not(feature = "http"), path = "http_absent.rs")]
pub(crate) mod http;
#[cfg(feature = "http")]
mod http_known;
#[cfg(feature = "http")]
mod http_options;
#[cfg(feature = "http")]
mod http_pool;
#[cfg(feature = "http")]
mod lines;
pub(crate) mod options;
pub(crate) mod proxy;
pub(crate) mod read_budget;
#[cfg(feature = "http")]
pub(crate) mod redirect;
#[cfg(feature = "http")]
pub(crate) mod request;
pub(crate) mod requests;
mod server_messages;
mod socket;
#[cfg_attr(not(feature = "ssh"), path = "ssh/absent.rs")]
pub(crate) mod ssh;
pub(crate) mod status;
#[cfg(feature = "http")]
mod stream;
#[cfg(feature = "http")]
mod system_certificates;
#[cfg(feature = "http")]
mod tls;
#[cfg(feature = "http")]
mod tls_errors;

#[cfg(not(all(feature = "http", feature = "ssh")))]
fn not_built_in(step: String, feature: &str) -> crate::error::Error {
    let text = format!("sync-core was built without its feature `{feature}`");
    crate::error::Error::new(crate::error::ErrorKind::Configuration, step, text)
}
