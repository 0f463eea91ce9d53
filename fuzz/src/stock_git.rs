//! What stock git says of a pack.

use std::path::Path;
use std::process::Command;

/// The index that git writes to `index`, or why it refuses the pack. Without `--strict`, as in a fetch: what an object
/// says is not looked at. Neither does syncline before it checks out a tree.
pub fn index_pack(pack: &Path, index: &Path) -> Result<Vec<u8>, String> {
    let mut git = Command::new("git");
    git.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    git.envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")]);
    git.args(["index-pack", "--threads=1", "--no-rev-index", "-o"]).args([index, pack]);
    let done = git.output().expect("git is there");
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned());
    }
    Ok(fs_err::read(index).expect("an index"))
}
