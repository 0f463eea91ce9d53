//! Fetching from a relay, or from the git server while the relay is out of reach.

use std::collections::BTreeSet;
use std::io::{self, BufReader, ErrorKind as IoErrorKind};
use std::path::Path;
use std::sync::Arc;

use gix::ObjectId;
use gix::objs::{Kind as ObjectKind, Write as _};

use super::remote::{Arrived, Commits, Remote, WantedCommits};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::fetched::{StreamedFiles, Tip};
use crate::fs_ext::remove_dir_if_there;
use crate::index_pack::{PackReceiver, StreamTarget};
use crate::interrupt::Interrupt;
use crate::objects::closure::{boundary, closure};
use crate::progress::{Progress, Stage};
use crate::relay::{Relay, RelayLook, RelayPack, RelayTip, Route};
use crate::spec::reference::{AdvertisedRef, CommitId};
use crate::spec::{Depth, Source};
use crate::store::Store;
use crate::transport::options::ConnectOptions;

/// A relay, and the server that it relays.
pub(super) struct Relayed {
    relay: Box<dyn Relay>,
    server: Box<dyn Remote>,
    interrupt: Interrupt,
    progress: Progress,
    last: Last,
    /// The full name of the reference that the relay follows, once it is known.
    followed: Option<String>,
}

/// Who answered last, and what.
enum Last {
    Nobody,
    Relay(Box<RelayTip>),
    Server(Vec<AdvertisedRef>),
}

impl Remote for Relayed {
    fn list(&mut self, source: &Source, prefixes: &[String]) -> Result<Vec<AdvertisedRef>> {
        self.progress.enter(Stage::Listing);
        match self.relay.look(&self.interrupt)? {
            RelayLook::Tip(tip) => {
                check_tag(&tip)?;
                let refs = advertised(&tip);
                self.followed = Some(tip.reference.clone());
                self.last = Last::Relay(tip);
                Ok(refs)
            }
            RelayLook::Unchanged => Ok(match &self.last {
                Last::Server(refs) => refs.clone(),
                Last::Relay(tip) => advertised(tip),
                Last::Nobody => Vec::new(),
            }),
            RelayLook::AskServer => {
                let refs = self.list_at_server(source, prefixes)?;
                self.last = Last::Server(refs.clone());
                Ok(refs)
            }
        }
    }

    fn fetch(
        &mut self,
        source: &Source,
        tip: &Tip,
        store: &mut Store,
        early_dir: Option<&Path>,
    ) -> Result<Arrived> {
        let step = || format!("fetch {} from {}", tip.commit, source.url);
        let announced = match &self.last {
            Last::Server(_) => return self.server.fetch(source, tip, store, early_dir),
            Last::Relay(announced) if announced.commit == tip.commit => announced.clone(),
            Last::Relay(_) | Last::Nobody => {
                return Err(Error::new(ErrorKind::NotFound, step(), "the relay has another commit"));
            }
        };
        if announced.depth != source.depth {
            let shown = |depth: Depth| depth.0.map_or(0, u32::from);
            let (theirs, ours) = (shown(announced.depth), shown(source.depth));
            let text = format!("the relay has the depth {theirs}, and {ours} is wanted; make them the same");
            return Err(Error::new(ErrorKind::Configuration, step(), text));
        }
        store.prepare(tip.commit.0.kind(), None)?;
        self.receive(&announced, source, store, early_dir).map_err(|err| err.within(&step()))
    }

    /// A relay has whole packs only.
    fn commits(
        &mut self,
        source: &Source,
        wanted: &WantedCommits,
        store: &mut Store,
    ) -> Result<Option<Commits>> {
        match self.last {
            Last::Server(_) => self.server.commits(source, wanted, store),
            Last::Relay(_) | Last::Nobody => Ok(None),
        }
    }

    fn fetch_missing_blobs(&mut self, source: &Source, commit: ObjectId, store: &Store) -> Result<()> {
        match self.last {
            Last::Server(_) => self.server.fetch_missing_blobs(source, commit, store),
            Last::Relay(_) | Last::Nobody => Ok(()),
        }
    }

    fn set_options(&mut self, options: Arc<ConnectOptions>) {
        self.server.set_options(options);
    }

    fn rest(&mut self) {
        self.server.rest();
    }

    fn lacks_filter(&self) -> bool {
        self.server.lacks_filter()
    }

