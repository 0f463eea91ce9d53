//! Servers of Git LFS: a batch endpoint that can be spoiled, alone or behind nginx.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::lfs::object_path;
use super::{Canned, Nginx, header};

/// An HTTP response, of which perhaps only the beginning is sent.
pub struct Answer {
    pub status: String,
    /// Lines; `Content-Length` is added where it is not among them.
    pub headers: Vec<String>,
    pub body: Vec<u8>,
    /// So many bytes of the body come, and then nothing.
    pub stops_at: Option<usize>,
    /// Whether the connection ends with it.
    pub hangs_up: bool,
}

impl Answer {
    pub fn new(status: &str, body: impl Into<Vec<u8>>) -> Answer {
        Answer {
            status: status.into(),
            headers: Vec::new(),
            body: body.into(),
            stops_at: None,
            hangs_up: false,
        }
    }

    pub fn with(mut self, header: impl Into<String>) -> Answer {
        self.headers.push(header.into());
        self
    }

    /// As a server of the batch API says it.
    pub fn batch(status: &str, body: &Value) -> Answer {
        Answer::new(status, body.to_string()).with("Content-Type: application/vnd.git-lfs+json")
    }

    /// Only the beginning comes, and then nothing, or the end of the connection.
    pub fn cut(mut self, at: usize, hangs_up: bool) -> Answer {
        (self.stops_at, self.hangs_up) = (Some(at), hangs_up);
        self
    }

    /// The same with other JSON.
    pub fn alter(mut self, change: impl FnOnce(&mut Value)) -> Answer {
        let mut value = serde_json::from_slice(&self.body).unwrap();
        change(&mut value);
        self.body = value.to_string().into_bytes();
        self
    }

    fn into_bytes(self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {}\r\n", self.status);
        for line in &self.headers {
            head += &format!("{line}\r\n");
        }
        if !self.headers.iter().any(|line| line.to_lowercase().starts_with("content-length:")) {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        if self.hangs_up {
            head += "Connection: close\r\n";
        }
        let sent = self.stops_at.map_or(&self.body[..], |at| &self.body[..at.min(self.body.len())]);
        [head.as_bytes(), b"\r\n", sent].concat()
    }
}

type Spoil = Box<dyn Fn(&str, Answer) -> Answer + Send>;

/// The batch API for all repositories below a directory, and their objects at `/objects/`. Every answer can be spoiled.
pub struct LfsServer {
    canned: Canned,
    spoil: Arc<Mutex<Spoil>>,
}

impl LfsServer {
    pub fn start(base: &Path) -> LfsServer {
        let spoil: Arc<Mutex<Spoil>> = Arc::new(Mutex::new(Box::new(|_, answer| answer)));
        let (base, shared) = (base.to_owned(), spoil.clone());
        let canned = Canned::bytes(move |request| {
            let answer = answer(&base, request);
            shared.lock().unwrap()(request, answer).into_bytes()
        });
        LfsServer { canned, spoil }
    }

    /// From now on every answer is what this makes of a request and its true answer.
    pub fn spoil(&self, spoil: impl Fn(&str, Answer) -> Answer + Send + 'static) {
        *self.spoil.lock().unwrap() = Box::new(spoil);
    }

    /// The same for answers of the batch API.
    pub fn spoil_batches(&self, spoil: impl Fn(&str, Answer) -> Answer + Send + 'static) {
        self.spoil(move |request, answer| if is_batch(request) { spoil(request, answer) } else { answer });
    }

    /// The same for objects.
    pub fn spoil_objects(&self, spoil: impl Fn(&str, Answer) -> Answer + Send + 'static) {
        self.spoil(move |request, answer| if is_batch(request) { answer } else { spoil(request, answer) });
    }

    /// From now on every answer is true.
    pub fn mend(&self) {
        self.spoil(|_, answer| answer);
    }

    /// From now on the batch API wants this header `Authorization`.
    pub fn want(&self, authorization: String) {
        self.spoil_batches(move |request, answer| match header(request, "authorization") == authorization {
            true => answer,
            false => Answer::batch("401 Unauthorized", &json!({ "message": "Credentials needed" }))
                .with("LFS-Authenticate: Basic realm=\"lfs\""),
        });
    }

    pub fn url(&self, path: &str) -> String {
        self.canned.url(path)
    }

    pub fn port(&self) -> u16 {
        self.canned.port()
    }

    /// The endpoint of the repository at `path`.
    pub fn endpoint(&self, path: &str) -> String {
        self.canned.url(&format!("{path}/info/lfs"))
    }

    /// All requests of the batch API.
    pub fn batches(&self) -> Vec<String> {
        self.canned.requests().into_iter().filter(|request| is_batch(request)).collect()
    }

