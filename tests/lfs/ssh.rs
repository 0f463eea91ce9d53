//! Over SSH, `git-lfs-authenticate` says where the objects are and how to log in.

use std::fs;

use serde_json::json;

use crate::support::lfs::*;
use crate::support::*;

/// A repository over SSH, its objects over HTTPS.
struct Forge {
    env: Env,
    repo: Repo,
    sshd: Sshd,
    host: LfsHost,
}

impl Forge {
    fn new() -> Forge {
        let env = Env::new();
        let (repo, sshd) = (env.lfs_repo("up"), Sshd::start(&env));
        sshd.authorized_key();
        let host = LfsHost::start(&env.path(""));
        fs::create_dir_all(sshd.path("home/git-shell-commands")).unwrap();
        Forge { env, repo, sshd, host }
    }

    fn syncline(&self) -> Syncline {
        self.at(self.sshd.url(self.repo.path.join(".git")))
    }

    fn at(&self, url: String) -> Syncline {
        let ca = format!("--git-config=http.sslCAInfo:{}", self.host.nginx.ca_file().display());
        self.sshd.syncline(&self.env, url).arg(ca).arg("--lfs=on")
    }

    /// Install the server's program.
    fn install(&self, script: &str) {
        let script = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >> \"$HOME/asked\"\n{script}\n");
        write_program(self.sshd.path("home/git-shell-commands/git-lfs-authenticate"), script);
    }

    /// One that prints this.
    fn answer(&self, answer: &str) {
        fs::write(self.sshd.path("home/answer"), answer).unwrap();
        self.install("cat \"$HOME/answer\"");
    }

    fn endpoint(&self) -> String {
        self.host.nginx.tls_url("up/.git/info/lfs")
    }

    /// What the program was asked, a word a line.
    fn asked(&self) -> Vec<String> {
        let asked = fs::read_to_string(self.sshd.path("home/asked")).unwrap_or_default();
        asked.lines().map(Into::into).collect()
    }
}

#[test]
fn the_server_says_where_the_objects_are() {
    let forge = Forge::new();
    let header = json!({ "Authorization": "RemoteAuth canary" });
    forge.answer(&json!({ "href": forge.endpoint(), "header": header, "expires_in": 600 }).to_string());
    forge.host.lfs.want("RemoteAuth canary".into());
    let log = forge.syncline().arg("-v9").sync().stderr;
    forge.env.assert_lfs_published(&forge.repo, &forge.repo.head());
    let path = forge.repo.path.join(".git").display().to_string();
    assert_eq!(forge.asked(), [&path, "download"]);
    assert_eq!(forge.sshd.logins(), 1, "{}", forge.sshd.log());
    assert!(!log.contains("canary"), "{log}");

    // Where nothing is to be fetched, nobody is asked.
    forge.repo.commit(&[("file", "two\n")]);
    forge.syncline().sync();
    assert_eq!(forge.asked().len(), 2);
    forge.repo.commit(&[("a.bin", "new content\n")]);
    forge.syncline().sync();
    assert_eq!(forge.asked().len(), 4);
    forge.env.assert_lfs_published(&forge.repo, &forge.repo.head());
}

#[test]
fn paths_go_to_the_server_as_the_url_has_them() {
    let forge = Forge::new();
    forge.answer(&json!({ "href": forge.endpoint() }).to_string());
    let odd = forge.env.path("sp ace's");
    fs::create_dir_all(&odd).unwrap();
    std::os::unix::fs::symlink(&forge.repo.path, odd.join("up")).unwrap();
    std::os::unix::fs::symlink(&forge.repo.path, forge.sshd.path("home/up")).unwrap();
    let port = forge.sshd.port();
    let user = user();
    let absolute = forge.repo.path.display().to_string();
    let odd = odd.join("up").display().to_string();
    each_row(
        [
            (forge.sshd.url(&forge.repo.path), absolute.as_str()),
            (forge.sshd.url(odd.replace(' ', "%20")), &odd),
            (format!("ssh://{user}@127.0.0.1:{port}/~/up"), "/~/up"),
        ],
        |(url, path)| {
            let _ = fs::remove_dir_all(forge.env.root());
            let _ = fs::remove_file(forge.sshd.path("home/asked"));
            forge.at(url).sync();
            assert_eq!(forge.asked(), [path, "download"]);
        },
    );
}