    fn name_of_head(&self) -> Option<&str> {
        self.followed.as_deref()
    }
}

/// The reference, and the same as `HEAD`: whoever names none follows what the relay has.
fn advertised(tip: &RelayTip) -> Vec<AdvertisedRef> {
    let tag = tip.tag.as_ref().map(|(id, _)| id.0);
    let names = ["HEAD", tip.reference.as_str()];
    names.map(|name| AdvertisedRef { name: name.to_owned(), commit: tip.commit.0, tag }).into()
}

/// Why packs could not be taken in.
enum Refused {
    /// The packs are not what they should be. Others may be.
    Packs(Error),
    Other(Error),
}

impl From<Error> for Refused {
    fn from(err: Error) -> Self {
        Refused::Other(err)
    }
}

impl Relayed {
    pub(super) fn new(
        relay: Box<dyn Relay>,
        server: Box<dyn Remote>,
        interrupt: Interrupt,
        progress: Progress,
    ) -> Self {
        Relayed { relay, server, interrupt, progress, last: Last::Nobody, followed: None }
    }

    /// Whoever names no reference goes on with the relay's, not with the server's own `HEAD`.
    fn list_at_server(&mut self, source: &Source, prefixes: &[String]) -> Result<Vec<AdvertisedRef>> {
        let Some(name) = self.followed.clone().filter(|_| prefixes == ["HEAD"]) else {
            return self.server.list(source, prefixes);
        };
        let mut refs = self.server.list(source, std::slice::from_ref(&name))?;
        refs.retain(|found| found.name == name);
        refs.iter_mut().for_each(|found| "HEAD".clone_into(&mut found.name));
        Ok(refs)
    }

    /// Take in what is missing; everything, if what should be enough is not.
    fn receive(
        &mut self,
        tip: &RelayTip,
        source: &Source,
        store: &Store,
        early_dir: Option<&Path>,
    ) -> Result<Arrived> {
        self.progress.enter(Stage::Requesting);
        let leads_nowhere =
            || Error::new(ErrorKind::Server, "read the tip", "it names no complete set of packs");
        let before = store.repository()?;
        let haves = store.haves(&before)?;
        let route = tip.route(|id| haves.contains(&id.0)).ok_or_else(leads_nowhere)?;
        let whole = match route {
            Route::Whole(packs) => packs,
            Route::Steps(packs) => match self.take(tip, &packs, source, (store, before, &haves), None) {
                Err(Refused::Packs(_)) if !self.interrupt.is_triggered() => {
                    tip.whole().ok_or_else(leads_nowhere)?
                }
                taken => return taken.map_err(Refused::into_error),
            },
        };
        let is_simple = haves.is_empty() && whole.len() == 1 && source.selection.sparse.is_none();
        let early_dir = early_dir.filter(|_| is_simple);
        let (before, nothing) = (store.repository()?, BTreeSet::new());
        self.take(tip, &whole, source, (store, before, &nothing), early_dir).map_err(Refused::into_error)
    }

    /// Take in packs, and check that the commit is complete afterwards. What is there `before` is complete if there are
    /// `haves`.
    fn take(
        &mut self,
        tip: &RelayTip,
        packs: &[RelayPack],
        source: &Source,
        (store, mut before, haves): (&Store, gix::Repository, &BTreeSet<ObjectId>),
        early_dir: Option<&Path>,
    ) -> std::result::Result<Arrived, Refused> {
        before.objects.refresh_never();
        // First the boundary, then the commits: a kill in between must not leave commits whose parents are missing.
        let shallow: Vec<ObjectId> = packs.iter().flat_map(|pack| &pack.shallow).map(|id| id.0).collect();
        store.extend_shallow(&before, &shallow)?;
        if let Some(dir) = early_dir {
            let step = || format!("create {}", dir.display());
            remove_dir_if_there(dir).and_then(|()| fs_err::create_dir(dir)).step(step)?;
        }
        let limits = &source.selection.limits;
        let leaves_pointers = source.selection.lfs.is_some();
        let tree = early_dir.map(|dir| StreamTarget { commit: tip.commit.0, dir, limits, leaves_pointers });
        let (mut files, mut repo) = (StreamedFiles::default(), before.clone());
        for pack in packs {
            files = self.take_pack(pack, tree, source, (store, &repo))?;
            repo = store.repository()?;
        }
        let is_known = |id: &gix::oid| !haves.is_empty() && gix::objs::Exists::exists(&before.objects, id);
        self.complete(tip, packs, (store, repo), is_known)?;
        Ok(Arrived { object: tip.commit.0, files, has_others: false })
    }

