//! Push hooks, as senders send them and as strangers might.

mod hostile;
mod many;
mod proofs;
mod pushes;
pub mod scene;
mod senders;
