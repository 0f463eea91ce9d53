//! Settings of the connection that are not part of the source.

use std::net::IpAddr;
use std::path::PathBuf;

use super::agent::USER_AGENT;
use super::proxy::{Proxies, Proxy};
use super::ssh::options::SshOptions;
use super::tls::TlsOptions;
use crate::credentials::Credentials;
use crate::resources::Resources;
use crate::url::RemoteUrl;
use crate::url::scope::Place;

/// How to connect, to whatever server.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// Settings for all HTTP URLs at and below a place, or for all there are. The closer the place, the later it
    /// comes: a later one replaces an earlier one, or adds to it.
    pub http: Vec<(Option<Place>, HttpSetting)>,
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
    pub protocols: Vec<(Option<String>, Allowed)>,
}

/// Who may name URLs of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
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
    UsualCaFile(PathBuf),
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

/// The settings for one URL.
#[derive(Debug)]
pub(super) struct HttpOptions {
    pub(super) headers: Vec<String>,
    pub(super) tls: TlsOptions,
    proxy_ca_files: Vec<PathBuf>,
    pub(super) user_agent: String,
    pub(super) follow_redirects: bool,
    proxy: Option<Option<Proxy>>,
    proxies: Proxies,
}

impl HttpOptions {
    fn apply(&mut self, setting: HttpSetting) {
        match setting {
            HttpSetting::Header(line) if line.is_empty() => self.headers.clear(),
            HttpSetting::Header(line) => self.headers.push(line),
            HttpSetting::CaFile(path) => self.tls.ca_files.push(path),
            HttpSetting::CaDirectory(path) => self.tls.ca_directories.push(path),
            HttpSetting::UsualCaFile(path) => self.tls.usual_ca_files.push(path),
            HttpSetting::ProxyCaFile(path) => self.proxy_ca_files.push(path),
            HttpSetting::ClientCert(path) => self.tls.client_cert = Some(path),
            HttpSetting::ClientKey(path) => self.tls.client_key = Some(path),
            HttpSetting::Verify(wanted) => self.tls.insecure = !wanted,
            HttpSetting::Proxy(proxy) => self.proxy = Some(proxy),
            HttpSetting::FollowRedirects(wanted) => self.follow_redirects = wanted,
            HttpSetting::UserAgent(text) => self.user_agent = text,
        }
    }

    /// How a proxy that speaks TLS is met. It is somebody else: what is forgiven to the server is not to it, and it
    /// does not get to know us.
    pub(super) fn proxy_tls(&self) -> TlsOptions {
        let mut tls = TlsOptions { client_cert: None, client_key: None, insecure: false, ..self.tls.clone() };
        tls.ca_files.extend(self.proxy_ca_files.iter().cloned());
        tls
    }

    /// The proxy on the way to a server.
    pub(super) fn proxy_for(&self, scheme: &str, host: &str, port: u16) -> Option<&Proxy> {
        let given = match &self.proxy {
            Some(given) => given.as_ref(),
            None => self.proxies.for_scheme(scheme).filter(|_| !is_loopback(host)),
        };
        given.filter(|_| !self.proxies.exceptions.cover(host, port))
    }
}

/// Whether a host is this machine: no proxy elsewhere reaches it, and nobody is on the way.
pub fn is_loopback(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl ConnectOptions {
    pub(super) fn http_for(&self, url: &str) -> HttpOptions {
        let url: Option<Place> = url.parse().ok();
        let fit = |scope: &Option<Place>| match scope {
            Some(scope) => scope.fit(url.as_ref()?).map(Some),
            None => Some(None),
        };
        let fitting = self.http.iter().filter_map(|(scope, setting)| Some((fit(scope)?, setting)));
        let mut settings: Vec<_> = fitting.collect();
        settings.sort_by_key(|(fit, _)| *fit);
        let mut options = HttpOptions {
            headers: Vec::new(),
            tls: TlsOptions::default(),
            proxy_ca_files: Vec::new(),
            user_agent: USER_AGENT.into(),
            follow_redirects: true,
            proxy: None,
            proxies: self.proxies.clone(),
        };
        let settings = settings.into_iter().map(|(_, setting)| setting).chain(&self.http_overrides);
        settings.for_each(|setting| options.apply(setting.clone()));
        options
    }

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
        self.tunnel.as_ref().filter(|_| !self.proxies.exceptions.cover(host, port))
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
        let usual = if protocol == "file" { Allowed::User } else { Allowed::Always };
        match last(Some(protocol)).or_else(|| last(None)).unwrap_or(usual) {
            Allowed::Always => true,
            Allowed::User => !by_repository,
            Allowed::Never => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closer_settings_come_later() {
        let setting = |scope: &str, setting| (scope.parse().ok(), setting);
        let proxy: Proxy = "http://proxy:1".parse().unwrap();
        let options = ConnectOptions {
            http: vec![
                setting("https://h/x", HttpSetting::Proxy(None)),
                setting("https://h/x", HttpSetting::Header("B: 2".into())),
                setting("", HttpSetting::Header("A: 1".into())),
                setting("", HttpSetting::Proxy(Some(proxy.clone()))),
                setting("HTTPS://u@H:443/", HttpSetting::Verify(false)),
                setting("https://h/x", HttpSetting::UserAgent("you".into())),
                setting("https://h/x/reset", HttpSetting::Header(String::new())),
            ],
            http_overrides: vec![HttpSetting::UserAgent("me".into())],
            proxies: Proxies { exceptions: "direct".into(), ..Proxies::default() },
            ..ConnectOptions::default()
        };
        let close = options.http_for("https://h/x/y");
        assert_eq!(
            (close.headers.as_slice(), close.tls.insecure),
            (&["A: 1".into(), "B: 2".to_owned()][..], true)
        );
        assert_eq!(close.proxy_for("https", "h", 443), None);
        assert_eq!(close.user_agent, "me");
        assert!(options.http_for("https://h/x/reset").headers.is_empty());
        let other = options.http_for("https://other/");
        assert_eq!((other.headers.len(), other.tls.insecure), (1, false));
        assert_eq!(other.proxy_for("https", "other", 443), Some(&proxy));
        assert_eq!(other.proxy_for("https", "direct", 443), None);
    }

    #[test]
    fn protocols_are_allowed_as_git_allows_them() {
        let options = |protocols: &[(Option<&str>, Allowed)]| ConnectOptions {
            protocols: protocols.iter().map(|(name, allowed)| (name.map(Into::into), *allowed)).collect(),
            ..ConnectOptions::default()
        };
        let (http, file): (RemoteUrl, RemoteUrl) = ("http://h/x".parse().unwrap(), "/x".parse().unwrap());
        let usual = options(&[]);
        assert!(usual.allows(&http, true) && usual.allows(&file, false) && !usual.allows(&file, true));
        let closed = options(&[(Some("https"), Allowed::Always), (None, Allowed::Never)]);
        assert!(!closed.allows(&http, false) && closed.allows(&"https://h/x".parse().unwrap(), true));
        assert!(options(&[(None, Allowed::User), (Some("file"), Allowed::Always)]).allows(&file, true));
    }
}
