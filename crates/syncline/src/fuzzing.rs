//! What is private and reads what strangers wrote, for the targets in `fuzz/`. No part of the library's interface.

pub use crate::args::{Parsed, parse};
pub use crate::config::Config;
pub use crate::config::many::{ManyConfig, of_text as many};
pub use crate::receive::form_payload;
pub use crate::receive::fuzzing::push;
pub use crate::schedule::{Next, Policy, Schedule};
pub use crate::serve::Pages;
pub use crate::status::{Facts, Outcome, Published, Status};

/// The cookies of a file.
pub fn cookies(text: &str) -> Result<Vec<sync_core::Cookie>, usize> {
    crate::login::cookies::parse(text, 0)
}

/// The logins of a `.netrc`.
pub fn netrc(text: &str) -> Result<Vec<sync_core::Login>, String> {
    crate::login::netrc::parse(text).map(|found| found.logins)
}
