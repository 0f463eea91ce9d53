//! How to connect: everything about the connection that is not part of the source.

use std::net::IpAddr;
use std::path::PathBuf;

use super::proxy::{Proxies, Proxy};
use super::requests::RequestObserver;
use super::ssh::options::SshOptions;
use crate::credentials::Credentials;
use crate::resources::Resources;
use crate::url::RemoteUrl;
use crate::url::scope::UrlScope;

/// How to connect to servers. The default uses no proxy and no credentials, trusts the bundled certificate authorities,
/// and refuses every SSH server.
///
/// ```
/// use sync_core::{ConnectOptions, HttpSetting};
///
/// let mut options = ConnectOptions::default();
/// options.http.push((None, HttpSetting::CaFile("/etc/ca.pem".into())));
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// Git's `http.*` (without a scope) and `http.<url>.*` settings. Those with a closer scope are applied later. A
    /// later setting replaces an earlier one, or adds to it.
    pub http: Vec<(Option<UrlScope>, HttpSetting)>,
    /// HTTP settings for all URLs, applied after all of `http`.
    pub http_overrides: Vec<HttpSetting>,
    /// The resources of the machine. Their memory limits the size of a server's list of references.
    pub resources: Resources,
    /// The proxies for URLs without an [`HttpSetting::Proxy`]. Loopback addresses are reached directly.
    pub proxies: Proxies,
    /// The proxy for `git://` and SSH, which otherwise connect directly. It must not be an `https://` proxy.
    pub tunnel: Option<Proxy>,
    /// Logins and cookies for HTTP.
    pub credentials: Credentials,
    /// How to log in over SSH, and which servers to trust.
    pub ssh: SshOptions,
    /// URL prefixes and their replacements, as in Git's `url.<base>.insteadOf`. The longest matching prefix is
    /// replaced.
    pub rewrites: Vec<(String, String)>,
    /// URLs of submodules by name, which replace those in `.gitmodules`: Git's `submodule.<name>.url`. The last one for
    /// a name is used.
    pub submodule_urls: Vec<(String, RemoteUrl)>,
    /// Policies for the protocols `http`, `https`, `git`, `ssh` and `file`, or (without a name) for those not named:
    /// Git's `protocol.<name>.allow`. The last one for a name is used. As in Git, the default is `User` for `file` and
    /// `Always` for the others.
    pub protocols: Vec<(Option<String>, ProtocolPolicy)>,
    /// Who is told of every request.
    pub requests: RequestObserver,
}

/// Which URLs may use a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolPolicy {
    /// All URLs.
    Always,
    /// URLs from the user, but not those from a `.gitmodules`.
    User,
    /// No URL.
    Never,
}

/// One of Git's `http.*` settings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpSetting {
    /// An additional header, `Name: value`. It is never sent to another server after a redirect. An empty text removes
    /// the headers before it.
    Header(String),
    /// A file of PEM certificates to trust besides the bundled ones.
    CaFile(PathBuf),
    /// A directory of such files.
    CaDirectory(PathBuf),
    /// A bundle of the system, as [`ConnectOptions::trust_system_certificates`] finds it. Unlike in a `CaFile`,
    /// certificates that cannot be read are skipped.
    SystemCaFile(PathBuf),
    /// A file of PEM certificates to trust for `https://` proxies.
    ProxyCaFile(PathBuf),
    /// A file with the PEM client certificate and its chain.
    ClientCert(PathBuf),
    /// A file with the PEM key of the client certificate; by default the key is in the file of the certificate.
    ClientKey(PathBuf),
    /// Whether to verify the certificate of the server. The default is `true`.
    Verify(bool),
    /// The proxy to use, or `None` to connect directly.
    Proxy(Option<Proxy>),
    /// Whether to follow redirects of the first request to a repository. The default is `true`.
    FollowRedirects(bool),
    /// The value of the header `User-Agent`. The default begins with `git/`, as some servers require.
    UserAgent(String),
}

/// Whether a host is `localhost` or a loopback address. Such a host is reached without a proxy, and its connections
/// cannot be intercepted.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl ConnectOptions {
    /// All texts that errors must not quote. Some servers repeat in their errors what was sent to them.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let headers = self.http.iter().filter_map(|(_, setting)| match setting {
            HttpSetting::Header(line) => Some(line.split_once(':')?.1.trim()),
            _ => None,
        });
        // A server may repeat `Authorization: Bearer x` without its first word.
        let headers = headers.flat_map(|value| [Some(value), value.split_once(' ').map(|(_, rest)| rest)]);
        headers.flatten().map(ToOwned::to_owned).chain(self.credentials.secrets()).collect()
    }

    /// The proxy for a server that does not speak HTTP.
    pub(crate) fn tunnel_for(&self, host: &str, port: u16) -> Option<&Proxy> {
        self.tunnel.as_ref().filter(|_| !self.proxies.no_proxy.cover(host, port))
    }

    /// The URL after [`rewrites`](Self::rewrites): the longest matching prefix is replaced.
    #[must_use]
    pub fn rewrite(&self, url: &str) -> String {
        let matching = self.rewrites.iter().filter(|(from, _)| url.starts_with(from));
        match matching.max_by_key(|(from, _)| from.len()) {
            Some((from, to)) => format!("{to}{}", &url[from.len()..]),
            None => url.to_owned(),
        }
    }

    /// The URL that the user gave for a submodule.
    pub(crate) fn submodule_url(&self, name: &[u8]) -> Option<&RemoteUrl> {
        self.submodule_urls.iter().rev().find(|(named, _)| named.as_bytes() == name).map(|(_, url)| url)
    }

    /// Whether the protocol policy allows this URL when it comes from the user, or (`by_repository`) from a
    /// `.gitmodules`.
    #[must_use]
    pub fn allows(&self, url: &RemoteUrl, by_repository: bool) -> bool {
        let protocol = url.protocol();
        let last = |wanted: Option<&str>| {
            self.protocols
                .iter()
                .rev()
                .find(|(name, _)| name.as_deref() == wanted)
                .map(|(_, allowed)| *allowed)
        };
        let default = if protocol == "file" { ProtocolPolicy::User } else { ProtocolPolicy::Always };
        match last(Some(protocol)).or_else(|| last(None)).unwrap_or(default) {
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
