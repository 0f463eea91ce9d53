//! What a consumer may do to the files that are published, though it should not.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use fastrand::Rng;

/// Alter one of the paths below `tree` in place; what was done.
pub fn alter(rng: &mut Rng, tree: &Path, paths: &[Vec<u8>]) -> String {
    if paths.is_empty() {
        return "nothing to alter".into();
    }
    let name = &paths[rng.usize(..paths.len())];
    let path = tree.join(OsStr::from_bytes(name));
    let Ok(found) = path.symlink_metadata() else { return "altered already".into() };
    let verb = if found.is_dir() {
        fs::remove_dir_all(&path).unwrap();
        "remove"
    } else if found.is_symlink() {
        fs::remove_file(&path).unwrap();
        symlink("elsewhere", &path).unwrap();
        "lead elsewhere"
    } else {
        alter_file(rng, &path)
    };
    format!("consumer: {verb} {}", name.escape_ascii())
}

fn alter_file(rng: &mut Rng, path: &Path) -> &'static str {
    match rng.u8(..7) {
        0 => {
            fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"appended").unwrap();
            "append to"
        }
        1 => {
            overwrite(path);
            "overwrite"
        }
        2 => {
            fs::remove_file(path).unwrap();
            "remove"
        }
        3 => {
            fs::remove_file(path).unwrap();
            fs::write(path, "replaced").unwrap();
            "replace"
        }
        4 => {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
            "make a directory of"
        }
        _ => {
            let mode = [0o777, 0o666, 0o600, 0o400][rng.usize(..4)];
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            "change the mode of"
        }
    }
}

/// Other bytes of the same number. Whoever compares by size and time can see that only once the clock of the file
/// system has moved on.
fn overwrite(path: &Path) {
    let time = || fs::metadata(path).map(|found| (found.mtime(), found.mtime_nsec())).unwrap();
    let (before, length) = (time(), fs::metadata(path).unwrap().len() as usize);
    while length > 0 && time() == before {
        fs::write(path, vec![b'#'; length]).unwrap();
    }
}
