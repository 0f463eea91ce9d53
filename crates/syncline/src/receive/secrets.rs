//! The secrets of the hooks. Files are read again when they change, so that a secret can be replaced while syncline
//! runs; one that cannot be read leaves the last one in force.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::hmac;
use sync_core::{LARGEST_FILE, Secret, read_bounded_text};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::config::ReceiveConfig;

/// A shorter secret could be guessed.
const SHORTEST: usize = 16;

/// How often files are looked at, at most, and how long a request waits for it.
const LOOK: Duration = Duration::from_secs(1);

/// What a secret of Standard Webhooks begins with.
const STANDARD: &str = "whsec_";

/// A secret, ready to be used.
#[derive(Clone, Debug)]
pub struct Key {
    text: Secret,
    mac: hmac::Key,
    standard: hmac::Key,
}

impl Key {
    /// The error does not quote the secret.
    pub fn new(text: &str) -> Result<Key, String> {
        if text.len() < SHORTEST {
            return Err(format!("the secret must have at least {SHORTEST} bytes, not {}", text.len()));
        }
        let mac = hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes());
        let standard = match text.strip_prefix(STANDARD).map(|encoded| BASE64.decode(encoded)) {
            Some(Ok(key)) => hmac::Key::new(hmac::HMAC_SHA256, &key),
            Some(Err(_)) => return Err(format!("the secret begins with {STANDARD}, but no base64 follows")),
            None => mac.clone(),
        };
        Ok(Key { text: text.into(), mac, standard })
    }

    pub fn text(&self) -> &[u8] {
        self.text.expose().as_bytes()
    }

    /// The key for a signature of the body.
    pub fn mac(&self) -> &hmac::Key {
        &self.mac
    }

    /// The key for the signatures of Standard Webhooks.
    pub fn standard(&self) -> &hmac::Key {
        &self.standard
    }
}

/// All secrets, of which any one counts. Clones are the same.
#[derive(Clone, Debug)]
pub struct Secrets(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    given: Option<Key>,
    files: Vec<File>,
    looked: Instant,
    is_looking: bool,
    /// How often a file could not be used.
    faults: u64,
}

#[derive(Clone, Debug)]
struct File {
    path: PathBuf,
    stamp: Option<Stamp>,
    key: Key,
    is_faulty: bool,
}

/// What changes with a file.
type Stamp = (u64, u64, i64, i64);

impl Secrets {
    /// Read all files. The error names what is wrong with one.
    pub fn open(config: &ReceiveConfig) -> Result<Secrets, String> {
        let given = config.secret.as_ref().map(|secret| Key::new(secret.expose().trim()));
        let given = given.transpose().map_err(|error| format!("GITSYNC_RECEIVE_SECRET: {error}"))?;
        let open = |path: &PathBuf| {
            let stamp = stamp(path);
            let key = read(path).map_err(|error| format!("--receive-secret-file: {error}"))?;
            Ok(File { path: path.clone(), stamp, key, is_faulty: false })
        };
        let files = config.secret_files.iter().map(open).collect::<Result<Vec<File>, String>>()?;
        let state = State { given, files, looked: Instant::now(), is_looking: false, faults: 0 };
        Ok(Secrets(Arc::new(Mutex::new(state))))
    }

    /// Those that count now, and how often a file could not be used since the last call.
    pub async fn current(&self) -> (Vec<Key>, u64) {
        let files = self.lock().files_to_look_at();
        if let Some(files) = files {
            let own = self.clone();
            // A file system that hangs holds up one look; the last secrets stay.
            let _ = timeout(LOOK, spawn_blocking(move || own.look(files))).await;
        }
        let mut state = self.lock();
        let faults = std::mem::take(&mut state.faults);
        (state.given.iter().chain(state.files.iter().map(|file| &file.key)).cloned().collect(), faults)
    }

    fn look(&self, mut files: Vec<File>) {
        let faults = files.iter_mut().map(|file| u64::from(!file.refresh())).sum::<u64>();
        let mut state = self.lock();
        (state.files, state.looked, state.is_looking) = (files, Instant::now(), false);
        state.faults += faults;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn files_to_look_at(&mut self) -> Option<Vec<File>> {
        let is_due = !self.files.is_empty() && !self.is_looking && self.looked.elapsed() >= LOOK;
        self.is_looking |= is_due;
        is_due.then(|| self.files.clone())
    }
}

impl File {
    /// Read it again if it changed; false if that is impossible.
    fn refresh(&mut self) -> bool {
        let now = stamp(&self.path);
        if now.is_some() && now == self.stamp {
            return true;
        }
        match read(&self.path) {
            Ok(key) => {
                if self.key.text != key.text {
                    info!(path = %self.path.display(), "the secret of the push hooks was replaced");
                }
                (self.key, self.stamp, self.is_faulty) = (key, now, false);
            }
            Err(error) if !std::mem::replace(&mut self.is_faulty, true) => {
                warn!(error, "the file of the push hooks' secret cannot be used; the last one counts");
            }
            Err(_) => {}
        }
        !self.is_faulty
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs_err::metadata(path).ok()?;
    Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}

fn read(path: &Path) -> Result<Key, String> {
    let text = read_bounded_text(path, LARGEST_FILE).map_err(|err| err.to_string())?;
    let line = text.lines().next().unwrap_or_default().trim();
    Key::new(line).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(paths: &[&Path]) -> ReceiveConfig {
        let secret_files = paths.iter().map(|path| (*path).to_owned()).collect();
        ReceiveConfig { bind: ":1".into(), path: "/push".into(), secret_files, secret: None, user: None }
    }

    async fn texts(secrets: &Secrets) -> Vec<String> {
        secrets.current().await.0.iter().map(|key| key.text.expose().to_owned()).collect()
    }

    #[tokio::test]
    async fn a_file_is_read_again_when_it_changes_and_a_bad_one_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let write = |text: &str| {
            fs_err::write(dir.path().join("new"), text).unwrap();
            fs_err::rename(dir.path().join("new"), &path).unwrap();
        };
        write("  a secret of enough bytes \nmore\n");
        let secrets = Secrets::open(&config(&[&path])).unwrap();
        let after = |text: &str| {
            write(text);
            secrets.lock().looked -= LOOK;
        };
        assert_eq!(texts(&secrets).await, ["a secret of enough bytes"]);
        after("another secret of enough bytes");
        assert_eq!(texts(&secrets).await, ["another secret of enough bytes"]);
        for bad in ["", "short", "whsec_!!!!!!!!!!!!!"] {
            after(bad);
            let (keys, faults) = secrets.current().await;
            assert_eq!((keys[0].text(), faults), (&b"another secret of enough bytes"[..], 1), "{bad}");
        }
        fs_err::remove_file(&path).unwrap();
        secrets.lock().looked -= LOOK;
        assert_eq!(secrets.current().await.1, 1);
        after("a third secret of enough bytes");
        assert_eq!(texts(&secrets).await, ["a third secret of enough bytes"]);
    }

    #[test]
    fn short_and_missing_secrets_are_faults_that_quote_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        for (text, fault) in
            [("", "not 0"), ("canary\n", "not 6"), ("whsec_canary!!!!!!", "no base64 follows")]
        {
            fs_err::write(&path, text).unwrap();
            let error = Secrets::open(&config(&[&path])).unwrap_err();
            assert!(error.contains(fault) && !error.contains("canary"), "{error}");
        }
        assert!(Secrets::open(&config(&[&dir.path().join("none")])).unwrap_err().contains("none"));
    }
}
