//! Settings of the connection that are not part of the source.

use std::net::IpAddr;
use std::path::PathBuf;

use super::proxy::{Proxies, Proxy};
use super::ssh::options::SshOptions;
use crate::credentials::Credentials;
use crate::resources::Resources;
use crate::url::RemoteUrl;
use crate::url::scope::UrlScope;

/// How to connect, to whatever server.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// Settings for all HTTP URLs at and below a place, or for all there are. The closer the place, the later it
    /// comes: a later one replaces an earlier one, or adds to it.
    pub http: Vec<(Option<UrlScope>, HttpSetting)>,
    /// Settings for all HTTP URLs that come after all of those.
    pub http_overrides: Vec<HttpSetting>,
    /// What of the machine may be used: it bounds what a server may say besides packs.
    pub resources: Resources,
    /// The proxies where no setting names one. Loopback addresses are reached without them.
    pub proxies: Proxies,
    /// The proxy for `git://` and SSH, which otherwise go directly.
    pub tunnel: Option<Proxy>,
    /// Who may log in where over HTTP.
    pub credentials: Credentials,
    /// How to log in over SSH, and whom to trust there.
    pub ssh: SshOptions,
    /// Beginnings of URLs and what to put in their place: git's `url.<base>.insteadOf`.
    pub rewrites: Vec<(String, String)>,
    /// Names of submodules and where they are, whatever `.gitmodules` says: git's `submodule.<name>.url`. The last
    /// counts.
    pub submodule_urls: Vec<(String, RemoteUrl)>,
    /// What may be used of the protocols `http`, `https`, `git`, `ssh` and `file`, or (without a name) of those not
    /// named: git's `protocol.<name>.allow`.
    pub protocols: Vec<(Option<String>, ProtocolPolicy)>,
}

/// Who may name URLs of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolPolicy {
    /// Everybody.
    Always,
    /// The user, but no `.gitmodules`.
    User,
    /// Nobody.
    Never,
}

/// One of git's `http.*` settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpSetting {
    /// A further header, `Name: value`; it never follows a redirect to another server. An empty one takes those
    /// before it back.
    Header(String),
    /// A file of PEM certificates to trust besides the bundled ones.
    CaFile(PathBuf),
    /// A directory of such files.
    CaDirectory(PathBuf),
    /// A file of them that nobody named, as [`ConnectOptions::trust_system_certificates`] finds it: what cannot be read
    /// of it is passed over.
    SystemCaFile(PathBuf),
    /// A file of PEM certificates to trust for proxies that speak TLS.
    ProxyCaFile(PathBuf),
    /// A file with our own PEM certificate and those that vouch for it.
    ClientCert(PathBuf),
    /// A file with its PEM key, where that is another file.
    ClientKey(PathBuf),
    /// Whether the server has to show a certificate that we trust.
    Verify(bool),
    /// The proxy to use, or none.
    Proxy(Option<Proxy>),
    /// Whether to go where the server of a repository points.
    FollowRedirects(bool),
    /// What to call ourselves.
    UserAgent(String),
}

/// Whether a host is this machine: no proxy elsewhere reaches it, and nobody is on the way.
pub fn is_loopback(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl ConnectOptions {
    /// Everything that a server may be told and nobody else: some servers repeat in their errors what they were told.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let headers = self.http.iter().filter_map(|(_, setting)| match setting {
            HttpSetting::Header(line) => Some(line.split_once(':')?.1.trim()),
            _ => None,
        });
        // `Authorization: Bearer x` may be repeated without its first word.
        let headers = headers.flat_map(|value| [Some(value), value.split_once(' ').map(|(_, rest)| rest)]);
        headers.flatten().map(ToOwned::to_owned).chain(self.credentials.secrets()).collect()
    }

    /// The proxy on the way to a server that does not speak HTTP.
    pub(crate) fn tunnel_for(&self, host: &str, port: u16) -> Option<&Proxy> {
        self.tunnel.as_ref().filter(|_| !self.proxies.no_proxy.cover(host, port))
    }

    /// The URL that `url` stands for: the longest beginning that is to be replaced is.
    pub fn rewrite(&self, url: &str) -> String {
        let matching = self.rewrites.iter().filter(|(from, _)| url.starts_with(from));
        match matching.max_by_key(|(from, _)| from.len()) {
            Some((from, to)) => format!("{to}{}", &url[from.len()..]),
            None => url.to_owned(),
        }
    }

    /// Where the user says that a submodule is.
    pub(crate) fn submodule_url(&self, name: &[u8]) -> Option<&RemoteUrl> {
        self.submodule_urls.iter().rev().find(|(named, _)| named.as_bytes() == name).map(|(_, url)| url)
    }

    /// Whether the user, or (`by_repository`) a `.gitmodules`, may name this URL.
    pub fn allows(&self, url: &RemoteUrl, by_repository: bool) -> bool {
        let protocol = url.protocol();
        let last = |wanted: Option<&str>| {
            self.protocols
                .iter()
                .rev()
                .find(|(name, _)| name.as_deref() == wanted)
                .map(|(_, allowed)| *allowed)
        };
        let usual = if protocol == "file" { ProtocolPolicy::User } else { ProtocolPolicy::Always };
        match last(Some(protocol)).or_else(|| last(None)).unwrap_or(usual) {
            ProtocolPolicy::Always => true,
            ProtocolPolicy::User => !by_repository,
            ProtocolPolicy::Never => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_allowed_as_git_allows_them() {
        let options = |protocols: &[(Option<&str>, ProtocolPolicy)]| ConnectOptions {
            protocols: protocols.iter().map(|(name, allowed)| (name.map(Into::into), *allowed)).collect(),
            ..ConnectOptions::default()
        };
        let (http, file): (RemoteUrl, RemoteUrl) = ("http://h/x".parse().unwrap(), "/x".parse().unwrap());
        let usual = options(&[]);
        assert!(usual.allows(&http, true) && usual.allows(&file, false) && !usual.allows(&file, true));
        let closed = options(&[(Some("https"), ProtocolPolicy::Always), (None, ProtocolPolicy::Never)]);
        assert!(!closed.allows(&http, false) && closed.allows(&"https://h/x".parse().unwrap(), true));
        assert!(
            options(&[(None, ProtocolPolicy::User), (Some("file"), ProtocolPolicy::Always)])
                .allows(&file, true)
        );
    }
}
