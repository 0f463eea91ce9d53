//! The HTTP settings that apply to one URL.

use std::io;
use std::path::PathBuf;

use super::agent::USER_AGENT;
use super::options::{ConnectOptions, HttpSetting, is_loopback};
use super::proxy::{Proxies, Proxy};
use super::tls::TlsOptions;
use crate::url::scope::UrlScope;

/// The HTTP settings for one URL.
#[derive(Debug)]
pub(super) struct HttpOptions {
    pub(super) headers: Vec<String>,
    pub(super) follow_redirects: bool,
    pub(super) connection: ConnectionOptions,
}

/// All settings that shape a connection. Only requests for which they are the same may share one.
#[derive(Debug, PartialEq)]
pub(super) struct ConnectionOptions {
    pub(super) tls: TlsOptions,
    proxy_ca_files: Vec<PathBuf>,
    pub(super) user_agent: String,
    proxy: Option<Option<Proxy>>,
    proxies: Proxies,
}

impl HttpOptions {
    fn apply(&mut self, setting: HttpSetting) {
        match setting {
            HttpSetting::Header(line) if line.is_empty() => self.headers.clear(),
            HttpSetting::Header(line) => self.headers.push(line),
            HttpSetting::FollowRedirects(wanted) => self.follow_redirects = wanted,
            other => self.connection.apply(other),
        }
    }
}

impl ConnectionOptions {
    fn apply(&mut self, setting: HttpSetting) {
        match setting {
            HttpSetting::CaFile(path) => self.tls.ca_files.push(path),
            HttpSetting::CaDirectory(path) => self.tls.ca_directories.push(path),
            HttpSetting::SystemCaFile(path) => self.tls.system_ca_files.push(path),
            HttpSetting::ProxyCaFile(path) => self.proxy_ca_files.push(path),
            HttpSetting::ClientCert(path) => self.tls.client_cert = Some(path),
            HttpSetting::ClientKey(path) => self.tls.client_key = Some(path),
            HttpSetting::Verify(wanted) => self.tls.insecure = !wanted,
            HttpSetting::Proxy(proxy) => self.proxy = Some(proxy),
            HttpSetting::UserAgent(text) => self.user_agent = text,
            HttpSetting::Header(_) | HttpSetting::FollowRedirects(_) => {}
        }
    }

    /// TLS settings for an `https://` proxy. The proxy is not the server: it is always verified, and does not get our
    /// client certificate.
    pub(super) fn proxy_tls(&self) -> TlsOptions {
        let mut tls = TlsOptions { client_cert: None, client_key: None, insecure: false, ..self.tls.clone() };
        tls.ca_files.extend(self.proxy_ca_files.iter().cloned());
        tls
    }

    /// The proxy for a server.
    pub(super) fn proxy_for(&self, scheme: &str, host: &str, port: u16) -> Option<&Proxy> {
        let proxy = match &self.proxy {
            Some(setting) => setting.as_ref(),
            None => self.proxies.for_scheme(scheme).filter(|_| !is_loopback(host)),
        };
        proxy.filter(|_| !self.proxies.no_proxy.cover(host, port))
    }
}

impl ConnectOptions {
    /// The TLS settings for a URL, for a client of another protocol: the authorities that are trusted, and the client
    /// certificate. The files are read now.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or does not hold what it should.
    pub fn tls_client_config(&self, url: &str) -> io::Result<rustls::ClientConfig> {
        self.http_for(url).connection.tls.build()
    }

    /// The settings for one URL, those with a closer scope applied later.
    pub(super) fn http_for(&self, url: &str) -> HttpOptions {
        let url: Option<UrlScope> = url.parse().ok();
        let fit = |scope: &Option<UrlScope>| match scope {
            Some(scope) => scope.fit(url.as_ref()?).map(Some),
            None => Some(None),
        };
        let fitting = self.http.iter().filter_map(|(scope, setting)| Some((fit(scope)?, setting)));
        let mut settings: Vec<_> = fitting.collect();
        settings.sort_by_key(|(fit, _)| *fit);
        let connection = ConnectionOptions {
            tls: TlsOptions::default(),
            proxy_ca_files: Vec::new(),
            user_agent: USER_AGENT.into(),
            proxy: None,
            proxies: self.proxies.clone(),
        };
        let mut options = HttpOptions { headers: Vec::new(), follow_redirects: true, connection };
        let settings = settings.into_iter().map(|(_, setting)| setting).chain(&self.http_overrides);
        settings.for_each(|setting| options.apply(setting.clone()));
        options
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
            proxies: Proxies { no_proxy: "direct".into(), ..Proxies::default() },
            ..ConnectOptions::default()
        };
        let close = options.http_for("https://h/x/y");
        assert_eq!(
            (close.headers.as_slice(), close.connection.tls.insecure),
            (&["A: 1".into(), "B: 2".to_owned()][..], true)
        );
        assert_eq!(close.connection.proxy_for("https", "h", 443), None);
        assert_eq!(close.connection.user_agent, "me");
        assert!(options.http_for("https://h/x/reset").headers.is_empty());
        let other = options.http_for("https://other/");
        assert_eq!((other.headers.len(), other.connection.tls.insecure), (1, false));
        assert_eq!(other.connection.proxy_for("https", "other", 443), Some(&proxy));
        assert_eq!(other.connection.proxy_for("https", "direct", 443), None);
    }
}
