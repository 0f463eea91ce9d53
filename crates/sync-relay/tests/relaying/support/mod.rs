//! An engine in memory, upstream repositories, feeders and followers.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use sync_core::{Clock, CommitId, Depth, Error, Interrupt, Mirror, Source, SyncOutcome};
use sync_relay::engine::{Engine, PackName, Record, Revision, Swap};
use sync_relay::{Facts, Fallback, Feeder, FeederOptions, Follower, FollowerOptions, Published, Tip};
use tempfile::TempDir;

thread_local! {
    /// How many seconds the test of this thread let pass.
    static SECONDS: Cell<u64> = const { Cell::new(0) };
}

pub fn pass(seconds: u64) {
    SECONDS.set(SECONDS.get() + seconds);
}

fn passed() -> Duration {
    Duration::from_secs(SECONDS.get())
}

pub const CLOCK: Clock = Clock {
    wall: || SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + passed(),
    monotonic: passed,
};

/// What the engine holds. Tests alter it.
#[derive(Default)]
pub struct Held {
    pub tip: Option<(Vec<u8>, u64)>,
    pub packs: BTreeMap<PackName, Vec<u8>>,
    pub is_down: bool,
    pub tip_reads: usize,
    pub pack_reads: usize,
}

/// Clones hold the same.
#[derive(Clone, Default)]
pub struct Memory(pub Arc<Mutex<Held>>);

impl Memory {
    fn held(&self) -> io::Result<std::sync::MutexGuard<'_, Held>> {
        let held = self.0.lock().unwrap();
        if held.is_down {
            Err(io::Error::new(io::ErrorKind::NotConnected, "the engine is down"))
        } else {
            Ok(held)
        }
    }

    pub fn alter(&self, change: impl FnOnce(&mut Held)) {
        change(&mut self.0.lock().unwrap());
    }

    pub fn tip(&self, name: &str) -> Tip {
        let held = self.0.lock().unwrap();
        Tip::decode(&held.tip.as_ref().unwrap().0, &name.parse().unwrap(), None).unwrap()
    }
}

impl Engine for Memory {
    fn prepare(&mut self, _: &Interrupt) -> io::Result<()> {
        self.held().map(|_| ())
    }

    fn tip(&mut self, _: &Interrupt) -> io::Result<Option<Record>> {
        let mut held = self.held()?;
        held.tip_reads += 1;
        let record = |(bytes, at): (Vec<u8>, u64)| Record { bytes, revision: Revision(at.to_string()) };
        Ok(held.tip.clone().map(record))
    }

    fn pack<'a>(&'a mut self, name: &PackName, _: &'a Interrupt) -> io::Result<Box<dyn Read + Send + 'a>> {
        let mut held = self.held()?;
        held.pack_reads += 1;
        match held.packs.get(name) {
            Some(pack) => Ok(Box::new(Cursor::new(pack.clone()))),
            None => Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no pack {name}"))),
        }
    }

    fn swap(&mut self, tip: &[u8], expected: Option<&Revision>, _: &Interrupt) -> io::Result<Swap> {
        let mut held = self.held()?;
        let stored = held.tip.as_ref().map(|(_, at)| *at);
        if stored.map(|at| Revision(at.to_string())).as_ref() != expected {
            return Ok(Swap::Lost);
        }
        let at = stored.unwrap_or(0) + 1;
        held.tip = Some((tip.to_vec(), at));
        Ok(Swap::Done(Revision(at.to_string())))
    }

    fn put_pack(
        &mut self,
        name: &PackName,
        length: u64,
        pack: &mut fs_err::File,
        _: &Interrupt,
    ) -> io::Result<()> {
        let mut content = Vec::new();
        pack.seek(SeekFrom::Start(0))?;
        pack.read_to_end(&mut content)?;
        assert_eq!(content.len() as u64, length);
        self.held()?.packs.insert(*name, content);
        Ok(())
    }

    fn packs(&mut self, _: &Interrupt) -> io::Result<Vec<PackName>> {
        Ok(self.held()?.packs.keys().copied().collect())
    }

    fn remove_pack(&mut self, name: &PackName, _: &Interrupt) -> io::Result<()> {
        self.held()?.packs.remove(name);
        Ok(())
    }

    fn is_connected(&self) -> bool {
        !self.0.lock().unwrap().is_down
    }
}

/// An upstream repository, an engine, and directories.
pub struct Scene {
    pub dir: TempDir,
    pub engine: Memory,
    pub depth: u32,
}

impl Scene {
    pub fn new() -> Scene {
        Scene::of("sha1", 1)
    }

    pub fn of(format: &'static str, depth: u32) -> Scene {
        let scene = Scene { dir: TempDir::new().unwrap(), engine: Memory::default(), depth };
        fs::create_dir(scene.upstream()).unwrap();
        scene.git(&["init", "--quiet", "--initial-branch=main", &format!("--object-format={format}")]);
        scene
    }

