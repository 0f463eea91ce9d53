//! Replaces `download.rs` without the feature `http`.

use super::{LfsFetcher, Missing};
use crate::error::{Error, ErrorKind, Result};
use crate::fetched::WantedContent;
use crate::lfs::endpoint::Endpoint;
use crate::lfs::store::LfsStore;

pub(super) fn from_server<'a>(
    fetcher: &LfsFetcher,
    _: &Endpoint,
    _: &'a [WantedContent],
    _: &LfsStore,
) -> Result<(String, Vec<Missing<'a>>)> {
    let text = "sync-core was built without its feature `http`";
    Err(Error::new(ErrorKind::Configuration, format!("fetch Git LFS objects of {}", fetcher.remote), text))
}
