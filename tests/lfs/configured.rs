//! What a repository's `.lfsconfig` may say, and what it may not.

use std::fs;

use crate::support::lfs::*;
use crate::support::*;

struct Configured {
    env: Env,
    repo: Repo,
    host: LfsHost,
    good: String,
}

impl Configured {
    fn new() -> Configured {
        let env = Env::new();
        let repo = env.lfs_repo("up");
        let good = repo.head();
        repo.push_lfs(&env.path("other.git"));
        let host = LfsHost::start(&env.path(""));
        Configured { env, repo, host, good }
    }

    fn commit(&self, config: impl AsRef<[u8]>) -> String {
        self.repo.git(&["reset", "--quiet", "--hard", &self.good]);
        self.repo.write(".lfsconfig", config);
        self.repo.commit(&[])
    }

    fn syncline(&self) -> Syncline {
        self.env.with_lfs(self.host.url("up/.git"))
    }

    /// Where the last request went.
    fn asked_at(&self) -> String {
        let batch = self.host.lfs.batches().pop().unwrap();
        batch.split(' ').nth(1).unwrap().trim_end_matches("/objects/batch").to_owned()
    }
}

#[test]
fn another_endpoint_of_the_same_server_is_heeded() {
    let up = Configured::new();
    let other = up.host.url("other.git/info/lfs");
    let port = up.host.nginx.port();
    each_row(
        [
            (format!("[lfs]\n\turl = {other}\n"), "/other.git/info/lfs"),
            (format!("[lfs]\n\turl = \"{other}\"\n"), "/other.git/info/lfs"),
            (format!("[LFS]\r\n\tURL = {other}\r\n"), "/other.git/info/lfs"),
            (format!("[lfs]\n\turl = HTTP://127.0.0.1:{port}/other.git/info/lfs\n"), "/other.git/info/lfs"),
            (format!("[remote \"origin\"]\n\tlfsurl = {other}\n"), "/other.git/info/lfs"),
            (
                format!("[lfs]\n\turl = {other}\n[remote \"origin\"]\n\tlfsurl = http://h/\n"),
                "/other.git/info/lfs",
            ),
            (format!("[remote \"another\"]\n\tlfsurl = {other}\n"), "/up/.git/info/lfs"),
            (format!("[lfs \"x\"]\n\turl = {other}\n"), "/up/.git/info/lfs"),
            (
                format!("[lfs]\n\tpushurl = http://h/\n\tconcurrenttransfers = 3\n[x]\n\ty = {other}\n"),
                "/up/.git/info/lfs",
            ),
            (String::new(), "/up/.git/info/lfs"),
            ("# nothing\n".into(), "/up/.git/info/lfs"),
        ],
        |(config, expected)| {
            let _ = fs::remove_dir_all(up.env.root());
            let commit = up.commit(&config);
            up.syncline().sync();
            assert_eq!(up.asked_at(), expected, "{config}");
            up.env.assert_lfs_published(&up.repo, &commit);
            // The user can have it ignored, and has the last word.
            let _ = fs::remove_dir_all(up.env.root());
            up.syncline().arg("--lfs-config=ignore").sync();
            assert_eq!(up.asked_at(), "/up/.git/info/lfs", "{config}");
            let _ = fs::remove_dir_all(up.env.root());
            up.syncline().arg(format!("--lfs-url={}", up.host.url("up.git/info/lfs"))).sync();
            assert_eq!(up.asked_at(), "/up.git/info/lfs", "{config}");
        },
    );
}

#[test]
fn another_server_is_refused_with_the_option_that_allows_it() {
    let up = Configured::new();
    let foreign = LfsServer::start(&up.env.path(""));
    let (plain, tls) = (up.host.nginx.port(), up.host.nginx.tls_port());
    let allowed = foreign.endpoint("up/.git");
    for endpoint in [
        allowed.clone(),
        format!("http://localhost:{plain}/up/.git/info/lfs"),
        format!("https://127.0.0.1:{tls}/up/.git/info/lfs"),
        format!("https://127.0.0.1:{plain}/up/.git/info/lfs"),
        "https://example.com/x".to_owned(),
    ] {
        let _ = fs::remove_dir_all(up.env.root());
        up.repo.git(&["reset", "--quiet", "--hard", &up.good]);
        up.syncline().sync();
        up.commit(format!("[lfs]\n\turl = {endpoint}\n"));
        let fault = fault(&up.syncline().fail());
        assert!(fault.contains(&format!("--lfs-url={endpoint}")) && fault.contains(".lfsconfig"), "{fault}");
        assert_eq!(up.env.published().as_ref(), Some(&up.good));
        up.env.assert_no_leftovers();
    }
    assert!(foreign.batches().is_empty());
    let commit = up.commit(format!("[lfs]\n\turl = {allowed}\n"));
    up.syncline().arg(format!("--lfs-url={allowed}")).sync();
    up.env.assert_lfs_published(&up.repo, &commit);
}

