//! S3, by SeaweedFS.

use std::io::ErrorKind;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sync_core::Secret;
use sync_relay::engine::{Keys, Login, Swap};
use tempfile::TempDir;

use crate::behaviours;
use crate::support::{Pack, Place, Process, await_port, eventually, free_port, installed, interrupt};

/// SeaweedFS with two users: one for all, one for reading.
pub struct Weed {
    pub port: u16,
    _dir: TempDir,
    _process: Process,
    _alone: MutexGuard<'static, ()>,
}

/// One at a time: each has many ports, and not all can be chosen.
static ALONE: Mutex<()> = Mutex::new(());

/// Its ports for gRPC are larger by 10,000.
fn low_port() -> u16 {
    std::iter::repeat_with(free_port).find(|port| *port < 50_000).unwrap()
}

const CONFIG: &str = r#"{"identities": [
    {"name": "feeder", "credentials": [{"accessKey": "feeder", "secretKey": "feeder-secret"}],
     "actions": ["Admin", "Read", "Write", "List", "Tagging"]},
    {"name": "pod", "credentials": [{"accessKey": "pod", "secretKey": "pod-secret"}],
     "actions": ["Read:relay", "List:relay"]}
]}"#;

impl Weed {
    pub fn start() -> Weed {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (dir, port) = (tempfile::tempdir().unwrap(), low_port());
        let config = dir.path().join("s3.json");
        fs_err::write(&config, CONFIG).unwrap();
        fs_err::create_dir(dir.path().join("data")).unwrap();
        let mut command = Command::new(installed("weed"));
        command.current_dir(dir.path()).args(["mini", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]);
        command.arg(format!("-dir={}", dir.path().join("data").display())).arg(format!("-s3.port={port}"));
        command.arg(format!("-s3.config={}", config.display()));
        command.args(["-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
        for (name, port) in ["master", "volume", "filer", "webdav", "admin"].map(|name| (name, low_port())) {
            command.arg(format!("-{name}.port={port}"));
        }
        let process = Process::start(&mut command);
        await_port(port);
        let weed = Weed { port, _dir: dir, _process: process, _alone: alone };
        eventually("a bucket", || weed.make_bucket("relay").then_some(()));
        weed
    }

    /// By a signed request, as the engine itself does not make buckets.
    fn make_bucket(&self, name: &str) -> bool {
        use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
        let endpoint = format!("http://127.0.0.1:{}", self.port).parse().unwrap();
        let bucket = Bucket::new(endpoint, UrlStyle::Path, name.to_owned(), "us-east-1").unwrap();
        let keys = Credentials::new("feeder", "feeder-secret");
        let url: String = bucket.create_bucket(&keys).sign(std::time::Duration::from_secs(60)).into();
        let request = sync_core::HttpRequest::new("PUT", url, std::time::Duration::from_secs(10));
        let answer = request.send(&Default::default(), &interrupt());
        answer.is_ok_and(|(status, _)| status == 200)
    }

    pub fn place(&self, user: &str) -> Place {
        self.place_with(keys(user, &format!("{user}-secret")))
    }

    pub fn place_with(&self, login: Login) -> Place {
        Place::new(format!("s3://relay/some/prefix?endpoint=http://127.0.0.1:{}", self.port), login)
    }
}

fn keys(access_key: &str, secret_key: &str) -> Login {
    Login::Keys(Keys {
        access_key: access_key.into(),
        secret_key: Secret::from(secret_key),
        session_token: None,
    })
}

#[test]
fn it_behaves_as_all_do() {
    let weed = Weed::start();
    behaviours::check(&weed.place("feeder"));
}

#[test]
fn who_may_only_read_does_not_write() {
    let weed = Weed::start();
    let (mut feeder, mut pod) = (weed.place("feeder").engine("rights"), weed.place("pod").engine("rights"));
    let Swap::Done(_) = feeder.swap(b"one", None, &interrupt()).unwrap() else { panic!() };
    let record = pod.tip(&interrupt()).unwrap().unwrap();
    assert_eq!(record.bytes, b"one");
    assert_eq!(pod.tip(&interrupt()).unwrap().unwrap(), record, "not changed");
    let refused = pod.swap(b"two", Some(&record.revision), &interrupt()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
    let refused = Pack::of(1000, 1).put(pod.as_mut()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
    assert!(refused.to_string().contains("AccessDenied"), "{refused}");
}

#[test]
fn wrong_keys_are_refused_and_not_quoted() {
    let weed = Weed::start();
    let refused = weed.place_with(keys("feeder", "wrong-word")).engine("a").tip(&interrupt()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
    let text = refused.to_string();
    assert!(!text.contains("wrong-word") && !text.contains("X-Amz"), "{text}");
    let none = weed.place_with(Login::None).engine("a").tip(&interrupt()).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::PermissionDenied, "{none}");
}
