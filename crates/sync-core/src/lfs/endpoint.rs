//! Where the LFS server of a repository is (docs/api/server-discovery.md of git-lfs), and what a `.lfsconfig` may say
//! about it.

use gix::bstr::{BStr, ByteSlice};

use crate::error::ParseError;
use crate::spec::lfs::LfsSelection;
use crate::spec::path_patterns::PathPatterns;
use crate::url::ssh::SshUrl;
use crate::url::{HttpUrl, Kind, RemoteUrl};

/// The largest `.lfsconfig`, in bytes.
pub(crate) const MAX_CONFIG: u64 = 64 << 10;

/// What counts of a `.lfsconfig`. It is a stranger's word.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RepositoryConfig {
    url: Option<String>,
    include: PathPatterns,
    exclude: PathPatterns,
}

impl RepositoryConfig {
    /// Read a `.lfsconfig`. Files that it includes are not read.
    ///
    /// # Errors
    ///
    /// If it cannot be parsed.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, ParseError> {
        let metadata = gix::config::file::Metadata::default();
        let file = gix::config::File::from_bytes_no_includes(text, metadata, Default::default())
            .map_err(|err| format!(".lfsconfig cannot be read: {err}"))?;
        let string = |section: &str, name: Option<&str>, key: &str| {
            file.string_by(section, name.map(BStr::new), key).map(|text| text.to_str_lossy().into_owned())
        };
        let patterns = |key: &str| {
            let list = string("lfs", None, key).unwrap_or_default();
            let list = list.split(',').map(str::trim).filter(|pattern| !pattern.is_empty());
            PathPatterns::new(list)
                .map_err(|fault| ParseError::from(format!(".lfsconfig, lfs.{key}: {fault}")))
        };
        let url = string("lfs", None, "url").or_else(|| string("remote", Some("origin"), "lfsurl"));
        Ok(RepositoryConfig { url, include: patterns("fetchinclude")?, exclude: patterns("fetchexclude")? })
    }

    /// Whether the lists of files take a file. They can only take away from what the user selects.
    pub(crate) fn takes(&self, path: &BStr) -> bool {
        PathPatterns::take(&self.include, &self.exclude, path)
    }

    /// The part that decides which files of a tree have content, in one line.
    pub(crate) fn summary(&self) -> String {
        format!("{:?} {:?}", self.include, self.exclude)
    }
}

/// Where the objects of a repository are.
#[derive(Clone, PartialEq)]
pub(crate) enum Endpoint {
    Http(HttpUrl),
    /// The SSH server says where; if it does not know, the URL is this guess.
    Ssh(SshUrl, HttpUrl),
    /// In the repository itself.
    Local,
}

impl Endpoint {
    /// Find out where the objects are. The login of `remote` comes with its own origin only.
    ///
    /// # Errors
    ///
    /// If `.lfsconfig` names a URL that must not be used.
    pub(crate) fn of(
        remote: &RemoteUrl,
        selection: &LfsSelection,
        config: &RepositoryConfig,
    ) -> Result<Endpoint, ParseError> {
        if let Some(url) = &selection.url {
            return Ok(http(url.clone().with_login_of(remote)));
        }
        let guess = match &remote.0 {
            Kind::Local(_) => return Ok(Endpoint::Local),
            Kind::Http(url) => HttpUrl { base: server_of(&url.base), login: url.login.clone() },
            Kind::Git { host, path, .. } => guess(host, path),
            Kind::Ssh(url) => guess(&url.host, &url.path),
            Kind::Relay(_) => {
                return Err("a relay has no objects of Git LFS; name the server by --lfs-url".into());
            }
        };
        let Some(url) = &config.url else {
            return Ok(match &remote.0 {
                Kind::Ssh(url) => Endpoint::Ssh(url.clone(), guess),
                _ => Endpoint::Http(guess),
            });
        };
        let guess = RemoteUrl(Kind::Http(guess));
        let refuse = |why: &str| Err(format!("the repository's .lfsconfig names a URL that {why}").into());
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return refuse("cannot be read");
        }
        let scheme = url.find("://").map(|end| url[..end].to_ascii_lowercase());
        let url = scheme.map_or_else(|| url.clone(), |scheme| format!("{scheme}{}", &url[scheme.len()..]));
        let Ok(url) = url.parse::<RemoteUrl>() else { return refuse("cannot be read") };
        if !matches!(url.0, Kind::Http(_)) {
            return refuse("is neither http nor https");
        }
        if url.has_login() {
            return refuse("has a user name or a password");
        }
        if url.origin() != guess.origin() {
            return refuse(&format!("is on another server; --lfs-url={url} would allow it"));
        }
        Ok(http(url.with_login_of(remote)))
    }
}

