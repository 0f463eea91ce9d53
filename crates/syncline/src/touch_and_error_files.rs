//! The two small files that git-sync keeps for others: one touched when something was published, one that holds
//! the last error. They may be on a file system that hangs, so a task of its own writes them ([`Writer`]).

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err::OpenOptions;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
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
    fn touch(&self) {
        if let Some(path) = &self.touch {
            let _ = touch(path).inspect_err(|err| warn!(error = %err, "cannot touch the file"));
        }
    }

    /// Remember a text as it is: faults of the command line.
    pub fn write(&self, text: &str) {
        if let Some(path) = &self.error {
            let _ = replace(path, text).inspect_err(|err| warn!(error = %err, "cannot write the error file"));
        }
    }

    /// All is well again.
    fn clear(&self) {
        if let Some(path) = &self.error {
            let removed = remove_if_there(&temporary(path)).and_then(|()| remove_if_there(path));
            let _ = removed.inspect_err(|err| warn!(error = %err, "cannot remove the error file"));
        }
    }
}

/// What the files are to say. Only the newest wish counts.
#[derive(Clone, Debug, Default)]
struct Wish {
    /// How often something was published.
    published: u64,
    /// The last error; `None` where all is well.
    error: Option<String>,
}

/// Writes the files, one wish after the other, while nobody waits.
#[derive(Debug)]
pub struct Writer {
    wishes: watch::Sender<Wish>,
    task: JoinHandle<()>,
}

impl Writer {
    pub fn start(files: Files) -> Writer {
        let (wishes, receiver) = watch::channel(Wish::default());
        Writer { wishes, task: tokio::spawn(write(files, receiver)) }
    }

    /// A pass succeeded, and perhaps `is_news`.
    pub fn succeeded(&self, is_news: bool) {
        self.wishes.send_if_modified(|wish| {
            wish.published += u64::from(is_news);
            wish.error.take().is_some() || is_news
        });
    }

    /// Remember a failure, in git-sync's form.
    pub fn failed(&self, message: &str, error: &str, arguments: &Value) {
        let report = json!({ "Msg": message, "Err": error, "Args": arguments });
        self.wishes.send_modify(|wish| wish.error = Some(format!("{report}\n")));
    }

    /// Wait until the last wish is fulfilled, but no longer than `limit`.
    pub async fn finish(self, limit: Duration) {
        drop(self.wishes);
        if tokio::time::timeout(limit, self.task).await.is_err() {
            warn!("the touch file or the error file cannot be written: its file system does not answer");
        }
    }
}

async fn write(files: Files, mut wishes: watch::Receiver<Wish>) {
    let mut published = 0;
    while wishes.changed().await.is_ok() {
        let (files, wish) = (files.clone(), wishes.borrow_and_update().clone());
        let is_news = std::mem::replace(&mut published, wish.published) != wish.published;
        let written = spawn_blocking(move || {
            if is_news {
                files.touch();
            }
            match &wish.error {
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
