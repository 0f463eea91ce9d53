//! Files with logins.

#[path = "../../../crates/syncline/src/login/cookies.rs"]
mod cookies;
#[path = "../../../crates/syncline/src/login/files.rs"]
mod files;
#[path = "../../../crates/syncline/src/login/netrc.rs"]
mod netrc;

pub fn cookies(text: &str) -> Result<Vec<sync_core::Cookie>, usize> {
    cookies::parse(text, 0)
}

pub fn netrc(text: &str) -> Result<Vec<sync_core::Login>, String> {
    netrc::parse(text).map(|found| found.logins)
}
