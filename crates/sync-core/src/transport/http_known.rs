//! Requests after a handshake that an earlier transport made. gix's own would make buffers of 128 KiB for each poll, and
//! musl gives such memory back at once.

use std::any::Any;
use std::borrow::Cow;
use std::io::{self, BufRead};

use gix::bstr::BStr;
use gix::protocol::transport::Service;
use gix::protocol::transport::client::blocking_io::http::{Http, PostResponse};
use gix::protocol::transport::client::blocking_io::{RequestWriter, SetServiceResponse, Transport};
use gix::protocol::transport::client::{Error, MessageKind, TransportWithoutIO, WriteMode};

use super::http_pool::HttpPool;
use super::lines::Lines;

/// A transport of protocol v2, in which requests do not depend on each other.
pub(super) struct Known<H> {
    pub(super) client: H,
    pub(super) base: String,
    pub(super) pool: HttpPool,
    pub(super) lines: Option<Lines>,
}

impl<H> TransportWithoutIO for Known<H> {
    fn to_url(&self) -> Cow<'_, BStr> {
        Cow::Borrowed(self.base.as_str().into())
    }

    fn connection_persists_across_multiple_requests(&self) -> bool {
        false
    }

    fn configure(&mut self, _config: &dyn Any) -> gix::Result<()> {
        Ok(())
    }
}

impl<H: Http<ResponseBody: Send + 'static>> Transport for Known<H> {
    fn handshake<'a>(
        &mut self,
        _service: Service,
        _extra: &'a [(&'a str, Option<&'a str>)],
    ) -> Result<SetServiceResponse<'_>, Error> {
        Err(io::Error::other("the handshake is over").into())
    }

    fn request(
        &mut self,
        write_mode: WriteMode,
        on_into_read: MessageKind,
        trace: bool,
    ) -> Result<RequestWriter<'_>, Error> {
        let lines = self.lines.get_or_insert_with(|| self.pool.lines());
        // gix does not read on to the end, and the connection is free only then.
        if !lines.inner_mut().fill_buf()?.is_empty() {
            return Err(io::Error::other("the last answer was not read to its end").into());
        }
        let url = format!("{}/git-upload-pack", self.base.strip_suffix('/').unwrap_or(&self.base));
        let headers = [
            "Content-Type: application/x-git-upload-pack-request",
            "Accept: application/x-git-upload-pack-result",
            "Git-Protocol: version=2",
        ];
        let posted = self.client.post(&url, &self.base, headers, write_mode.into()).map_err(Error::Http)?;
        let PostResponse { post_body, body, .. } = posted;
        lines.replace(Box::new(body));
        let reader = Box::new(lines.as_read_without_sidebands());
        Ok(RequestWriter::new_from_bufread(post_body, reader, write_mode, on_into_read, trace))
    }
}

impl<H> Drop for Known<H> {
    fn drop(&mut self) {
        if let Some(lines) = self.lines.take() {
            self.pool.keep_lines(lines);
        }
    }
}
