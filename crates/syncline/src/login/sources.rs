//! All token sources.
//!
//! To add one, write a file with a type that implements [`TokenSource`](super::source::TokenSource) and a `KIND`, and add
//! that here.

use super::source::SourceKind;
use super::{askpass, github, oauth};

/// All kinds of token sources.
pub static SOURCES: [SourceKind; 3] = [askpass::KIND, github::KIND, oauth::KIND];
