//! git-sync's two small files for consumers: one is touched when something was published, one contains the last
//! error. They may be on a file system that hangs, so a task of its own writes them ([`Writer`]).

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err::OpenOptions;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::warn;

use crate::clock::now;

/// The paths of the files that are wanted.
#[derive(Clone, Debug, Default)]
pub struct Files {
    pub touch: Option<PathBuf>,
    pub error: Option<PathBuf>,
}

impl Files {
    /// Something was published. A failure to touch the file is only logged.
    fn touch(&self) {
        if let Some(path) = &self.touch {
            let _ = touch(path).inspect_err(|err| warn!(error = %err, "cannot touch the file"));
        }
    }

    /// Write a text as it is: the errors of the command line.
    pub fn write(&self, text: &str) {
        if let Some(path) = &self.error {
            let _ = replace(path, text).inspect_err(|err| warn!(error = %err, "cannot write the error file"));
        }
    }

    /// There is no error any more.
    fn clear(&self) {
        if let Some(path) = &self.error {
            let removed = remove_if_there(&temporary(path)).and_then(|()| remove_if_there(path));
            let _ = removed.inspect_err(|err| warn!(error = %err, "cannot remove the error file"));
        }
    }
}

/// The state that the files should have. Only the newest counts.
#[derive(Clone, Debug, Default)]
struct State {
    /// How often something was published.
    published: u64,
    /// The last error; `None` after a success.
    error: Option<String>,
}

/// Writes the files in a task of its own.
#[derive(Debug)]
pub struct Writer {
    states: watch::Sender<State>,
    task: JoinHandle<()>,
}

impl Writer {
    pub fn start(files: Files) -> Writer {
        let (states, receiver) = watch::channel(State::default());
        Writer { states, task: tokio::spawn(write(files, receiver)) }
    }

    /// A sync succeeded; `is_news`: something new was published.
    pub fn succeeded(&self, is_news: bool) {
        self.states.send_if_modified(|state| {
            state.published += u64::from(is_news);
            state.error.take().is_some() || is_news
        });
    }

    /// Record a failure, in git-sync's format.
    pub fn failed(&self, message: &str, error: &str, arguments: &Value) {
        let report = json!({ "Msg": message, "Err": error, "Args": arguments });
        self.states.send_modify(|state| state.error = Some(format!("{report}\n")));
    }

    /// Wait until the last state is written, but no longer than `limit`.
    pub async fn finish(self, limit: Duration) {
        drop(self.states);
        if tokio::time::timeout(limit, self.task).await.is_err() {
            warn!("the touch file or the error file cannot be written: its file system does not answer");
        }
    }
}

async fn write(files: Files, mut states: watch::Receiver<State>) {
    let mut published = 0;
    while states.changed().await.is_ok() {
        let (files, state) = (files.clone(), states.borrow_and_update().clone());
        let is_news = std::mem::replace(&mut published, state.published) != state.published;
        let written = spawn_blocking(move || {
            if is_news {
                files.touch();
            }
            match &state.error {
                Some(text) => files.write(text),
                None => files.clear(),
            }
        });
        let _ = written.await.inspect_err(|err| warn!(error = %err, "cannot write the files"));
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

/// Always the same name, so that killed processes leave one file at most.
fn temporary(path: &Path) -> PathBuf {
    path.with_file_name(format!(".{}.tmp", path.file_name().unwrap_or_default().to_string_lossy()))
}

pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs_err::remove_file(path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
        _ => Ok(()),
    }
}
