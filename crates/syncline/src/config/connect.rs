//! How to connect: certificates, proxies, and what Git's settings say about it.

use sync_core::{ConnectOptions, HttpSetting, NoProxy, Proxies, Proxy};

use super::git_config;
use super::git_setting::{self, GitSetting};
use super::{git_variables, ssh};
use crate::options::{
    ALL_PROXY, CA_FILE, CLIENT_CERT_FILE, CLIENT_KEY_FILE, GIT_CONFIG, GIT_CONFIG_ADD, HTTP_PROXY,
    HTTPS_PROXY, NO_PROXY, SSH_PROXY,
};
use crate::reader::OptionReader;

/// The given settings of Git.
pub fn git_settings(r: &mut OptionReader) -> Vec<GitSetting> {
    let given = r.find(&GIT_CONFIG).unwrap_or_default();
    // git-sync joins added settings by commas, so that an unquoted one still splits.
    let added = r.list(&GIT_CONFIG_ADD).join(",");
    let mut settings = Vec::new();
    for (option, text) in [(&GIT_CONFIG, given), (&GIT_CONFIG_ADD, added)] {
        match git_setting::settings(&r.origin(option), &text) {
            Ok(some) => settings.extend(some),
            Err(error) => r.error(option, error),
        }
    }
    settings.extend(git_variables::settings(r));
    settings
}

/// How to connect.
pub fn connect(r: &mut OptionReader, settings: &[GitSetting]) -> ConnectOptions {
    let mut connect = ConnectOptions::default();
    connect.proxies = proxies(r);
    connect.tunnel = tunnel(r);
    connect.resources = r.environment.resources;
    git_config::apply(r, settings, &mut connect);
    git_variables::apply(r, &mut connect);
    certificates(r, &mut connect);
    connect.ssh = ssh::ssh(r);
    connect
}

fn certificates(r: &mut OptionReader, connect: &mut ConnectOptions) {
    let mut files: Vec<HttpSetting> = Vec::new();
    files.extend(r.list(&CA_FILE).into_iter().map(|file| HttpSetting::CaFile(r.absolute(file))));
    match (r.path(&CLIENT_CERT_FILE), r.path(&CLIENT_KEY_FILE)) {
        (None, Some(_)) => r.error(&CLIENT_KEY_FILE, "needs --client-cert-file"),
        (cert, key) => {
            files.extend(cert.map(HttpSetting::ClientCert));
            files.extend(key.map(HttpSetting::ClientKey));
        }
    }
    connect.http.extend(files.into_iter().map(|setting| (None, setting)));
    if r.environment.trusts_system && r.environment.path("SSL_CERT_FILE").is_none() {
        let system = r.environment.system_certificates();
        connect.http.extend(system.files.iter().cloned());
        system.warnings.iter().for_each(|warning| r.warn(warning));
    }
}

fn proxies(r: &mut OptionReader) -> Proxies {
    let mut proxies = Proxies::default();
    proxies.http = r.find(&HTTP_PROXY);
    proxies.https = r.find(&HTTPS_PROXY);
    proxies.all = r.find(&ALL_PROXY);
    proxies.no_proxy = NoProxy::from(r.find(&NO_PROXY).unwrap_or_default().as_str());
    proxies
}

fn tunnel(r: &mut OptionReader) -> Option<Proxy> {
    let proxy = r.find(&SSH_PROXY);
    if proxy.as_ref().is_some_and(|proxy| proxy.to_string().starts_with("https:")) {
        r.error(&SSH_PROXY, "must be an http or socks5 URL");
    }
    proxy
}