    pub fn upstream(&self) -> PathBuf {
        self.dir.path().join("upstream")
    }

    pub fn git(&self, args: &[&str]) -> String {
        git(&self.upstream(), args)
    }

    pub fn commit(&self, files: &[(&str, &str)]) -> String {
        for (name, content) in files {
            let path = self.upstream().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message=change"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn source(&self, reference: &str) -> Source {
        let url = self.upstream().to_str().unwrap().parse().unwrap();
        let mut source = Source::new(url, reference.parse().unwrap());
        source.depth = Depth::new(self.depth);
        source.selection.submodules = sync_core::SubmoduleMode::Off;
        source
    }

    pub fn feeder(&self, id: &str, reference: &str) -> Feed {
        self.feeder_with(id, reference, |_| {})
    }

    pub fn feeder_with(&self, id: &str, reference: &str, change: impl FnOnce(&mut FeederOptions)) -> Feed {
        let mut options = FeederOptions {
            name: "site".parse().unwrap(),
            id: id.to_owned(),
            sign_key_file: None,
            inline: 64 * 1024,
            keep: Duration::from_secs(3600),
            followers: 0,
            depth: Depth::new(self.depth),
            clock: CLOCK,
        };
        change(&mut options);
        let facts = Facts::default();
        let mirror = Mirror::builder(self.source(reference)).open(self.dir.path().join(id)).unwrap();
        Feed { mirror, feeder: Feeder::new(Box::new(self.engine.clone()), options, facts.clone()), facts }
    }

    pub fn follower(&self, id: &str) -> Follow {
        self.follower_with(id, |_| {})
    }

    pub fn follower_with(&self, id: &str, change: impl FnOnce(&mut FollowerOptions)) -> Follow {
        let root = self.dir.path().join(id);
        let mut options = FollowerOptions {
            name: "site".parse().unwrap(),
            key_file: None,
            fallback: Fallback::Never,
            memory: root.join(".git/syncline-relay"),
            clock: CLOCK,
        };
        change(&mut options);
        let facts = Facts::default();
        let follower = Follower::new(Box::new(self.engine.clone()), options, facts.clone());
        let mirror = Mirror::builder(self.source("HEAD")).relay(Box::new(follower)).open(&root).unwrap();
        Follow { mirror, facts, root }
    }
}

pub struct Feed {
    pub mirror: Mirror,
    pub feeder: Feeder,
    pub facts: Facts,
}

impl Feed {
    pub fn sync(&mut self) {
        self.try_sync().unwrap();
    }

    pub fn try_sync(&mut self) -> Result<(), Error> {
        self.mirror.update().unwrap();
        let tip = self.mirror.published_tip().unwrap();
        let tag = tip.tag().map(|tag| tag.parse().unwrap());
        let published = Published { reference: tip.reference().unwrap().to_owned(), commit: tip.commit, tag };
        let fed = self.feeder.feed(&published, self.mirror.store(), &Interrupt::new());
        self.mirror.maintain(published.commit);
        fed
    }
}

pub struct Follow {
    pub mirror: Mirror,
    pub facts: Facts,
    pub root: PathBuf,
}

impl Follow {
    /// Sync, and check that stock git finds nothing wrong.
    #[track_caller]
    pub fn sync(&mut self) -> String {
        let outcome = self.mirror.sync().unwrap();
        let commit = outcome.commit().to_string();
        let fsck = git(&self.root, &["fsck", "--full", "--strict", "--no-dangling"]);
        assert_eq!(fsck, "", "git fsck");
        let tree = self.tree();
        assert_eq!(git(&tree, &["status", "--porcelain"]), "");
        assert_eq!(git(&tree, &["rev-parse", "HEAD"]), commit);
        commit
    }

    #[track_caller]
    pub fn fails(&mut self) -> String {
        match self.mirror.sync() {
            Err(err) => err.to_string(),
            Ok(outcome) => panic!("{outcome:?}"),
        }
    }

    pub fn tree(&self) -> PathBuf {
        self.mirror.store().tree_path(self.published())
    }

    pub fn published(&self) -> CommitId {
        self.mirror.published().unwrap().unwrap()
    }

    #[track_caller]
    pub fn is_unchanged(&mut self) {
        assert!(matches!(self.mirror.sync(), Ok(SyncOutcome::Unchanged(_))));
    }

    pub fn bytes(&self, kind: sync_relay::PackKind) -> u64 {
        self.facts.known().pack_bytes.get(&kind).copied().unwrap_or(0)
    }

    pub fn refused(&self, reason: sync_relay::Reason) -> u64 {
        self.facts.known().refused.get(&reason).copied().unwrap_or(0)
    }
}

pub fn git(dir: &Path, args: &[&str]) -> String {
    let identity =
        ["-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "protocol.file.allow=always"];
    let output = Command::new("git")
        .args(identity)
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", dir)
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {text}");
    text.trim_end().to_owned()
}