fn http(url: RemoteUrl) -> Endpoint {
    match url.0 {
        Kind::Http(url) => Endpoint::Http(url),
        _ => Endpoint::Local,
    }
}

/// The server that belongs to the HTTP URL of a repository.
fn server_of(base: &str) -> String {
    let suffix = if base.ends_with(".git") { "/info/lfs" } else { ".git/info/lfs" };
    format!("{base}{suffix}")
}

/// The server that belongs to a URL of another protocol.
fn guess(host: &str, path: &str) -> HttpUrl {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    HttpUrl { base: server_of(&format!("https://{host}/{}", path.trim_matches('/'))), login: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(remote: &str, config: &str) -> Result<String, String> {
        let selection = LfsSelection::default();
        let config = RepositoryConfig::parse(config.as_bytes())?;
        let found = Endpoint::of(&remote.parse().unwrap(), &selection, &config)?;
        Ok(match found {
            Endpoint::Http(url) => url.base,
            Endpoint::Ssh(url, guess) => format!("{url} or {}", guess.base),
            Endpoint::Local => "local".into(),
        })
    }

    #[test]
    fn the_server_follows_from_the_url() {
        for (remote, expected) in [
            ("https://h/g/x", "https://h/g/x.git/info/lfs"),
            ("https://h/g/x/", "https://h/g/x.git/info/lfs"),
            ("https://h:1/g/x.git", "https://h:1/g/x.git/info/lfs"),
            ("https://u:p@h/x.git", "https://h/x.git/info/lfs"),
            ("git://h:1/x", "https://h/x.git/info/lfs"),
            ("ssh://git@h:22/g/x.git", "ssh://git@h:22/g/x.git or https://h/g/x.git/info/lfs"),
            ("git@h:g/x", "git@h:g/x or https://h/g/x.git/info/lfs"),
            ("/srv/x", "local"),
        ] {
            assert_eq!(endpoint(remote, "").as_deref(), Ok(expected), "{remote}");
        }
    }

    #[test]
    fn a_repository_names_only_a_url_of_its_own_origin() {
        let remote = "https://u:p@h/x.git";
        for (url, expected) in [
            ("https://h/other/lfs", Ok("https://h/other/lfs")),
            ("https://H:443/lfs", Ok("https://H:443/lfs")),
            ("https://evil/lfs", Err("--lfs-url=https://evil/lfs would allow it")),
            ("http://h/lfs", Err("on another server")),
            ("https://h:444/lfs", Err("on another server")),
            ("https://a:b@h/lfs", Err("a user name or a password")),
            ("file:///etc", Err("neither http nor https")),
            ("ssh://-oProxyCommand=x/y", Err("cannot be read")),
            ("/etc", Err("neither http nor https")),
            ("\"https://h/a\\nb\"", Err("cannot be read")),
            ("HTTPS://h/lfs", Ok("https://h/lfs")),
        ] {
            let found = endpoint(remote, &format!("[lfs]\n\turl = {url}\n"));
            match expected {
                Ok(expected) => assert_eq!(found.as_deref(), Ok(expected), "{url}"),
                Err(words) => {
                    assert!(found.as_ref().is_err_and(|err| err.contains(words)), "{url}: {found:?}")
                }
            }
        }
        let other = "[remote \"origin\"]\n\tlfsurl = https://h/other\n";
        assert_eq!(endpoint(remote, other).as_deref(), Ok("https://h/other"));
        assert!(endpoint(remote, "[lfs\n").unwrap_err().contains(".lfsconfig cannot be read"));
        let selection =
            LfsSelection { url: Some("https://evil/lfs".parse().unwrap()), ..LfsSelection::default() };
        let found = Endpoint::of(&remote.parse().unwrap(), &selection, &RepositoryConfig::default());
        assert!(found == Ok(Endpoint::Http(HttpUrl { base: "https://evil/lfs".into(), login: None })));
    }

    #[test]
    fn lists_of_files_take_away() {
        let text = b"[lfs]\n\tfetchinclude = /a, *.bin\n\tfetchexclude = b/\n";
        let config = RepositoryConfig::parse(text).unwrap();
        for (path, is_taken) in [("a/x", true), ("c/x.bin", true), ("c/x", false), ("b/x.bin", false)] {
            assert_eq!(config.takes(path.into()), is_taken, "{path}");
        }
    }
}
