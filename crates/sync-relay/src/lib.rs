//! Carry Git commits from a few feeders to any number of followers.
//!
//! A [`Feeder`] writes what a mirror has published to an [engine]: a [`Tip`], which says which commit is current and
//! which packs make it, and the packs. A [`Follower`] is a [`Relay`](sync_core::Relay): give it to
//! [`MirrorBuilder::relay`](sync_core::MirrorBuilder::relay), and the mirror fetches from the engine in place of a git
//! server.
//!
//! ```text
//! git server ──▶ feeder ──tip, packs──▶ engine ──▶ followers
//! ```
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::{Duration, SystemTime};
//!
//! use sync_core::{Clock, ConnectOptions, Mirror, RemoteUrl, Source, Store};
//! use sync_relay::engine::{self, Access, Connections, Login};
//! use sync_relay::{Facts, Fallback, Follower, FollowerOptions};
//!
//! # fn monotonic() -> Duration { Duration::ZERO }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let url = "nats://relay.example.com".parse()?;
//! let store = Store::open("/srv/site".as_ref(), Default::default())?;
//! let options = FollowerOptions {
//!     name: "site".parse()?,
//!     key_file: None,
//!     fallback: Fallback::Never,
//!     memory: store.relay_file(),
//!     clock: Clock { wall: SystemTime::now, monotonic },
//! };
//! // Called from another thread when there are news: let it start the next sync.
//! let wake = Arc::new(|| println!("news"));
//! let access = Access::new(ConnectOptions::default(), Arc::new(|| Ok(Login::None)), wake);
//! let engine = engine::open(&url, &options.name, access, &Connections::default());
//! let follower = Follower::new(engine, options, Facts::default());
//! let source = Source::new(RemoteUrl::of_relay("relay.example.com/site"), "HEAD".parse()?);
//! let mut mirror = Mirror::builder(source).relay(Box::new(follower)).build(store);
//! mirror.sync()?;
//! # Ok(())
//! # }
//! ```
//!
//! Any number of feeders may write for one name, without an election: a tip replaces only the one that its writer had
//! read. Followers check every object, never go back in generation, and, where a key is given, accept only signed tips.

mod checked;
pub mod engine;
mod envelope;
mod facts;
mod feed;
mod follow;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod hex;
mod keys;
mod looks;
mod memory;
mod name;
mod pack_file;
mod pause;
mod refusal;
mod tip;

pub use facts::{Facts, Known, PackKind};
pub use feed::{Feeder, FeederOptions};
pub use follow::{Fallback, Follower, FollowerOptions};
pub use keys::{PublicKeys, SigningKey};
pub use looks::Published;
pub use name::RelayName;
pub use refusal::{Reason, Refusal};
pub use tip::Tip;