#[test]
fn a_server_without_the_program_leads_to_https() {
    let forge = Forge::new();
    let guess = format!("https://127.0.0.1{}/info/lfs", forge.repo.path.join(".git").display());
    for script in [
        "exit 127",
        "echo 'git-lfs-authenticate: not found' >&2; exit 1",
        "echo 'sh: 1: git-lfs-authenticate: command not found' >&2; exit 1",
    ] {
        forge.install(script);
        let fault = fault(&forge.syncline().arg("--sync-timeout=20s").fail());
        assert!(fault.contains(&guess), "{script}: {fault}");
    }
    // The user knows better, and nobody is asked.
    let _ = fs::remove_file(forge.sshd.path("home/asked"));
    forge.syncline().arg(format!("--lfs-url={}", forge.endpoint())).sync();
    forge.env.assert_lfs_published(&forge.repo, &forge.repo.head());
    assert_eq!(forge.asked(), [""; 0]);
}

#[test]
fn a_server_that_refuses_is_heard() {
    let forge = Forge::new();
    let before = forge.host.batches();
    let endpoint = forge.endpoint();
    let with = |header: serde_json::Value| json!({ "href": endpoint, "header": header }).to_string();
    let answers = [
        (String::new(), ""),
        ("no JSON".into(), ""),
        ("[]".into(), ""),
        (json!({ "href": 7 }).to_string(), ""),
        (json!({ "href": "file:///etc" }).to_string(), ""),
        (json!({ "href": "http://example.com/x" }).to_string(), "https"),
        (json!({ "href": "https://user:canary@localhost/x" }).to_string(), ""),
        (json!({ "href": "https://localhost/x\ny" }).to_string(), ""),
        (with(json!({ "Host": "canary" })), ""),
        (with(json!({ "X-A": "x\r\ncanary: 1" })), ""),
        (with(json!({ "X-A": 7 })), ""),
        (format!("{{\"href\":\"{endpoint}\",\"x\":\"{}\"}}", "x".repeat(70 << 10)), ""),
        ("[".repeat(60_000), ""),
    ];
    each_row(answers, |(answer, words)| {
        forge.answer(&answer);
        let fault = fault(&forge.syncline().arg("--sync-timeout=20s").fail());
        let shown = &answer[..answer.len().min(60)];
        assert!(fault.contains("git-lfs-authenticate") && fault.contains(words), "{shown}: {fault}");
        assert!(!fault.contains("canary") && fault.len() < 1000, "{shown}: {fault}");
    });
    for (script, words) in [
        ("printf 'access\\033[31m denied\\nto x\\n' >&2; exit 1", "access"),
        ("echo 'fatal: not permitted' >&2; exit 128", "not permitted"),
        ("yes", "git-lfs-authenticate"),
        ("yes >&2", "git-lfs-authenticate"),
        ("kill -9 $$", "git-lfs-authenticate"),
    ] {
        forge.install(script);
        let fault = fault(&forge.syncline().arg("--sync-timeout=10s").fail());
        assert!(fault.contains(words), "{script}: {fault}");
    }
    assert_eq!((forge.host.batches(), forge.env.published()), (before, None));
    forge.answer(&json!({ "href": endpoint }).to_string());
    forge.syncline().sync();
    forge.env.assert_lfs_published(&forge.repo, &forge.repo.head());
}

#[test]
fn what_ssh_gave_goes_to_the_server_that_it_named_only() {
    let forge = Forge::new();
    let header = json!({ "Authorization": "RemoteAuth canary" });
    forge.answer(&json!({ "href": forge.endpoint(), "header": header }).to_string());
    let other = LfsServer::start(&forge.env.path(""));
    fs::create_dir_all(forge.env.path("second")).unwrap();
    let tls = Nginx::with(
        &forge.env.path("second"),
        2,
        &format!("location ~ ^/(objects/.*)$ {{ proxy_pass {}$1; }}", other.url("")),
    );
    let base = tls.tls_url("");
    forge.host.lfs.spoil_batches(move |_, answer| {
        answer.alter(|body| {
            for object in body["objects"].as_array_mut().unwrap() {
                let href = object["actions"]["download"]["href"].as_str().unwrap();
                let path = href.splitn(4, '/').nth(3).unwrap();
                object["actions"]["download"]["href"] = format!("{base}{path}").into();
            }
        })
    });
    // Both have certificates of their own making.
    let both = forge.env.path("both.pem");
    let bundle = [forge.host.nginx.ca_file(), tls.ca_file()].map(|file| fs::read_to_string(file).unwrap());
    fs::write(&both, bundle.concat()).unwrap();
    let url = forge.sshd.url(forge.repo.path.join(".git"));
    let ca = format!("--git-config=http.sslCAInfo:{}", both.display());
    forge.sshd.syncline(&forge.env, url).arg("--lfs=on").arg(ca).sync();
    forge.env.assert_lfs_published(&forge.repo, &forge.repo.head());
    assert_eq!(other.gets().len(), 2);
    for get in other.gets() {
        assert_eq!(crate::support::header(&get, "authorization"), "", "{get}");
    }
    assert_eq!(crate::support::header(&forge.host.lfs.batches()[0], "authorization"), "RemoteAuth canary");
}
