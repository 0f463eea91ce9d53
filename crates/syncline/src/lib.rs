//! syncline keeps a directory in step with a Git reference and publishes every new commit atomically.
//!
//! This is the program as a library; `main.rs` only hands it the command line and the environment. Reading order:
//! [`app`] (from the command line to the exit code), `options` (the table), `args` (what was typed), `reader` and
//! `config` (what it means), `repository`, `run` (the loop), `many` (several loops), `worker` (what it drives), `publish` (the link), `hooks` and
//! `login` (each a list behind a trait), `schedule` (when to sync next).

#![cfg_attr(feature = "fuzzing", allow(missing_docs))]

pub mod app;
pub mod args;
mod ask;
mod board;
mod cgroup;
mod clock;
pub mod config;
pub mod environment;
mod first_sync;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod groups;
mod hex;
pub mod hooks;
mod listen;
mod log;
pub mod login;
mod manual;
mod many;
pub mod options;
pub mod origin;
mod processes;
mod progress_line;
pub mod publish;
pub mod reader;
mod receive;
mod reference;
#[cfg(feature = "relay")]
mod relay;
#[cfg(not(feature = "relay"))]
#[path = "relay_absent.rs"]
mod relay;
mod repository;
mod run;
pub mod schedule;
mod serve;
mod shared;
mod signals;
mod status;
mod stop;
mod systemd;
mod touch_and_error_files;
mod verifier;
mod worker;
