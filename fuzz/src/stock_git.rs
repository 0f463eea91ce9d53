//! What stock git says of a pack.

use std::path::Path;
use std::process::Command;

/// The index that git makes of a pack in a directory, or why it refuses the pack. Without `--strict`, as in a fetch:
/// what objects say is not looked at. Syncline, too, looks at trees only when it checks them out.
pub fn index_pack(pack: &[u8], dir: &Path) -> Result<Vec<u8>, String> {
    fs_err::write(dir.join("x.pack"), pack).expect("a file");
    let mut git = Command::new("git");
    git.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    git.envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")]);
    git.args(["index-pack", "--threads=1", "--no-rev-index", "x.pack"]).current_dir(dir);
    let done = git.output().expect("git is there");
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned());
    }
    Ok(fs_err::read(dir.join("x.idx")).expect("an index"))
}