    fn take_pack(
        &mut self,
        pack: &RelayPack,
        tree: Option<StreamTarget<'_>>,
        source: &Source,
        (store, repo): (&Store, &gix::Repository),
    ) -> std::result::Result<StreamedFiles, Refused> {
        let step = || "receive a pack from the relay".to_owned();
        let bases = store.objects(repo)?;
        let receiver = store.pack_receiver(&self.progress, &self.interrupt);
        let receiver = PackReceiver { tree, ..receiver };
        self.progress.enter(Stage::Receiving);
        let received = self.relay.open(pack, &self.interrupt).and_then(|reader| {
            let mut reader = BufReader::with_capacity(64 * 1024, reader);
            let taken = receiver.take(&mut source.selection.limits.pack(&mut reader), Some(&bases))?;
            // Its end is where it is compared with what was announced.
            match io::copy(&mut reader, &mut io::sink())? {
                0 => Ok(taken.early),
                _ => Err(io::Error::new(IoErrorKind::InvalidData, "something follows the pack")),
            }
        });
        received.map_err(|err| {
            let is_pack = matches!(err.kind(), IoErrorKind::InvalidData | IoErrorKind::NotFound);
            let failure = Error::io(step(), &err);
            if is_pack { self.refuse(pack, failure) } else { Refused::Other(failure) }
        })
    }

    fn refuse(&mut self, pack: &RelayPack, failure: Error) -> Refused {
        self.relay.refused(pack);
        Refused::Packs(failure)
    }

    /// Check that nothing of the commit is missing, and draw the shallow boundary.
    fn complete(
        &mut self,
        tip: &RelayTip,
        packs: &[RelayPack],
        (store, mut repo): (&Store, gix::Repository),
        is_known: impl Fn(&gix::oid) -> bool,
    ) -> std::result::Result<(), Refused> {
        let step = || format!("look whether {} is complete", tip.commit);
        repo.objects.refresh_never();
        let objects = store.objects(&repo)?;
        let shallow = boundary(&repo).step(step)?;
        let until = (&shallow, tip.depth);
        let needed = closure(&objects, &[tip.commit.0], until, is_known, |_| false, &self.interrupt);
        let last = packs.last().unwrap_or(&tip.full.1);
        let needed = match needed {
            Ok(needed) => needed,
            Err(err) if self.interrupt.is_triggered() => return Err(Error::gix(step(), &err).into()),
            Err(err) => return Err(self.refuse(last, Error::new(ErrorKind::Server, step(), err.to_string()))),
        };
        if let Some(missing) = needed.objects.iter().find(|id| !repo.has_object(**id)) {
            let text = format!("the packs of the relay lack {missing}");
            return Err(self.refuse(last, Error::new(ErrorKind::Server, step(), text)));
        }
        if let Some((id, Some(content))) = &tip.tag {
            write_tag(&repo, id.0, content)?;
        }
        Ok(store.redraw_shallow(&repo, &needed)?)
    }
}

impl Refused {
    fn into_error(self) -> Error {
        let (Refused::Packs(err) | Refused::Other(err)) = self;
        err
    }
}

/// A tag comes beside the packs. This is looked at each time: once the commit is there, nothing is fetched.
fn check_tag(tip: &RelayTip) -> Result<()> {
    let Some((CommitId(id), Some(content))) = &tip.tag else { return Ok(()) };
    let step = || format!("read the tag {id}");
    let computed =
        gix::objs::compute_hash(id.kind(), ObjectKind::Tag, content).map_err(io::Error::other).step(step)?;
    if computed != *id {
        return Err(Error::new(ErrorKind::Server, step(), "the relay has another tag of this id"));
    }
    match gix::objs::TagRef::from_bytes(content, id.kind()) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::new(ErrorKind::Server, step(), "what the relay has of this id is no tag")),
    }
}

fn write_tag(repo: &gix::Repository, id: ObjectId, content: &[u8]) -> Result<()> {
    if !repo.has_object(id) {
        repo.write_buf(ObjectKind::Tag, content).step(|| format!("write the tag {id}"))?;
    }
    Ok(())
}