#[test]
fn hostile_configurations_lead_nowhere() {
    let up = Configured::new();
    let port = up.host.nginx.port();
    let own = |rest: &str| format!("[lfs]\n\turl = \"http://127.0.0.1:{port}/{rest}\"\n").into_bytes();
    let url = |url: &str| format!("[lfs]\n\turl = \"{url}\"\n").into_bytes();
    let rows = [
        url("file:///etc"),
        url(&format!("file://{}", up.env.path("other.git").display())),
        url(up.env.path("other.git").to_str().unwrap()),
        url("../other.git"),
        url("ssh://-oProxyCommand=touch/x"),
        url("ssh://127.0.0.1/x"),
        url("ext::sh -c touch% /tmp/owned"),
        url(&format!("http://user:canary@127.0.0.1:{port}/other.git/info/lfs")),
        url(&format!("http://canary@127.0.0.1:{port}/other.git/info/lfs")),
        url(&format!("http://127.0.0.1:{port}@evil/x")),
        url(&format!("http://127.0.0.1:{port}\\\\@evil/x")),
        url("http://"),
        url("http:///x"),
        url(""),
        own("x\\ny"),
        own("x\\ty"),
        own("x\\by"),
        own("x\x01y"),
        own("x\u{202e}y"),
        [&b"[lfs]\n\turl = http://127.0.0.1:"[..], port.to_string().as_bytes(), b"/\xff\xfe\n"].concat(),
        b"[[[".to_vec(),
        b"[lfs]\n\turl = \"unfinished\n".to_vec(),
        b"\0\0\0".to_vec(),
        [own("other.git/info/lfs"), vec![b'#'; 70 << 10]].concat(),
    ];
    each_row(rows, |config| {
        let _ = fs::remove_dir_all(up.env.root());
        up.repo.git(&["reset", "--quiet", "--hard", &up.good]);
        up.syncline().sync();
        let shown = config[..config.len().min(100)].escape_ascii().to_string();
        let commit = up.commit(&config);
        let before = up.host.batches();
        let fault = fault(&up.syncline().fail());
        assert!(fault.contains(".lfsconfig") && !fault.contains("canary"), "{shown}: {fault}");
        assert!(fault.len() < 1000 && !fault.contains('\u{202e}'), "{shown}: {fault}");
        assert_eq!(up.env.published().as_ref(), Some(&up.good), "{shown}");
        assert_eq!(up.host.batches(), before, "{shown}");
        up.syncline().arg("--lfs-config=ignore").sync();
        up.env.assert_lfs_published(&up.repo, &commit);
    });
}

/// As the other files that git reads, it is one, and at the top.
#[test]
fn only_a_plain_file_at_the_top_counts() {
    let up = Configured::new();
    let foreign = LfsServer::start(&up.env.path(""));
    let text = format!("[lfs]\n\turl = {}\n", foreign.endpoint("up/.git"));
    fs::write(up.env.path("beside"), &text).unwrap();
    up.repo.git(&["reset", "--quiet", "--hard", &up.good]);
    let commit = up.repo.commit(&[("dir/.lfsconfig", &text), (".lfsconfig/inside", &text)]);
    up.syncline().sync();
    up.env.assert_lfs_published(&up.repo, &commit);
    // A link is not followed, whether it is refused or passed over.
    for target in [up.env.path("beside"), "dir/.lfsconfig".into()] {
        up.repo.git(&["reset", "--quiet", "--hard", &up.good]);
        up.repo.write("dir/.lfsconfig", &text);
        std::os::unix::fs::symlink(target, up.repo.path.join(".lfsconfig")).unwrap();
        up.repo.commit(&[("a.bin", "new content\n")]);
        let finished = up.syncline().one_time().run();
        assert!(matches!(finished.code, Some(0 | 1)), "{}", finished.stderr);
    }
    // One that includes another reads nothing else.
    up.commit(format!("[include]\n\tpath = {}\n", up.env.path("beside").display()));
    up.syncline().sync();
    assert!(foreign.batches().is_empty());
}

#[test]
fn it_may_leave_files_out_and_never_add_any() {
    let up = Configured::new();
    up.repo.git(&["reset", "--quiet", "--hard", &up.good]);
    up.repo.write(".lfsconfig", "[lfs]\n\tfetchexclude = dir, x.bin\n\tfetchinclude = *.bin\n");
    up.repo.commit(&[("x.bin", "of x\n"), ("y.bin", "of y\n")]);
    let [a, b, x, y] = ["content of a\n", "of b\n", "of x\n", "of y\n"];
    each_row(
        [
            (&[][..], [true, false, false, true]),
            (&["--lfs-include=y.bin"], [false, false, false, true]),
            (&["--lfs-include=dir"], [false; 4]),
            (&["--lfs-exclude=y.bin"], [true, false, false, false]),
            (&["--lfs-config=ignore"], [true; 4]),
            (&["--lfs-config=ignore", "--lfs-include=dir"], [false, true, false, false]),
        ],
        |(options, expected)| {
            options.iter().fold(up.syncline(), Syncline::arg).sync();
            for (is_content, (file, content)) in
                expected.into_iter().zip([("a.bin", a), ("dir/b.bin", b), ("x.bin", x), ("y.bin", y)])
            {
                up.env.assert_file(file, if is_content { content.to_owned() } else { pointer(content) });
            }
        },
    );
}
