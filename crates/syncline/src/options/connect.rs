//! How to connect.

use std::path::PathBuf;

use sync_core::Proxy;

use super::table::{Opt, Setting, options, parsed, path, paths, switch, text, texts, value};

options! {
    "Connection" {
        SSH_KNOWN_HOSTS: Setting<bool> = switch("ssh-known-hosts")
            .older(&["GIT_SYNC_KNOWN_HOSTS", "GIT_KNOWN_HOSTS"])
            .help("Check the host keys of ssh servers; if it is off, an attacker on the network can pose as the server")
            .default("true");
        SSH_KNOWN_HOSTS_FILE: Setting<PathBuf> = path("ssh-known-hosts-file", "PATH")
            .older(&["GIT_SYNC_SSH_KNOWN_HOSTS_FILE", "GIT_SSH_KNOWN_HOSTS_FILE"])
            .help("Trusted host keys and certificate authorities, in OpenSSH's known_hosts format; read for every session")
            .default("/etc/git-secret/known_hosts");
        GIT_CONFIG: Opt<String> = text("git-config", "KEY:VALUE,KEY:VALUE")
            .older(&["GIT_SYNC_GIT_CONFIG"])
            .may_hold_secrets()
            .help("Settings of Git; those that a fetch does not use are named in a warning")
            .details(
                "Supported are http.extraHeader, http.cookieFile (without a URL), http.sslVerify, http.sslCAInfo, \
                 http.sslCAPath, http.proxySSLCAInfo, http.sslCert, http.sslKey, http.proxy, http.userAgent and \
                 http.followRedirects, each also as http.URL.NAME, url.BASE.insteadOf, protocol.allow, \
                 protocol.NAME.allow, submodule.NAME.update, submodule.NAME.active, submodule.NAME.url and \
                 submodule.active",
            );
        GIT_CONFIG_ADD: Opt<String> = texts("git-config-add", "KEY:VALUE")
            .may_hold_secrets()
            .help("More settings of Git, added to those of --git-config; may be repeated");
        CA_FILE: Opt<PathBuf> = paths("ca-file", "FILE")
            .help("A file of PEM certificates to trust for https, besides the usual ones; may be repeated");
        CLIENT_CERT_FILE: Opt<PathBuf> = path("client-cert-file", "FILE")
            .help("A client certificate in PEM, with its chain, for servers that require one");
        CLIENT_KEY_FILE: Opt<PathBuf> = path("client-key-file", "FILE")
            .otherwise("in the certificate's file")
            .help("The PEM key of the client certificate");
        HTTP_PROXY: Opt<Proxy> = value("http-proxy", "URL", parsed)
            .older(&["HTTP_PROXY", "http_proxy"])
            .may_hold_secrets()
            .help("The proxy for http URLs: an http, https or socks5 URL, with a user name and password if need be");
        HTTPS_PROXY: Opt<Proxy> = value("https-proxy", "URL", parsed)
            .older(&["HTTPS_PROXY", "https_proxy"])
            .may_hold_secrets()
            .help("The proxy for https URLs");
        ALL_PROXY: Opt<Proxy> = value("all-proxy", "URL", parsed)
            .older(&["ALL_PROXY", "all_proxy"])
            .may_hold_secrets()
            .help("The proxy for both, if no other is given");
        NO_PROXY: Opt<String> = text("no-proxy", "LIST")
            .older(&["NO_PROXY", "no_proxy"])
            .help("Hosts (with their subdomains), addresses and networks to reach without a proxy, or *");
        SSH_PROXY: Opt<Proxy> = value("ssh-proxy", "URL", parsed)
            .may_hold_secrets()
            .otherwise("none")
            .help("The proxy for ssh and git URLs: an http or socks5 URL");
        GIT: Opt<String> = text("git", "PATH")
            .ignored("git is not run")
            .older(&["GIT_SYNC_GIT"])
            .help("Accepted for compatibility with git-sync; git is not run");
    }
}
