//! How to log in.

use std::path::PathBuf;

use super::choices::Grant;
use super::table::{Opt, Setting, options, parsed, path, paths, secret, switch_or, text, texts, value};
use super::values::{self, CookieFile};

options! {
    "Authentication" {
        // Some servers take a token in place of the name.
        USERNAME: Opt<String> = text("username", "NAME")
            .older(&["GIT_SYNC_USERNAME"])
            .may_hold_secrets()
            .help("The user name for http and https");
        PASSWORD: Opt<String> = secret("password")
            .older(&["GIT_SYNC_PASSWORD"])
            .help("The password or token for http and https");
        PASSWORD_FILE: Opt<PathBuf> = path("password-file", "PATH")
            .older(&["GIT_SYNC_PASSWORD_FILE"])
            .help("A file whose first line is the password; read again for every sync");
        CREDENTIAL: Opt<String> = texts("credential", "JSON")
            .may_hold_secrets()
            .help("A login, or a list of logins, for all URLs that begin with its url, as JSON; may be repeated")
            .details("Each login is an object with url and either username and password or password-file, or bearer-token or \
                      bearer-token-file. The longest url that matches counts, before any other login");
        BEARER_TOKEN_FILE: Opt<PathBuf> = path("bearer-token-file", "PATH")
            .help("A file whose first line is a bearer token for http and https; read again for every sync");
        BEARER_TOKEN: Opt<String> = secret("bearer-token")
            .help("The bearer token for http and https");
        ASKPASS_URL: Opt<String> = value("askpass-url", "URL", values::http_url)
            .older(&["GIT_SYNC_ASKPASS_URL", "GIT_ASKPASS_URL"])
            .may_hold_secrets()
            .help("A URL that answers with the lines username=NAME and password=TEXT; asked before every sync");
        COOKIE_FILE: Setting<CookieFile> = switch_or("cookie-file", values::cookie_file)
            .older(&["GIT_SYNC_COOKIE_FILE", "GIT_COOKIE_FILE"])
            .help(
                "Send the cookies of this file in Netscape's format, or with true those of /etc/git-secret/cookie_file; \
                 read again for every sync",
            )
            .default("false");
        NETRC_FILE: Opt<PathBuf> = path("netrc-file", "PATH")
            .otherwise("$HOME/.netrc, if it exists")
            .help("A file of logins by host, in curl's format; read again for every sync");
        GITHUB_APP_CLIENT_ID: Opt<String> = text("github-app-client-id", "ID")
            .help("The client ID of a GitHub App to log in as");
        GITHUB_APP_APPLICATION_ID: Opt<u64> = value("github-app-application-id", "N", values::id)
            .help("The application ID of the GitHub App, in place of the client ID");
        GITHUB_APP_INSTALLATION_ID: Opt<u64> = value("github-app-installation-id", "N", values::id)
            .help("The ID of the GitHub App's installation");
        GITHUB_APP_PRIVATE_KEY_FILE: Opt<PathBuf> = path("github-app-private-key-file", "PATH")
            .help("A file with the GitHub App's private key in PEM; read again for every token");
        GITHUB_APP_PRIVATE_KEY: Opt<String> = secret("github-app-private-key")
            .help("The private key of the GitHub App, in PEM");
        GITHUB_BASE_URL: Setting<String> = value("github-base-url", "URL", values::private_url)
            .help("The URL of GitHub's API")
            .default("https://api.github.com");
        OAUTH_TOKEN_URL: Opt<String> = value("oauth-token-url", "URL", values::private_url)
            .may_hold_secrets()
            .help("The token endpoint of an OAuth 2 or OIDC server; its token is renewed before it expires");
        OAUTH_GRANT: Setting<Grant> = value("oauth-grant", "GRANT", parsed)
            .help("client-credentials (with a secret or an assertion) or token-exchange (of the assertion)")
            .default("client-credentials");
        OAUTH_CLIENT_ID: Opt<String> = text("oauth-client-id", "ID")
            .help("The client ID to send to the token endpoint");
        OAUTH_CLIENT_SECRET_FILE: Opt<PathBuf> = path("oauth-client-secret-file", "PATH")
            .help("A file whose first line is the client secret");
        OAUTH_ASSERTION_FILE: Opt<PathBuf> = path("oauth-assertion-file", "PATH")
            .help("A file with a JWT, such as a projected service-account token; read again for every token");
        OAUTH_SCOPE: Opt<String> = text("oauth-scope", "SCOPE")
            .help("The scope to request");
        OAUTH_PARAMETER: Opt<String> = texts("oauth-parameter", "KEY=VALUE")
            .may_hold_secrets()
            .help("Another field of the request, such as audience; may be repeated");
        OAUTH_USERNAME: Opt<String> = text("oauth-username", "NAME")
            .help("Log in with this name and the token as its password, not with a bearer token");
        SSH_KEY_FILE: Opt<PathBuf> = paths("ssh-key-file", "PATH")
            .older(&["GIT_SYNC_SSH_KEY_FILE", "GIT_SSH_KEY_FILE"])
            .otherwise("/etc/git-secret/ssh, if it exists")
            .help("A private key for ssh; may be repeated, and is a list separated by colons in the environment")
            .details("A certificate beside it, PATH-cert.pub, is offered first; the keys of an agent at SSH_AUTH_SOCK come \
                      last. Read again for every session");
        SSH_KEY_PASSPHRASE_FILE: Opt<PathBuf> = path("ssh-key-passphrase-file", "PATH")
            .help("A file whose first line is the passphrase of encrypted keys");
    }
}
