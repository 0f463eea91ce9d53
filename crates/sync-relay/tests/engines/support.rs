//! Servers on loopback, and engines that use them.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ring::digest::{SHA256, digest};
use sync_core::{ConnectOptions, Interrupt};
use sync_relay::engine::{Access, Connections, Engine, Login, PackName, open};

/// How long tests wait for what must come.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Wait for a condition.
pub fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A program that scripts/install-relay-servers installs.
pub fn installed(name: &str) -> PathBuf {
    let target = std::env::current_exe().unwrap();
    let target = target.ancestors().find(|dir| dir.join("relay-servers").is_dir());
    let path = target.map(|dir| dir.join("relay-servers/bin").join(name)).filter(|path| path.exists());
    path.unwrap_or_else(|| panic!("{name} is missing; run scripts/install-relay-servers"))
}

/// A program of a Debian package.
pub fn packaged(path: &str, package: &str) -> PathBuf {
    assert!(Path::new(path).exists(), "{path} is missing; install the Debian package {package}");
    path.into()
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A program that is killed on drop.
pub struct Process(Child);

impl Process {
    pub fn start(command: &mut Command) -> Process {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Process(command.spawn().unwrap_or_else(|err| panic!("{command:?}: {err}")))
    }

    pub fn kill(&mut self) {
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }

    /// Stop or continue it.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(id, signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn await_port(port: u16) {
    eventually(&format!("something on port {port}"), || TcpStream::connect(("127.0.0.1", port)).ok());
}

/// Counts wake-ups.
#[derive(Clone, Default)]
pub struct Bell(Arc<AtomicUsize>);

impl Bell {
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Where a relay is, and how to log in.
#[derive(Clone)]
pub struct Place {
    pub url: String,
    pub access: Access,
    connections: Connections,
    pub bell: Bell,
}

impl Place {
    pub fn new(url: impl Into<String>, login: Login) -> Place {
        Place::with(url, ConnectOptions::default(), login)
    }

    pub fn with(url: impl Into<String>, connect: ConnectOptions, login: Login) -> Place {
        let bell = Bell::default();
        let count = bell.0.clone();
        let wake = Arc::new(move || _ = count.fetch_add(1, Ordering::SeqCst));
        let access = Access::new(connect, Arc::new(move || Ok(login.clone())), wake);
        Place { url: url.into(), access, connections: Connections::default(), bell }
    }

    pub fn engine(&self, name: &str) -> Box<dyn Engine> {
        open(&self.url.parse().unwrap(), &name.parse().unwrap(), self.access.clone(), &self.connections)
    }
}

pub fn interrupt() -> Interrupt {
    Interrupt::new()
}

/// Bytes that look like nothing, their name, and a file of them.
pub struct Pack {
    pub name: PackName,
    pub bytes: Vec<u8>,
    pub file: fs_err::File,
}

impl Pack {
    pub fn of(size: usize, seed: u64) -> Pack {
        let mut bytes = vec![0; size];
        fastrand::Rng::with_seed(seed).fill(&mut bytes);
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), &bytes).unwrap();
        let name = PackName(digest(&SHA256, &bytes).as_ref().try_into().unwrap());
        Pack { name, bytes, file: fs_err::File::open(file.path()).unwrap() }
    }

    pub fn put(&mut self, engine: &mut dyn Engine) -> std::io::Result<()> {
        engine.put_pack(&self.name, self.bytes.len() as u64, &mut self.file, &interrupt())
    }

    pub fn get(&self, engine: &mut dyn Engine) -> std::io::Result<Vec<u8>> {
        let (mut bytes, interrupt) = (Vec::new(), interrupt());
        engine.pack(&self.name, &interrupt)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[track_caller]
    pub fn assert_read(&self, engine: &mut dyn Engine) {
        assert!(self.get(engine).unwrap() == self.bytes, "other bytes");
    }
}
