//! The two small files that git-sync keeps for others: one touched when something was published, one that holds
//! the last error.

use std::io;
use std::path::{Path, PathBuf};

use fs_err::OpenOptions;
use serde_json::{Value, json};
use tracing::warn;

use crate::clock::now;

/// Where the files are, if they are wanted.
#[derive(Clone, Debug, Default)]
pub struct Files {
    pub touch: Option<PathBuf>,
    pub error: Option<PathBuf>,
}

impl Files {
    /// Something was published. That the file cannot be touched is only logged.
    pub fn touch(&self) {
        if let Some(path) = &self.touch {
            let _ = touch(path).inspect_err(|err| warn!(error = %err, "cannot touch the file"));
        }
    }

    /// Remember a failure, in git-sync's form.
    pub fn record(&self, message: &str, error: &str, arguments: &Value) {
        let report = json!({ "Msg": message, "Err": error, "Args": arguments });
        self.write(&format!("{report}\n"));
    }

    /// Remember a text as it is: faults of the command line.
    pub fn write(&self, text: &str) {
        if let Some(path) = &self.error {
            let _ = replace(path, text).inspect_err(|err| warn!(error = %err, "cannot write the error file"));
        }
    }

    /// All is well again.
    pub fn clear(&self) {
        if let Some(path) = &self.error {
            let removed = remove_if_there(&temporary(path)).and_then(|()| remove_if_there(path));
            let _ = removed.inspect_err(|err| warn!(error = %err, "cannot remove the error file"));
        }
    }
}

fn touch(path: &Path) -> io::Result<()> {
    fs_err::create_dir_all(path.parent().unwrap_or(path))?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    file.set_modified(now())
}

/// Readers see the old text or the new.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    fs_err::create_dir_all(path.parent().unwrap_or(path))?;
    let temporary = temporary(path);
    fs_err::write(&temporary, text).and_then(|()| fs_err::rename(&temporary, path)).inspect_err(|_| {
        let _ = fs_err::remove_file(&temporary);
    })
}

/// Always the same, so that killed processes leave no more than one.
fn temporary(path: &Path) -> PathBuf {
    path.with_file_name(format!(".{}.tmp", path.file_name().unwrap_or_default().to_string_lossy()))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs_err::remove_file(path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
        _ => Ok(()),
    }
}
