//! How packs are read and taken in.

use gix::hash::Kind;

use super::Store;
use crate::error::{Error, Result};
use crate::objects::Objects;
use crate::progress::Progress;
use crate::unpack::Intake;
use crate::{Interrupt, Resources};

impl Store {
    pub(crate) fn resources(&self) -> Resources {
        self.resources
    }

    /// Access to the objects of a repository, by default our own, that maps no packs.
    pub(crate) fn objects(&self, repo: &gix::Repository) -> Result<Objects> {
        Objects::of(repo, &self.pack_dir(), self.resources)
            .map_err(|err| Error::reading(format!("open the packs of {}", repo.path().display()), &err))
    }

    /// How a pack comes in here.
    pub(crate) fn intake<'a>(&self, progress: &'a Progress, interrupt: &'a Interrupt) -> Intake<'a> {
        let (hash, resources) = (self.kind.unwrap_or(Kind::Sha1), self.resources);
        Intake { pack_dir: self.pack_dir(), hash, tree: None, resources, progress, interrupt }
    }
}
