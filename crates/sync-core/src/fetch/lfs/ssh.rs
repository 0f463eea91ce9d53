//! Asking an SSH server where its LFS server is, and for a login there (docs/api/server-discovery.md of git-lfs).

use serde_json::Value;

use super::{Headers, LfsFetcher};
use crate::error::{Error, ErrorKind, Result};
use crate::lfs::batch::{check_href, headers};
use crate::transport::ssh::{self, ProgramOutput};
use crate::url::ssh::SshUrl;

/// The URL of the LFS server, which is `guess` if the SSH server does not name one, and headers for it; `None` if the SSH
/// server does not know the question.
pub(super) fn authenticate(
    fetcher: &LfsFetcher,
    url: &SshUrl,
    guess: &str,
) -> Result<Option<(String, Headers)>> {
    let step = || format!("ask {url} for its Git LFS server with git-lfs-authenticate");
    let options = &fetcher.options;
    let ssh_options = (&options.ssh, options.tunnel_for(&url.host, url.port));
    let ProgramOutput { stdout, stderr, status } = ssh::run(
        &fetcher.connections.sessions,
        url,
        ssh_options,
        ("git-lfs-authenticate", "download"),
        &fetcher.interrupt,
    )
    .map_err(|failure| failure.into_error(step()))?;
    // Gerrit ends with 1 and says so.
    if status == Some(127) || stderr.contains("not found") {
        return Ok(None);
    }
    if status.is_some_and(|status| status != 0) {
        let text = format!("git-lfs-authenticate failed: {stderr}");
        return Err(Error::new(ErrorKind::Server, step(), text));
    }
    let refuse = |fault: String| Error::new(ErrorKind::Server, step(), fault);
    let answer: Value =
        serde_json::from_slice(&stdout).map_err(|err| refuse(format!("its answer is not JSON: {err}")))?;
    if !answer.is_object() {
        return Err(refuse("its answer is no object".into()));
    }
    let headers = headers(answer.get("header")).map_err(refuse)?;
    let href = match answer.get("href").filter(|href| !href.is_null()) {
        None => guess,
        Some(href) => href.as_str().ok_or_else(|| refuse("its answer has a href that is no text".into()))?,
    };
    // Its host key was verified, so it may name any server, but only over TLS.
    check_href(href, "https://").map_err(refuse)?;
    Ok(Some((href.trim_end_matches('/').to_owned(), headers)))
}
