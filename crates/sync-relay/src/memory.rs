//! What a follower must never go behind, on disk.

use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};
use sync_core::CommitId;

use crate::refusal::{Reason, Refusal};

/// A tip that was followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) generation: u64,
    pub(crate) commit: CommitId,
}

/// The newest tip that was followed.
pub(crate) struct Memory {
    path: PathBuf,
    /// What the file says; it is read once. A damaged file counts as none.
    newest: Option<Option<Seen>>,
}

impl Memory {
    pub(crate) fn at(path: PathBuf) -> Memory {
        Memory { path, newest: None }
    }

    fn newest(&mut self) -> &mut Option<Seen> {
        let path = &self.path;
        self.newest.get_or_insert_with(|| read(&fs_err::read_to_string(path).ok()?))
    }

    /// Whether a tip is not behind the newest.
    pub(crate) fn judge(&mut self, tip: &Seen) -> Result<(), Refusal> {
        match self.newest().as_ref().map(|newest| newest.generation) {
            Some(newest) if tip.generation < newest => {
                let text = format!(
                    "its generation is {}, and {newest} was followed before; if the relay was set up anew, remove {}",
                    tip.generation,
                    self.path.display()
                );
                Err(Refusal::new(Reason::Older, text))
            }
            _ => Ok(()),
        }
    }

    /// A tip is followed. Only another commit is worth writing down: older tips of the same one do no harm.
    pub(crate) fn remember(&mut self, tip: Seen) -> io::Result<()> {
        let is_news = self.newest().as_ref().is_none_or(|newest| newest.commit != tip.commit);
        if is_news {
            let text = json!({ "generation": tip.generation, "commit": tip.commit.to_string() }).to_string();
            let temporary = self.path.with_file_name("tmp-syncline-relay");
            if let Some(parent) = self.path.parent() {
                fs_err::create_dir_all(parent)?;
            }
            fs_err::write(&temporary, text)?;
            fs_err::rename(&temporary, &self.path)?;
        }
        *self.newest() = Some(tip);
        Ok(())
    }
}

fn read(text: &str) -> Option<Seen> {
    let value: Value = serde_json::from_str(text).ok()?;
    let commit = value["commit"].as_str()?.parse().ok()?;
    Some(Seen { generation: value["generation"].as_u64()?, commit })
}
