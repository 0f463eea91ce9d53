//! The real program against real servers. One binary, so that it links once.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr)]

mod support;

mod altered;
mod answers;
mod attributes;
mod by_id;
mod changes;
mod connecting;
mod container;
mod depth;
mod durability;
mod environment;
mod faults;
mod github;
mod hooks;
mod hostile;
mod image;
mod invariants;
mod kill;
mod lifecycle;
mod login_files;
mod logins;
mod manifests;
mod memory;
mod moving;
mod notifying;
mod options;
mod polling;
mod publishing;
mod random;
mod readme;
mod references;
mod refusals;
mod reusing;
mod secrets;
mod security;
mod selecting;
mod serving;
mod soak;
mod sources;
mod ssh;
mod ssh_algorithms;
mod ssh_hosts;
mod ssh_keys;
mod stepping;
mod store;
mod submodules;
mod systemd;
mod takeover;
mod talking;
mod telling;
mod tokens;
mod unpacking;
mod ways;
