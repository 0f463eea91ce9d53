//! The engines against real servers. `scripts/install-relay-servers` installs those that are no Debian packages.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod behaviours;
mod directory;
mod http;
mod nats;
mod nats_cluster;
mod nats_faults;
mod nats_logins;
mod s3;
mod support;
