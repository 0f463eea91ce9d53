//! The configuration and fixed names that make a directory a repository.

use std::io;
use std::path::Path;

use gix::hash::Kind;

use crate::fs_ext::if_there;

/// The branch that points to the newest commit. git-sync uses the same name.
pub(crate) const BRANCH: &str = "refs/heads/git-sync";

/// The file that says when which commit was first seen at the reference.
pub(crate) const SIGHTINGS: &str = "syncline-refs";

/// The file that names the current commit of a mirror without a publisher.
pub(crate) const CURRENT: &str = "syncline-current";

/// The file in which a follower of a relay keeps what it must never go behind.
pub(crate) const RELAY: &str = "syncline-relay";

/// The version of the format under a root. Raise it with every incompatible change: an older syncline then refuses
/// the root. A store without a version, as 0.1.0 wrote it, has this format too.
const FORMAT: u32 = 1;

/// The format version of the store in `git`, if it is too new for this program.
pub(super) fn unknown_format(git: &Path) -> io::Result<Option<u32>> {
    let Some(config) = if_there(fs_err::read_to_string(git.join("config")))? else { return Ok(None) };
    let mut lines = config.lines().skip_while(|line| line.trim() != "[syncline]").skip(1);
    let format = lines.find_map(|line| line.trim().strip_prefix("format = ")?.parse().ok());
    Ok(format.filter(|format| *format > FORMAT))
}

/// The text of the repository's configuration. With a `promisor`, a URL, it is a partial clone.
pub(crate) fn config(kind: Kind, promisor: Option<&str>) -> String {
    let version = u8::from(kind == Kind::Sha256 || promisor.is_some());
    let mut text = format!(
        "[core]\n\trepositoryformatversion = {version}\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n\ttrustctime = false\n\
         [gc]\n\tauto = 0\n[syncline]\n\tformat = {FORMAT}\n"
    );
    if kind == Kind::Sha256 {
        text.push_str("[extensions]\n\tobjectFormat = sha256\n");
    }
    if let Some(url) = promisor {
        let url = url.replace('\\', "\\\\").replace('"', "\\\"");
        text.push_str(&format!(
            "[extensions]\n\tpartialClone = origin\n[remote \"origin\"]\n\tpromisor = true\n\turl = \"{url}\"\n"
        ));
    }
    text
}

/// The URL of the promisor remote, if the repository is a partial clone.
pub(crate) fn promisor(git: &Path) -> Option<String> {
    let config = fs_err::read_to_string(git.join("config")).ok()?;
    config.contains("partialClone = origin").then_some(())?;
    let line = config.lines().find_map(|line| line.trim_start().strip_prefix("url = \""))?;
    Some(line.trim_end_matches('"').replace("\\\"", "\"").replace("\\\\", "\\"))
}

/// The hash kind of an existing repository; `None` if there is no repository.
pub(crate) fn stored_kind(git: &Path) -> io::Result<Option<Kind>> {
    let Some(config) = if_there(fs_err::read_to_string(git.join("config")))? else { return Ok(None) };
    let is_sha256 = config.lines().any(|line| {
        let line = line.to_ascii_lowercase();
        line.trim_start().starts_with("objectformat") && line.contains("sha256")
    });
    Ok(Some(if is_sha256 { Kind::Sha256 } else { Kind::Sha1 }))
}

/// Mark a pack as one of a partial clone: git expects missing objects that it refers to at the promisor.
pub(crate) fn mark_promised(pack: &Path) -> io::Result<()> {
    let mark = pack.with_extension("promisor");
    if mark.exists() { Ok(()) } else { fs_err::write(mark, "") }
}