    /// All other requests.
    pub fn gets(&self) -> Vec<String> {
        self.canned.requests().into_iter().filter(|request| !is_batch(request)).collect()
    }
}

pub fn is_batch(request: &str) -> bool {
    request.lines().next().unwrap().contains("/objects/batch ")
}

/// What a request of the batch API has in its body.
pub fn asked(request: &str) -> Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// The objects that a request of the batch API names.
pub fn asked_objects(request: &str) -> Vec<String> {
    let objects = asked(request)["objects"].as_array().unwrap().clone();
    objects.iter().map(|object| object["oid"].as_str().unwrap().to_owned()).collect()
}

fn answer(base: &Path, request: &str) -> Answer {
    let mut words = request.lines().next().unwrap().split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    if let Some(repository) = path.strip_suffix("/info/lfs/objects/batch") {
        return match fault(method, request) {
            Some(fault) => Answer::batch("422 Unprocessable Entity", &json!({ "message": fault })),
            None => batch(base, &store(base, repository), request),
        };
    }
    let file = path.strip_prefix("/objects/").map(|file| base.join(file.split('?').next().unwrap()));
    match file.and_then(|file| fs::read(file).ok()) {
        Some(content) => object(content, &header(request, "range")),
        None => Answer::new("404 Not Found", "nothing here"),
    }
}

/// The git directory of an endpoint's repository, from `base`: a bare one, or one with a work tree.
fn store(base: &Path, repository: &str) -> PathBuf {
    let path = PathBuf::from(repository.trim_start_matches('/'));
    match base.join(&path).exists() {
        true => path,
        false => path.with_extension("").join(".git"),
    }
}

/// What docs/api/batch.md of git-lfs does not allow about a request.
fn fault(method: &str, request: &str) -> Option<String> {
    let is_ours = |name: &str| header(request, name).starts_with("application/vnd.git-lfs+json");
    let body = asked(request);
    let objects = body["objects"].as_array()?;
    let oids: std::collections::BTreeSet<_> = objects.iter().map(|object| object["oid"].as_str()).collect();
    let is_object = |object: &Value| {
        object["oid"].as_str().is_some_and(|oid| oid.len() == 64) && object["size"].as_u64().is_some()
    };
    let faults = [
        (method != "POST", "it is no POST"),
        (!is_ours("accept"), "it accepts something else"),
        (!is_ours("content-type"), "it is something else"),
        (body["operation"] != "download", "it is no download"),
        (!body["transfers"].as_array().is_none_or(|list| list.contains(&json!("basic"))), "not basic"),
        (!body["hash_algo"].is_null() && body["hash_algo"] != "sha256", "another hash"),
        (objects.is_empty() || objects.len() > 100, "none, or more than 100 objects"),
        (oids.len() < objects.len(), "an object twice"),
        (!objects.iter().all(is_object), "an object without oid or size"),
    ];
    faults.iter().find(|(is_fault, _)| *is_fault).map(|(_, fault)| format!("a bad request: {fault}"))
}

fn batch(base: &Path, store: &Path, request: &str) -> Answer {
    if !base.join(store).exists() {
        return Answer::batch("404 Not Found", &json!({ "message": "Repository not found" }));
    }
    // As nginx says it, where it is in front.
    let scheme = Some(header(request, "x-scheme")).filter(|scheme| !scheme.is_empty());
    let server = format!(
        "{}://{}{}",
        scheme.as_deref().unwrap_or("http"),
        header(request, "host"),
        header(request, "x-prefix")
    );
    let mut objects = asked(request)["objects"].as_array().unwrap().clone();
    for object in &mut objects {
        let file = store.join("lfs/objects").join(object_path(object["oid"].as_str().unwrap()));
        match base.join(&file).exists() {
            true => {
                let href = format!("{server}/objects/{}", file.display());
                object["actions"] = json!({ "download": { "href": href } });
            }
            false => object["error"] = json!({ "code": 404, "message": "Object does not exist" }),
        }
    }
    Answer::batch("200 OK", &json!({ "transfer": "basic", "objects": objects, "hash_algo": "sha256" }))
}

fn object(content: Vec<u8>, range: &str) -> Answer {
    let whole = content.len();
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Answer::new("200 OK", content).with("Content-Type: application/octet-stream");
    };
    let first: usize = first.parse().unwrap();
    let last = last.parse().unwrap_or(usize::MAX).min(whole.saturating_sub(1));
    if first > last {
        let range = format!("Content-Range: bytes */{whole}");
        return Answer::new("416 Range Not Satisfiable", "").with(range);
    }
    let range = format!("Content-Range: bytes {first}-{last}/{whole}");
    Answer::new("206 Partial Content", &content[first..=last]).with(range)
}

/// Repositories, the batch API for them and their objects, all on one nginx: below `/login/` and `/token/` with the
/// logins that repositories want there.
pub struct LfsHost {
    pub nginx: Nginx,
    pub lfs: LfsServer,
}

impl LfsHost {
    pub fn start(base: &Path) -> LfsHost {
        let lfs = LfsServer::start(base);
        let location = |prefix: &str, guard: &str| {
            format!(
                "location ~ ^{prefix}/(.*/info/lfs/objects/batch)$ {{ {guard} proxy_pass {server}$1;
                    proxy_set_header Host $http_host; proxy_set_header X-Scheme $scheme;
                    proxy_set_header X-Prefix \"{prefix}\"; client_max_body_size 0; }}
                location ~ ^{prefix}/objects/(.*)$ {{ {guard} alias {base}/$1; }}",
                server = lfs.url(""),
                base = base.display(),
            )
        };
        let password = "auth_basic lfs; auth_basic_user_file {dir}/passwords;";
        let token = "if (!-f \"{dir}/admitted/$http_authorization\") { return 401; }";
        let directives = [("/login", password), ("/token", token), ("", "")];
        let directives: String = directives.iter().map(|(prefix, guard)| location(prefix, guard)).collect();
        LfsHost { nginx: Nginx::with(base, 2, &directives), lfs }
    }

    pub fn url(&self, path: &str) -> String {
        self.nginx.url(path)
    }

    /// How many requests the batch API had.
    pub fn batches(&self) -> usize {
        self.lfs.batches().len()
    }

    /// The names of the objects that were asked for, one for each request.
    pub fn objects(&self) -> Vec<String> {
        let lines = self.nginx.requests().into_iter().filter(|line| line.contains("/lfs/objects/"));
        let paths = lines.map(|line| line.split(' ').nth(2).unwrap().to_owned());
        paths
            .filter(|path| !path.ends_with("/batch"))
            .map(|path| path[path.len() - 64..].to_owned())
            .collect()
    }
}
