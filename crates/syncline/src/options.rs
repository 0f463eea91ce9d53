//! Every option, once: its name, its twins in the environment, and its help. The command line, the help, the
//! manual and the tests are made from this table.

/// One option.
pub struct Opt {
    pub name: &'static str,
    pub kind: Kind,
    pub topic: &'static str,
    /// As the help shows it; empty where there is none.
    pub default: &'static str,
    /// Names in the environment besides `GITSYNC_NAME`, the newest first: the last that is set wins.
    pub aliases: &'static [&'static str],
    pub help: &'static str,
}

/// What an option takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value; of a repeated option the last counts.
    Value(&'static str),
    /// `--name`, `--name=true` or `--name=false`.
    Switch,
    /// A value each time.
    List(&'static str),
    /// A value that comes only from the environment: it would show in the list of processes.
    Secret,
    /// An older name, still heeded; says what to use today.
    Deprecated(&'static str),
    /// Accepted for git-sync's sake; says why it does nothing.
    Ignored(&'static str),
}

impl Opt {
    /// All names in the environment, the newest first.
    pub fn variables(&self) -> Vec<String> {
        // The older names have no twin of today's form.
        let own =
            (!matches!(self.kind, Kind::Deprecated(_))).then(|| format!("GITSYNC_{}", self.upper_name()));
        own.into_iter().chain(self.aliases.iter().map(ToString::to_string)).collect()
    }

    fn upper_name(&self) -> String {
        self.name.replace('-', "_").to_uppercase()
    }

    /// Whether its value may hold a secret: hooks do not get to see it.
    pub fn may_hold_secrets(&self) -> bool {
        const NAMES: [&str; 9] = [
            "askpass-url",
            "credential",
            "git-config",
            "git-config-add",
            "oauth-parameter",
            "oauth-token-url",
            "repo",
            // Some servers take a token in its place.
            "username",
            "webhook-url",
        ];
        self.kind == Kind::Secret || NAMES.contains(&self.name)
    }

    /// Whether help and manual show it.
    pub fn is_current(&self) -> bool {
        !matches!(self.kind, Kind::Deprecated(_))
    }
}

const WHAT: &str = "What to sync";
const WHERE: &str = "Where to publish";
const WHEN: &str = "When to sync";
const LOGIN: &str = "How to log in";
const CONNECT: &str = "How to connect";
const HOOKS: &str = "Whom to tell";
const WATCH: &str = "How to watch it";
const OLD: &str = "Older names";

const fn value(
    topic: &'static str,
    name: &'static str,
    form: &'static str,
    default: &'static str,
    aliases: &'static [&'static str],
    help: &'static str,
) -> Opt {
    Opt { name, kind: Kind::Value(form), topic, default, aliases, help }
}

const fn switch(
    topic: &'static str,
    name: &'static str,
    default: &'static str,
    aliases: &'static [&'static str],
    help: &'static str,
) -> Opt {
    Opt { name, kind: Kind::Switch, topic, default, aliases, help }
}

const fn list(topic: &'static str, name: &'static str, form: &'static str, help: &'static str) -> Opt {
    Opt { name, kind: Kind::List(form), topic, default: "", aliases: &[], help }
}

const fn secret(name: &'static str, aliases: &'static [&'static str], help: &'static str) -> Opt {
    Opt { name, kind: Kind::Secret, topic: LOGIN, default: "", aliases, help }
}

const fn old(name: &'static str, aliases: &'static [&'static str], instead: &'static str) -> Opt {
    Opt { name, kind: Kind::Deprecated(instead), topic: OLD, default: "", aliases, help: instead }
}

/// The table. Topics come in the order of the help.
pub const OPTIONS: &[Opt] = &[
    value(
        WHAT,
        "repo",
        "URL",
        "",
        &["GIT_SYNC_REPO"],
        "The repository: an https, http, ssh, git or file URL, user@host:path, or a path",
    ),
    value(WHAT, "ref", "REF", "HEAD", &[], "The branch, tag, full reference or full commit id to publish"),
    value(WHAT, "depth", "N", "1", &["GIT_SYNC_DEPTH"], "How many commits of history to keep; 0 for all"),
    value(
        WHAT,
        "submodules",
        "MODE",
        "recursive",
        &["GIT_SYNC_SUBMODULES"],
        "Which submodules to bring along: recursive, shallow (only those of the repository itself) or off",
    ),
    value(
        WHAT,
        "sparse-checkout-file",
        "PATH",
        "",
        &["GIT_SYNC_SPARSE_CHECKOUT_FILE"],
        "A file of patterns as git-sparse-checkout(1) has them: only what they name becomes files",
    ),
    value(
        WHAT,
        "sparse",
        "DIR,DIR",
        "",
        &[],
        "The same for a list of directories, with the files beside them and above",
    ),
    value(
        WHAT,
        "filter",
        "FILTER",
        "",
        &[],
        "What the server may leave out at first: blob:none, blob:limit=N or tree:N; what is needed comes in one request more",
    ),
    value(WHERE, "root", "DIR", "", &["GIT_SYNC_ROOT"], "The directory to work in; created if need be"),
    value(
        WHERE,
        "link",
        "PATH",
        "the last part of the URL",
        &["GIT_SYNC_LINK"],
        "The symlink to publish, absolute or relative to the root",
    ),
    value(
        WHERE,
        "stale-worktree-timeout",
        "DURATION",
        "0: removed at once",
        &[],
        "How long a tree is kept after it was replaced",
    ),
    switch(
        WHERE,
        "group-write",
        "false",
        &["GIT_SYNC_GROUP_WRITE"],
        "Let the group write what is made (umask 0002)",
    ),
    value(
        WHERE,
        "touch-file",
        "PATH",
        "",
        &["GIT_SYNC_TOUCH_FILE"],
        "A file to touch when something was published, absolute or relative to the root",
    ),
    value(
        WHERE,
        "error-file",
        "PATH",
        "",
        &["GIT_SYNC_ERROR_FILE"],
        "A file that holds the last error, absolute or relative to the root; removed by a success",
    ),
    value(
        WHERE,
        "git-gc",
        "MODE",
        "always",
        &["GIT_SYNC_GIT_GC"],
        "When to fold the store's packs into one: auto or always when there are many, aggressive after every change, \
         or off. No git gc is run",
    ),
    switch(
        WHERE,
        "wait-for-lock",
        "false",
        &[],
        "Wait for another process that owns the root instead of giving up",
    ),
    value(WHEN, "period", "DURATION", "10s", &["GIT_SYNC_PERIOD"], "How long to wait between two syncs"),
    value(WHEN, "init-period", "DURATION", "0: the period", &[], "The same until the first success"),
    switch(WHEN, "one-time", "false", &["GIT_SYNC_ONE_TIME"], "Exit after the first successful sync"),
    value(
        WHEN,
        "sync-timeout",
        "DURATION",
        "2m",
        &["GIT_SYNC_SYNC_TIMEOUT"],
        "How long one sync may take before it is stopped and counts as failed",
    ),
    value(
        WHEN,
        "sync-on-signal",
        "SIGNAL",
        "",
        &["GIT_SYNC_SYNC_ON_SIGNAL"],
        "A signal, by name or number, that starts a sync at once",
    ),
    value(
        WHEN,
        "max-failures",
        "N",
        "",
        &["GIT_SYNC_MAX_FAILURES"],
        "How many syncs in a row may fail before giving up; negative for any number. When not given, the first sync \
         must succeed unless an earlier one is still published; after that, failures are retried for ever, with \
         growing pauses, while the last good tree stays published",
    ),
    value(WHEN, "init-max-failures", "N", "", &[], "The same until the first success"),
    value(
        WHEN,
        "worktree-check-period",
        "DURATION",
        "10m",
        &[],
        "How often to compare what is published with what was written, and mend it; 0 for only at start",
    ),
    value(LOGIN, "username", "NAME", "", &["GIT_SYNC_USERNAME"], "The user name for http and https"),
    secret("password", &["GIT_SYNC_PASSWORD"], "The password or token for http and https"),
    value(
        LOGIN,
        "password-file",
        "PATH",
        "",
        &["GIT_SYNC_PASSWORD_FILE"],
        "A file whose first line is the password; read anew for every sync",
    ),
    Opt {
        name: "credential",
        kind: Kind::List("JSON"),
        topic: LOGIN,
        default: "",
        aliases: &[],
        help: "A login for all URLs that begin with url: an object with url and either username and password or \
               password-file, or bearer-token or bearer-token-file; or a list of such; may be repeated; the longest \
               url that matches counts",
    },
    value(
        LOGIN,
        "bearer-token-file",
        "PATH",
        "",
        &[],
        "A file whose first line is a bearer token for http and https; read anew for every sync",
    ),
    secret("bearer-token", &[], "The bearer token for http and https"),
    value(
        LOGIN,
        "askpass-url",
        "URL",
        "",
        &["GIT_SYNC_ASKPASS_URL", "GIT_ASKPASS_URL"],
        "A URL that answers with lines username=NAME and password=TEXT; asked before every sync",
    ),
    switch(
        LOGIN,
        "cookie-file",
        "false",
        &["GIT_SYNC_COOKIE_FILE", "GIT_COOKIE_FILE"],
        "Send the cookies of /etc/git-secret/cookie_file, or of the file that is named here; in Netscape's form, read \
         anew for every sync",
    ),
    value(
        LOGIN,
        "netrc-file",
        "PATH",
        "$HOME/.netrc, where it exists",
        &[],
        "A file of logins by host as curl reads it; read anew for every sync",
    ),
    value(LOGIN, "github-app-client-id", "ID", "", &[], "The client id of a GitHub App to log in as"),
    value(LOGIN, "github-app-application-id", "N", "", &[], "Its application id, in place of the client id"),
    value(LOGIN, "github-app-installation-id", "N", "", &[], "The id of its installation"),
    value(
        LOGIN,
        "github-app-private-key-file",
        "PATH",
        "",
        &[],
        "A file with its private key in PEM; read anew for every token",
    ),
    secret("github-app-private-key", &[], "The private key of the GitHub App, in PEM"),
    value(LOGIN, "github-base-url", "URL", "https://api.github.com", &[], "Where GitHub's API is"),
    value(
        LOGIN,
        "oauth-token-url",
        "URL",
        "",
        &[],
        "The token endpoint of an OAuth 2 or OIDC server to get a token from, which is renewed before it expires",
    ),
    value(
        LOGIN,
        "oauth-grant",
        "GRANT",
        "client-credentials",
        &[],
        "How: client-credentials, by a secret or an assertion, or token-exchange, of the assertion",
    ),
    value(LOGIN, "oauth-client-id", "ID", "", &[], "Who asks for it"),
    value(
        LOGIN,
        "oauth-client-secret-file",
        "PATH",
        "",
        &[],
        "A file whose first line is the client's secret",
    ),
    value(
        LOGIN,
        "oauth-assertion-file",
        "PATH",
        "",
        &[],
        "A file with a JWT, such as a projected service-account token; read anew for every token",
    ),
    value(LOGIN, "oauth-scope", "SCOPE", "", &[], "What the token is to be good for"),
    list(
        LOGIN,
        "oauth-parameter",
        "KEY=VALUE",
        "A further field of the request, such as audience; may be repeated",
    ),
    value(
        LOGIN,
        "oauth-username",
        "NAME",
        "",
        &[],
        "Log in by this name with the token as its password; otherwise the token is sent as a bearer token",
    ),
    Opt {
        name: "ssh-key-file",
        kind: Kind::List("PATH"),
        topic: LOGIN,
        default: "/etc/git-secret/ssh",
        aliases: &["GIT_SYNC_SSH_KEY_FILE", "GIT_SSH_KEY_FILE"],
        help: "A private key for ssh; may be repeated, and is a list separated by colons in the environment. A certificate \
               beside it, PATH-cert.pub, is offered first; keys of an agent at SSH_AUTH_SOCK come last. Read anew for \
               every session",
    },
    value(
        LOGIN,
        "ssh-key-passphrase-file",
        "PATH",
        "",
        &[],
        "A file whose first line is the passphrase of encrypted keys",
    ),
    switch(
        CONNECT,
        "ssh-known-hosts",
        "true",
        &["GIT_SYNC_KNOWN_HOSTS", "GIT_KNOWN_HOSTS"],
        "Check who answers over ssh; when off, anybody on the way can pose as the server",
    ),
    value(
        CONNECT,
        "ssh-known-hosts-file",
        "PATH",
        "/etc/git-secret/known_hosts",
        &["GIT_SYNC_SSH_KNOWN_HOSTS_FILE", "GIT_SSH_KNOWN_HOSTS_FILE"],
        "The host keys and certificate authorities to trust, in the form of OpenSSH's known_hosts; read anew for every \
         session",
    ),
    value(
        CONNECT,
        "git-config",
        "KEY:VALUE,KEY:VALUE",
        "",
        &["GIT_SYNC_GIT_CONFIG"],
        "Settings of git. Heeded are http.extraHeader, http.cookieFile (as it is), http.sslVerify, http.sslCAInfo, http.sslCert, http.sslKey, \
         http.proxy and http.userAgent, each also as http.URL.NAME, url.BASE.insteadOf, protocol.allow and \
         protocol.NAME.allow; others are named in a warning",
    ),
    list(CONNECT, "git-config-add", "KEY:VALUE", "The same, added to those; may be repeated"),
    list(
        CONNECT,
        "ca-file",
        "FILE",
        "A file of PEM certificates to trust for https, besides the usual ones; may be repeated",
    ),
    value(
        CONNECT,
        "client-cert-file",
        "FILE",
        "",
        &[],
        "A file with our own PEM certificate, and those that vouch for it, for servers that want to know us",
    ),
    value(CONNECT, "client-key-file", "FILE", "in the certificate's file", &[], "A file with its PEM key"),
    value(
        CONNECT,
        "http-proxy",
        "URL",
        "",
        &["HTTP_PROXY", "http_proxy"],
        "The proxy for http URLs: http, https or socks5 URL, which may hold a user name and password",
    ),
    value(CONNECT, "https-proxy", "URL", "", &["HTTPS_PROXY", "https_proxy"], "The proxy for https URLs"),
    value(
        CONNECT,
        "all-proxy",
        "URL",
        "",
        &["ALL_PROXY", "all_proxy"],
        "The proxy for both, where no other is given",
    ),
    value(
        CONNECT,
        "no-proxy",
        "LIST",
        "",
        &["NO_PROXY", "no_proxy"],
        "Names (and all below them), addresses and networks that are reached without a proxy, or *",
    ),
    value(
        CONNECT,
        "ssh-proxy",
        "URL",
        "",
        &[],
        "The proxy for ssh and git URLs, which otherwise go directly: an http or socks5 URL",
    ),
    value(
        HOOKS,
        "exechook-command",
        "PATH",
        "",
        &["GIT_SYNC_EXECHOOK_COMMAND"],
        "A program to run after something was published, in the new tree and with GITSYNC_HASH set",
    ),
    list(HOOKS, "exechook-arg", "TEXT", "An argument for it; may be repeated"),
    value(
        HOOKS,
        "exechook-timeout",
        "DURATION",
        "30s",
        &["GIT_SYNC_EXECHOOK_TIMEOUT"],
        "How long it may run",
    ),
    value(
        HOOKS,
        "exechook-backoff",
        "DURATION",
        "3s",
        &["GIT_SYNC_EXECHOOK_BACKOFF"],
        "How long to wait before a failed one is tried again",
    ),
    value(
        HOOKS,
        "pre-publish-exechook-command",
        "PATH",
        "",
        &[],
        "A program to run before something is published, in the new tree and with GITSYNC_HASH set",
    ),
    list(HOOKS, "pre-publish-exechook-arg", "TEXT", "An argument for it; may be repeated"),
    value(HOOKS, "pre-publish-exechook-timeout", "DURATION", "30s", &[], "How long it may run"),
    value(
        HOOKS,
        "pre-publish-exechook-backoff",
        "DURATION",
        "3s",
        &[],
        "How long to wait before a failed one is tried again",
    ),
    switch(
        HOOKS,
        "pre-publish-exechook-required",
        "false",
        &[],
        "Wait for it, and publish only what it accepts; without this it runs beside the publication, as in git-sync",
    ),
    value(
        HOOKS,
        "webhook-url",
        "URL",
        "",
        &["GIT_SYNC_WEBHOOK_URL"],
        "A URL to request after something was published",
    ),
    switch(
        HOOKS,
        "webhook-json",
        "false",
        &[],
        "Send a JSON object with hash, ref and repo as the request's body",
    ),
    value(
        HOOKS,
        "webhook-secret-file",
        "PATH",
        "",
        &[],
        "A file with a key: the body's HMAC-SHA256 is sent as X-Hub-Signature-256: sha256=HEX",
    ),
    value(
        HOOKS,
        "webhook-method",
        "METHOD",
        "POST",
        &["GIT_SYNC_WEBHOOK_METHOD"],
        "The method of the request",
    ),
    value(
        HOOKS,
        "webhook-success-status",
        "CODE",
        "200",
        &["GIT_SYNC_WEBHOOK_SUCCESS_STATUS"],
        "The status that means success; 0 for any",
    ),
    value(
        HOOKS,
        "webhook-timeout",
        "DURATION",
        "1s",
        &["GIT_SYNC_WEBHOOK_TIMEOUT"],
        "How long the request may take",
    ),
    value(
        HOOKS,
        "webhook-backoff",
        "DURATION",
        "3s",
        &["GIT_SYNC_WEBHOOK_BACKOFF"],
        "How long to wait before a failed one is tried again",
    ),
    value(
        WATCH,
        "http-bind",
        "ADDRESS",
        "",
        &["GIT_SYNC_HTTP_BIND"],
        "Serve probes (/, /livez, /readyz) and /status over HTTP at this address and port, such as :8080",
    ),
    switch(WATCH, "http-metrics", "false", &["GIT_SYNC_HTTP_METRICS"], "Serve /metrics for Prometheus, too"),
    Opt {
        name: "http-pprof",
        kind: Kind::Ignored("profiles are Go's; use perf on the process"),
        topic: WATCH,
        default: "false",
        aliases: &["GIT_SYNC_HTTP_PPROF"],
        help: "Accepted for git-sync's sake: profiles are Go's",
    },
    value(
        WATCH,
        "stale-after",
        "DURATION",
        "5m",
        &[],
        "How old the last success may be while /readyz still says ready; 0 for any age",
    ),
    value(
        WATCH,
        "log-format",
        "FORM",
        "auto",
        &[],
        "The form of the log: auto (text on a terminal, JSON lines otherwise), text or json",
    ),
    value(
        WATCH,
        "verbose",
        "LEVEL",
        "0",
        &[],
        "How much to log: 0 for changes and failures, 1 for every sync",
    ),
    Opt {
        name: "add-user",
        kind: Kind::Ignored("nothing here needs an entry in /etc/passwd"),
        topic: WHERE,
        default: "false",
        aliases: &["GIT_SYNC_ADD_USER"],
        help: "Accepted for git-sync's sake: nothing here needs an entry in /etc/passwd",
    },
    Opt {
        name: "git",
        kind: Kind::Ignored("no git is run"),
        topic: CONNECT,
        default: "",
        aliases: &["GIT_SYNC_GIT"],
        help: "Accepted for git-sync's sake: no git is run",
    },
    old("branch", &["GIT_SYNC_BRANCH"], "use --ref"),
    old("rev", &["GIT_SYNC_REV"], "use --ref"),
    old("dest", &["GIT_SYNC_DEST"], "use --link"),
    old("wait", &["GIT_SYNC_WAIT"], "use --period"),
    old("timeout", &["GIT_SYNC_TIMEOUT"], "use --sync-timeout"),
    old("max-sync-failures", &["GIT_SYNC_MAX_SYNC_FAILURES"], "use --max-failures"),
    old("sync-hook-command", &["GIT_SYNC_HOOK_COMMAND"], "use --exechook-command"),
    old("change-permissions", &["GIT_SYNC_PERMISSIONS"], "it is no longer supported; use --group-write"),
    old("ssh", &[], "it does nothing: the URL says how to connect"),
    old("v", &[], "use --verbose"),
];
