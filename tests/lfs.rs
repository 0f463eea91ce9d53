//! Git LFS, the download side: stock git-lfs makes the content and judges what is published; nginx serves it, and the
//! batch endpoint of tests/support/lfs.rs says what a server says, or what it should not.

mod actions;
mod answers;
mod attributes;
mod composing;
mod configured;
mod contents;
mod endpoints;
mod limits;
mod logins;
mod missing;
mod objects;
mod options;
mod requests;
mod resuming;
mod sharing;
mod ssh;
mod submodules;

use std::fs;

use crate::support::lfs::*;
use crate::support::*;

/// A published commit, and a server for the objects of the next, whose every answer can be spoiled.
pub struct Rig {
    pub env: Env,
    pub repo: Repo,
    pub nginx: Nginx,
    pub lfs: LfsServer,
    good: String,
}

impl Rig {
    pub fn new() -> Rig {
        let env = Env::new();
        let repo = env.lfs_repo("up");
        let nginx = Nginx::start(&env.path(""));
        let lfs = LfsServer::start(&env.path(""));
        let good = repo.head();
        Rig { env, repo, nginx, lfs, good }
    }

    pub fn syncline(&self) -> Syncline {
        let syncline = self.env.with_lfs(self.nginx.url("up/.git"));
        syncline.arg(format!("--lfs-url={}", self.lfs.endpoint("up/.git")))
    }

    /// A good commit is published, and a file `new.bin` comes with the next.
    pub fn prepare(&self, content: impl AsRef<[u8]>) -> String {
        self.lfs.mend();
        self.repo.git(&["reset", "--quiet", "--hard", &self.good]);
        self.syncline().sync();
        self.repo.write("new.bin", content);
        self.repo.commit(&[])
    }

    /// A commit with this file is refused with all of these words while the server is spoiled; the good tree stays, and
    /// nothing false gets a final name. Afterwards it is published.
    #[track_caller]
    pub fn assert_refused(
        &self,
        content: impl AsRef<[u8]>,
        words: &[&str],
        spoil: impl Fn(&str, Answer) -> Answer + Send + 'static,
    ) {
        self.assert_refused_with(content, words, spoil, |syncline| syncline);
    }

    #[track_caller]
    pub fn assert_refused_with(
        &self,
        content: impl AsRef<[u8]>,
        words: &[&str],
        spoil: impl Fn(&str, Answer) -> Answer + Send + 'static,
        options: impl Fn(Syncline) -> Syncline,
    ) {
        let next = self.prepare(&content);
        let before = listing(&self.env.link());
        self.lfs.spoil(spoil);
        let fault = fault(&options(self.syncline()).fail());
        let file = format!("fetch Git LFS object of \"new.bin\" (sha256:{}", &sha256(&content)[..8]);
        for word in words.iter().copied().chain([&*file]) {
            assert!(fault.contains(word), "no {word:?} in {fault}");
        }
        assert_eq!(self.env.published().as_ref(), Some(&self.good));
        assert_eq!(listing(&self.env.link()), before);
        self.env.assert_no_leftovers();
        assert_objects_are_whole(&self.env.root().join(".git"));
        assert!(!self.env.lfs_object(&content).exists());
        self.lfs.mend();
        self.syncline().sync();
        self.env.assert_lfs_published(&self.repo, &next);
    }
}

impl Env {
    /// The program, with Git LFS on.
    pub fn with_lfs(&self, repo: impl AsRef<str>) -> Syncline {
        self.syncline(repo).arg("--lfs=on")
    }

    /// The published file is this content.
    #[track_caller]
    pub fn assert_file(&self, file: &str, content: impl AsRef<[u8]>) {
        let found = fs::read(self.link().join(file)).unwrap();
        let content = content.as_ref();
        assert!(
            found == content,
            "{file}: {} bytes for {}: {}",
            found.len(),
            content.len(),
            found[..found.len().min(200)].escape_ascii()
        );
    }
}

/// The servers of these tests are as those that stock git-lfs expects.
#[test]
fn stock_git_lfs_clones_from_the_servers_of_these_tests() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    repo.write("big.bin", noise(1, 300_000));
    let commit = repo.commit(&[]);
    repo.push_lfs(&env.path("bare.git"));
    let host = LfsHost::start(&env.path(""));
    let login = host.url("login/up/.git").replace("://", "://user:p%40ss@");
    let direct = format!("lfs.url={}", host.lfs.endpoint("up/.git"));
    each_row(
        [
            (repo.url().to_owned(), "core.abbrev=7"),
            (format!("file://{}", env.path("bare.git").display()), "core.abbrev=7"),
            (host.url("up/.git"), "core.abbrev=7"),
            (host.url("up"), "core.abbrev=7"),
            (host.url("bare.git"), "core.abbrev=7"),
            (login, "core.abbrev=7"),
            (host.nginx.tls_url("up/.git"), "core.abbrev=7"),
            (host.url("up/.git"), &direct),
        ],
        |(url, config)| {
            let clone = env.path("clone");
            let _ = fs::remove_dir_all(&clone);
            let output = clone_with_lfs(&url, &clone, &host.nginx.ca_file(), &["-c", config]);
            assert!(output.status.success(), "{url}: {}", text(&output.stderr));
            assert_eq!(git(&clone, &["rev-parse", "HEAD"]), commit);
            assert_in_order(&clone, &clone.join(".git"));
            assert_objects_are_whole(&clone.join(".git"));
            assert_eq!(fs::read(clone.join("big.bin")).unwrap(), noise(1, 300_000), "{url}");
        },
    );
    // Where a login is wanted, git-lfs first asks without one.
    assert_eq!((host.batches(), host.objects().len()), (6, 18));
    let ranged = request(
        host.nginx.port(),
        &format!(
            "GET /objects/up/.git/lfs/objects/{} HTTP/1.0\r\nHost: x\r\nRange: bytes=3-5\r\n\r\n",
            object_path(&sha256("of b\n"))
        ),
    );
    assert_eq!(ranged, (206, "b\n".into()));
}
