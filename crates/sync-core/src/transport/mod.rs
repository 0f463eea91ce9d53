//! Ways to reach a repository. HTTP(S), SSH and git:// speak git's protocol through gix's transport traits; a local
//! repository is read in process (gix itself would start `git-upload-pack`).

mod exchange;
pub(crate) mod git;
pub(crate) mod http;
pub(crate) mod local;
mod socket;
pub(crate) mod ssh;

/// How the program presents itself to servers. Some answer only to agents that begin with `git/`.
pub(crate) const USER_AGENT: &str = concat!("git/2.0 (syncline/", env!("CARGO_PKG_VERSION"), ")");

/// The same for the protocol's `agent` capability, which allows no spaces.
pub(crate) const AGENT: &str = concat!("git/syncline-", env!("CARGO_PKG_VERSION"));

/// Settings of the connection that are not part of the [`crate::Source`].
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// Files of PEM certificates to trust for HTTPS besides the bundled roots. Unreadable ones are errors.
    pub ca_files: Vec<std::path::PathBuf>,
    /// Take any certificate: git's `http.sslVerify=false`.
    pub insecure: bool,
    /// Headers (`Name: value`) for all URLs that begin with a text; they never follow a redirect to another server.
    pub headers: Vec<(String, String)>,
    /// Logins for all URLs that begin with a text; the longest that matches counts. A login in a URL comes first.
    pub logins: Vec<Login>,
    /// Beginnings of URLs and what to put in their place: git's `url.<base>.insteadOf`.
    pub rewrites: Vec<(String, String)>,
    /// Whether a `.gitmodules` may name paths on this machine: git's `protocol.file.allow=always`.
    pub allow_local_submodules: bool,
    /// How to log in over SSH.
    pub ssh: ssh::SshOptions,
}

/// A user name and password for part of a server.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// What URLs begin with.
    pub url: String,
    /// The user's name.
    pub user: String,
    /// The password or token.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login for {}", self.url)
    }
}

impl ConnectOptions {
    /// The URL that `url` stands for: the longest beginning that is to be replaced is.
    pub fn rewrite(&self, url: &str) -> String {
        let matching = self.rewrites.iter().filter(|(from, _)| url.starts_with(from));
        match matching.max_by_key(|(from, _)| from.len()) {
            Some((from, to)) => format!("{to}{}", &url[from.len()..]),
            None => url.to_owned(),
        }
    }

    /// The login for a URL. What a URL begins with ends at the end of a part: `https://host/a` is not for
    /// `https://host/ab`, nor `https://host` for `https://host.evil`.
    fn login_for(&self, url: &str) -> Option<&Login> {
        let covers = |login: &&Login| begins(url, &login.url);
        self.logins.iter().filter(covers).max_by_key(|login| login.url.trim_end_matches('/').len())
    }
}

fn begins(url: &str, with: &str) -> bool {
    let rest = url.strip_prefix(with.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
