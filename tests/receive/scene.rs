//! A program that takes hooks and polls once an hour, and senders of hooks.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::support::*;

pub const SECRET: &str = "canary, the secret of these hooks";

/// Where the repository of the recorded hooks may be.
const ALIASES: [&str; 8] = [
    "https://github.com/Example/Site",
    "git@gitlab.com:example/site.git",
    "https://codeberg.org/example/site.git",
    "https://bitbucket.org/example/site",
    "https://bitbucket.example.org/scm/ex/site.git",
    "git@ssh.dev.azure.com:v3/example/site/site",
    "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/site",
    "https://gerrit.example.org/a/example/site",
];

pub struct Scene {
    pub env: Env,
    pub repo: Repo,
    pub nginx: Nginx,
    /// Where hooks are taken.
    pub port: u16,
    /// Where the status is.
    pub http: u16,
}

impl Scene {
    pub fn new() -> Scene {
        Scene::behind("")
    }

    /// With directives of nginx, in which `{port}` is where hooks are taken.
    pub fn behind(directives: &str) -> Scene {
        let (env, port) = (Env::new(), free_port());
        let repo = env.repo("up");
        let nginx = Nginx::with(&env.path(""), 2, &directives.replace("{port}", &port.to_string()));
        fs::write(env.path("secret"), SECRET).unwrap();
        Scene { env, repo, nginx, port, http: free_port() }
    }

    pub fn syncline(&self) -> Syncline {
        let syncline = self
            .env
            .syncline(self.nginx.url("up/.git"))
            .args(self.listening(&self.env.path("secret").display().to_string()))
            .args(["--ref=main", "--period=1h", "-v9"]);
        syncline.args(ALIASES.map(|alias| format!("--receive-alias={alias}")))
    }

    /// The options that make the process listen.
    pub fn listening(&self, secret_file: &str) -> [String; 4] {
        [
            format!("--receive-bind=127.0.0.1:{}", self.port),
            format!("--receive-secret-file={secret_file}"),
            format!("--http-bind=127.0.0.1:{}", self.http),
            "--http-metrics".into(),
        ]
    }

    /// With the first commit published.
    pub fn start(&self) -> Running {
        self.spawn(self.syncline())
    }

    pub fn spawn(&self, syncline: Syncline) -> Running {
        let running = syncline.spawn();
        let head = self.repo.head();
        // The status knows it a little later than the link.
        eventually("the first sync", || (self.shown()? == head).then_some(()));
        running
    }

    /// The published commit, by the status.
    fn shown(&self) -> Option<String> {
        Some(self.status()["published"]["commit"].as_str()?.to_owned())
    }

    pub fn status(&self) -> serde_json::Value {
        serde_json::from_str(&get(self.http, "/status").1).unwrap()
    }

    pub fn metric(&self, name: &str) -> Option<f64> {
        many::metric(self.http, name)
    }

    #[track_caller]
    pub fn wait_for_metric(&self, name: &str, least: f64) {
        eventually(name, || (self.metric(name)? >= least).then_some(()));
    }

    /// A hook for the repository that anybody with the secret could send.
    pub fn post(&self, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> (u16, String) {
        post(self.port, "/push", headers, body)
    }

    /// The same with a signature.
    pub fn post_signed(&self, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> (u16, String) {
        let signature = format!("sha256={}", sign(SECRET, body.as_ref()));
        self.post(&[headers, &[("X-Hub-Signature-256", &signature)]].concat(), body)
    }

    #[track_caller]
    pub fn wait_for(&self, commit: &str) {
        eventually("the publication", || (self.shown()? == commit).then_some(()));
    }

    /// How many times the server was looked at.
    pub fn looks(&self) -> usize {
        self.nginx.requests().iter().filter(|line| line.contains(" POST /up/.git/git-upload-pack ")).count()
    }
}

impl Syncline {
    fn args(self, args: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>) -> Self {
        args.into_iter().fold(self, Syncline::arg)
    }
}

/// A recorded body, about this commit.
pub fn recorded(name: &str, commit: &str) -> String {
    let path = format!("{}/../../tests/receive/{name}.json", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(path).unwrap().replace("@NEW@", commit)
}

/// The head of a POST with a body of this length.
pub fn head(path: &str, headers: &[(&str, &str)], length: usize) -> String {
    let headers = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<String>();
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n"
    )
}

pub fn post(port: u16, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> (u16, String) {
    let body = body.as_ref();
    let request = [head(path, headers, body.len()).as_bytes(), body].concat();
    answer(connect(port), &request)
}

pub fn connect(port: u16) -> TcpStream {
    eventually("the listener", || TcpStream::connect(("127.0.0.1", port)).ok())
}

/// The status and the body of the answer to some bytes.
pub fn answer(mut stream: TcpStream, bytes: &[u8]) -> (u16, String) {
    let _ = stream.write_all(bytes);
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// The HMAC-SHA256 by another implementation.
pub fn sign(secret: &str, body: &[u8]) -> String {
    let hex = secret.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut openssl = Command::new("openssl");
    openssl.args(["dgst", "-sha256", "-mac", "HMAC", "-macopt", &format!("hexkey:{hex}")]);
    let mut child = openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(body).unwrap();
    let output = text(&child.wait_with_output().unwrap().stdout);
    output.trim().rsplit(' ').next().unwrap().to_owned()
}

/// As a form has it.
pub fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
