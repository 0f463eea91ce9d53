//! Push hooks: Git servers say over HTTP that something was pushed, and a look follows at once. A hook proves that its
//! sender knows a secret, and then only that something may have happened: what it says is never fetched, and polling
//! goes on.
//!
//! A request goes through [`listener`], which reads its [`body`] while the [`proof`] is computed; [`payload`] says what
//! is in it, and [`matching`] what that means for a repository. `Pushes` hands it to the loop by the rules of
//! [`working`].

mod body;
mod config;
mod denials;
mod form;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod listener;
mod matching;
mod payload;
mod proof;
mod pushes;
mod secrets;
mod targets;
mod working;

pub use config::{PushConfig, ReceiveConfig, pushes, receive};
#[cfg(feature = "fuzzing")]
pub use form::payload as form_payload;
pub use listener::Listener;
pub use pushes::Pushes;
pub use targets::Targets;
pub use working::Seen;
#[cfg(test)]
pub use working::Terms;
