//! Ways to reach a repository. HTTP(S), SSH and git:// speak git's protocol through gix's transport traits; a local
//! repository is read in process (gix itself would start `git-upload-pack`).

pub(crate) mod agent;
pub(crate) mod answer;
mod connector;
mod dial;
mod exchange;
pub(crate) mod git;
pub(crate) mod http;
pub(crate) mod options;
pub(crate) mod proxy;
pub(crate) mod read_budget;
pub(crate) mod redirect;
pub(crate) mod request;
mod server_messages;
mod socket;
pub(crate) mod ssh;
mod stream;
mod system_certificates;
mod tls;
mod tls_errors;
