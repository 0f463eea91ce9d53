//! The environment of a process as a value, so that only `main` reads the real one.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sync_core::{ConnectOptions, HttpSetting, Resources, UrlScope};

use crate::cgroup;

/// Everything outside the command line that decides what the options mean.
#[derive(Debug)]
pub struct Environment {
    variables: HashMap<OsString, OsString>,
    directory: Result<PathBuf, String>,
    /// Whether the authorities that the machine trusts are trusted here, too.
    pub(crate) trusts_system: bool,
    /// Whether a volume is at git-sync v3's usual root, and none at that of v4 and of the image.
    pub(crate) has_v3_volume: bool,
    /// How much of the machine may be used.
    pub(crate) resources: Resources,
    system_certificates: OnceLock<SystemCertificates>,
}

/// The certificates of this machine, as far as they can be used.
#[derive(Debug)]
pub struct SystemCertificates {
    /// As settings of connections.
    pub files: Vec<(Option<UrlScope>, HttpSetting)>,
    /// What is wrong with them.
    pub warnings: Vec<String>,
}

impl Environment {
    /// Variables by name, and the current directory, which is needed only to sync.
    pub fn new(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        directory: io::Result<PathBuf>,
    ) -> Environment {
        let directory = directory.map_err(|err| format!("cannot find the current directory: {err}"));
        Environment {
            variables: variables.into_iter().collect(),
            directory,
            trusts_system: false,
            has_v3_volume: false,
            resources: Resources::default(),
            system_certificates: OnceLock::new(),
        }
    }

    /// The certificates of this machine. They are looked for once: of many repositories, all have the same.
    pub fn system_certificates(&self) -> &SystemCertificates {
        self.system_certificates.get_or_init(|| {
            let mut connect = ConnectOptions::default();
            let warnings = connect.trust_system_certificates();
            SystemCertificates { files: connect.http, warnings }
        })
    }

    /// Add what this machine has: its certificates, volumes, and the limits of control groups.
    #[must_use]
    pub fn on_this_machine(self) -> Environment {
        let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let has_v3_volume = is_mounted(&mounts, "/tmp/git") && !is_mounted(&mounts, "/git");
        Environment { trusts_system: true, has_v3_volume, resources: cgroup::resources(), ..self }
    }

    /// The value of a variable; it may be empty.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// The value of a variable that is an option. Secrets of Kubernetes often end in a line break, which is not part of
    /// any value.
    pub fn value(&self, name: &str) -> Option<&OsStr> {
        let mut bytes = self.get(name)?.as_bytes();
        while let [rest @ .., b'\n' | b'\r'] = bytes {
            bytes = rest;
        }
        Some(OsStr::from_bytes(bytes))
    }

    /// The value of a variable as a path; an empty one counts as not set.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// The names of all variables that are valid UTF-8.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().filter_map(|name| name.to_str())
    }

    /// The directory from which relative paths are taken.
    ///
    /// # Errors
    ///
    /// If the process could not find it out.
    pub fn directory(&self) -> Result<&Path, String> {
        self.directory.as_deref().map_err(Clone::clone)
    }
}

/// Whether something is mounted at a path, by the lines of proc(5)'s `mountinfo`.
fn is_mounted(mounts: &str, path: &str) -> bool {
    mounts.lines().any(|line| line.split(' ').nth(4) == Some(path))
}

#[cfg(test)]
impl Environment {
    /// These variables, in the directory `/cwd`.
    pub fn of(variables: &[(&str, &str)]) -> Environment {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        Environment::new(variables, Ok("/cwd".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found_by_their_whole_path() {
        let mounts = "36 35 98:0 / / rw - overlay overlay rw\n37 36 98:1 /pods/1 /tmp/git rw,relatime - ext4 /dev/vda rw\n";
        assert!(is_mounted(mounts, "/tmp/git") && is_mounted(mounts, "/"));
        assert!(!is_mounted(mounts, "/tmp") && !is_mounted(mounts, "/git") && !is_mounted("", "/git"));
    }
}
