//! How to connect: certificates, proxies, and what git's settings say of it.

use std::path::{Path, PathBuf};

use sync_core::{ConnectOptions, Exceptions, HttpSetting, Proxies, Proxy};

use super::environment;
use super::faults::Reader;
use super::git_config::{self, Setting};

/// What was given of git's settings.
pub fn git_settings(r: &mut Reader) -> Vec<Setting> {
    let origin = r.origin("git-config");
    let mut settings = r.or("git-config", Vec::new(), |text| git_config::settings(&origin, text));
    // git-sync joins what is added by commas, so that an unquoted one still splits.
    let added: Vec<_> =
        r.list("git-config-add").iter().map(|text| text.to_string_lossy().into_owned()).collect();
    match git_config::settings(&r.origin("git-config-add"), &added.join(",")) {
        Ok(added) => settings.extend(added),
        Err(fault) => r.fault("git-config-add", fault),
    }
    settings.extend(environment::settings(r));
    settings
}

/// How to connect, and what is worth saying of it.
pub fn connect(r: &mut Reader, settings: &[Setting], cwd: &Path) -> (ConnectOptions, Vec<String>) {
    let mut connect = ConnectOptions { proxies: proxies(r), tunnel: tunnel(r), ..Default::default() };
    let mut warnings = git_config::apply(r, settings, cwd, &mut connect);
    warnings.extend(environment::apply(r, cwd, &mut connect));
    let mut set = |setting| connect.http.push((None, setting));
    r.list("ca-file").iter().for_each(|file| set(HttpSetting::CaFile(cwd.join(PathBuf::from(file)))));
    match (r.path("client-cert-file"), r.path("client-key-file")) {
        (None, Some(_)) => r.fault("client-key-file", "needs --client-cert-file"),
        (cert, key) => {
            cert.into_iter().for_each(|file| set(HttpSetting::ClientCert(cwd.join(file))));
            key.into_iter().for_each(|file| set(HttpSetting::ClientKey(cwd.join(file))));
        }
    }
    (connect, warnings)
}

fn proxies(r: &mut Reader) -> Proxies {
    Proxies {
        http: proxy(r, "http-proxy"),
        https: proxy(r, "https-proxy"),
        all: proxy(r, "all-proxy"),
        exceptions: Exceptions::from(r.text("no-proxy").unwrap_or_default().as_str()),
    }
}

fn tunnel(r: &mut Reader) -> Option<Proxy> {
    let proxy = proxy(r, "ssh-proxy");
    if proxy.as_ref().is_some_and(|proxy| proxy.to_string().starts_with("https:")) {
        r.fault("ssh-proxy", "must be an http or socks5 URL");
    }
    proxy
}

fn proxy(r: &mut Reader, name: &str) -> Option<Proxy> {
    r.or(name, None, |text| if text.is_empty() { Ok(None) } else { text.parse().map(Some) })
}
