//! What relays run on: stock nats-server, SeaweedFS, and feeders and followers of the program.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::servers::await_port;
use super::{Env, Syncline, eventually, free_port, fsck};

/// A server of the script `scripts/install-relay-servers`, or of Debian.
pub fn server(name: &str) -> PathBuf {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/relay-servers/bin").join(name);
    let debian = Path::new("/usr/sbin").join(name);
    match (installed.exists(), debian.exists()) {
        (true, _) => installed,
        (false, true) => debian,
        _ => panic!("there is no {name}: run scripts/install-relay-servers"),
    }
}

/// A NATS server with JetStream, alone.
pub struct Nats {
    dir: PathBuf,
    pub port: u16,
    pub monitor: u16,
    child: Option<Child>,
    options: Vec<String>,
}

impl Nats {
    pub fn start(dir: &Path) -> Nats {
        Nats::with(dir, &[])
    }

    pub fn with(dir: &Path, options: &[&str]) -> Nats {
        fs::create_dir_all(dir).unwrap();
        let options = options.iter().map(ToString::to_string).collect();
        let mut nats =
            Nats { dir: dir.to_owned(), port: free_port(), monitor: free_port(), child: None, options };
        nats.go_on();
        nats
    }

    pub fn go_on(&mut self) {
        let mut command = Command::new(server("nats-server"));
        command.args([
            "-js",
            "-a",
            "127.0.0.1",
            "-p",
            &self.port.to_string(),
            "-m",
            &self.monitor.to_string(),
        ]);
        command.arg("-sd").arg(&self.dir).args(&self.options);
        command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        self.child = Some(command.spawn().unwrap());
        await_port(self.port);
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// By SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

/// SeaweedFS as S3, with one bucket.
pub struct S3 {
    child: Child,
    port: u16,
}

impl S3 {
    pub const BUCKET: &str = "relay";

    pub fn start(dir: &Path) -> S3 {
        fs::create_dir_all(dir).unwrap();
        let (port, config) = (free_port(), dir.join("s3.json"));
        let actions = r#"["Admin","Read","Write","List","Tagging"]"#;
        let identity = format!(
            r#"{{"identities":[{{"name":"me","credentials":[{{"accessKey":"key","secretKey":"secret"}}],"actions":{actions}}}]}}"#
        );
        fs::write(&config, identity).unwrap();
        let mut command = Command::new(server("weed"));
        command.arg("mini").arg(format!("-dir={}", dir.display()));
        command.args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", &format!("-s3.port={port}")]);
        for option in ["master.port", "volume.port", "filer.port", "webdav.port", "admin.port"] {
            command.arg(format!("-{option}={}", free_port()));
        }
        command.arg(format!("-s3.config={}", config.display())).current_dir(dir);
        command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let child = command.spawn().unwrap();
        let s3 = S3 { child, port };
        await_port(port);
        s3.make_bucket();
        s3
    }

    fn make_bucket(&self) {
        eventually("a bucket", || {
            let output = Command::new("curl")
                .args(["--silent", "--fail", "--request", "PUT", "--aws-sigv4", "aws:amz:us-east-1:s3"])
                .args(["--user", "key:secret", &format!("http://127.0.0.1:{}/{}", self.port, S3::BUCKET)])
                .output()
                .unwrap();
            output.status.success().then_some(())
        });
    }

    pub fn url(&self) -> String {
        format!("s3://{}/fleet?region=us-east-1&endpoint=http://127.0.0.1:{}", S3::BUCKET, self.port)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A feeder of `repo`, with its root below the environment's directory.
pub fn feeder(env: &Env, id: &str, repo: &str, relay: &str) -> Syncline {
    Syncline::new()
        .arg(format!("--repo={repo}"))
        .arg("--ref=main")
        .arg("--submodules=off")
        .arg(format!("--root={}", env.path(id).display()))
        .arg("--link=current")
        .arg("--period=100ms")
        .arg(format!("--relay-url={relay}"))
        .arg("--relay-role=feed")
        .arg("--relay-name=site")
}

pub fn follower(env: &Env, id: &str, relay: &str) -> Syncline {
    Syncline::new()
        .arg(format!("--root={}", env.path(id).display()))
        .arg("--link=current")
        .arg(format!("--relay-url={relay}"))
        .arg("--relay-name=site")
        .arg("--init-max-failures=-1")
        .arg("--init-period=100ms")
}

/// The commit that a process publishes.
pub fn shown(env: &Env, id: &str) -> Option<String> {
    let target = fs::read_link(env.path(id).join("current")).ok()?;
    Some(target.file_name()?.to_str()?.to_owned())
}

#[track_caller]
pub fn wait_for_commit(env: &Env, id: &str, commit: &str) {
    eventually(&format!("{commit} at {id}"), || (shown(env, id).as_deref() == Some(commit)).then_some(()));
}

/// Git finds nothing wrong. Steps that a follower only passed through are dangling until the store is repacked.
#[track_caller]
pub fn assert_sound(store: &Path) {
    let (succeeded, said) = fsck(store);
    assert!(succeeded && said.lines().all(|line| line.starts_with("dangling commit ")), "{said}");
}
