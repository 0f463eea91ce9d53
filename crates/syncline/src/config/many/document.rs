//! What `--config` names: a file, or those of a directory.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::digest::{Context, SHA256};
use sync_core::read_bounded;

use crate::hex::hex;

/// The largest file, in bytes.
const LARGEST: u64 = 1 << 20;

/// More files than anyone keeps in a directory.
const MOST_FILES: usize = 1000;

/// A file as it was read.
pub struct Document {
    /// As errors show it.
    pub shown: Arc<str>,
    /// Where it was read.
    pub path: PathBuf,
    pub content: Vec<u8>,
}

/// All that was read, and its digest.
pub struct Documents {
    pub list: Vec<Document>,
    /// In hexadecimal digits. Of a single file it is what `sha256sum` prints.
    pub sha256: String,
}

/// Read a file, or all `*.yaml` and `*.yml` of a directory in the order of their names; those that begin with a dot are
/// passed over, as a volume of Kubernetes has them. Errors show the files below `shown`.
pub fn read(path: &Path, shown: &Path) -> io::Result<Documents> {
    let is_directory = fs_err::File::open(path)?.metadata()?.is_dir();
    let names = if is_directory { names(path)? } else { vec![PathBuf::new()] };
    let mut digest = Context::new(&SHA256);
    let mut list = Vec::with_capacity(names.len());
    for name in names {
        let (path, shown) = match is_directory {
            true => (path.join(&name), shown.join(&name)),
            false => (path.to_owned(), shown.to_owned()),
        };
        if is_directory && !fs_err::metadata(&path)?.is_file() {
            return Err(invalid(&path, "is not a file"));
        }
        let content = read_bounded(&path, LARGEST)?;
        if is_directory {
            let name = name.as_os_str().as_bytes();
            digest.update(&[name, &[0]].concat());
            digest.update(&(content.len() as u64).to_le_bytes());
        }
        digest.update(&content);
        list.push(Document { shown: shown.display().to_string().into(), path, content });
    }
    Ok(Documents { list, sha256: hex(digest.finish().as_ref()) })
}

fn names(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir(directory)? {
        let name = PathBuf::from(entry?.file_name());
        let is_yaml = [Some(OsStr::new("yaml")), Some(OsStr::new("yml"))].contains(&name.extension());
        if is_yaml && !name.as_os_str().as_bytes().starts_with(b".") {
            names.push(name);
        }
        if names.len() > MOST_FILES {
            return Err(invalid(directory, &format!("has more than {MOST_FILES} files")));
        }
    }
    if names.is_empty() {
        return Err(invalid(directory, "has no file that ends in .yaml or .yml"));
    }
    names.sort();
    Ok(names)
}

fn invalid(path: &Path, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{} {what}", path.display()))
}
