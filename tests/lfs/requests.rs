//! How much is asked: nothing for what is there, one batch and one GET for one changed file.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::Rig;
use crate::support::lfs::*;
use crate::support::*;

/// Batches and objects since the last look.
struct Count<'a> {
    host: &'a LfsHost,
    seen: (usize, usize),
}

impl Count<'_> {
    fn since(&mut self) -> (usize, usize) {
        let now = (self.host.batches(), self.host.objects().len());
        let since = (now.0 - self.seen.0, now.1 - self.seen.1);
        self.seen = now;
        since
    }
}

#[test]
fn only_what_is_new_is_asked_for() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    for number in 0..247 {
        repo.write(&format!("many/{number}.bin"), format!("{number}\n"));
        repo.write(&format!("again/{number}.bin"), format!("{number}\n"));
    }
    repo.commit(&[("empty.bin", ""), ("dir/again.bin", "of b\n")]);
    let host = LfsHost::start(&env.path(""));
    let mut count = Count { host: &host, seen: (0, 0) };
    let sync = || env.with_lfs(host.url("up/.git")).arg("-v1").sync().stderr;
    sync();
    // 249 contents, each once.
    assert_eq!(count.since(), (3, 249));
    let sizes: Vec<usize> = host.lfs.batches().iter().map(|batch| asked_objects(batch).len()).collect();
    assert_eq!(sizes, [100, 100, 49]);
    env.assert_lfs_published(&repo, &repo.head());

    type Deed = fn(&Repo);
    let deeds: [(&str, Deed, (usize, usize)); 9] = [
        ("nothing", |_| {}, (0, 0)),
        ("another file", |repo| repo.write("file", "two\n"), (0, 0)),
        ("one of many", |repo| repo.write("many/17.bin", "changed\n"), (1, 1)),
        ("a second name", |repo| repo.write("second.bin", "17\n"), (0, 0)),
        ("another name", |repo| _ = repo.git(&["mv", "many/1.bin", "moved.bin"]), (0, 0)),
        ("a removed file", |repo| fs::remove_file(repo.path.join("again/2.bin")).unwrap(), (0, 0)),
        ("another mode", |repo| chmod(repo, "many/3.bin", 0o755), (0, 0)),
        (
            "two new files of one content",
            |repo| ["x.bin", "y.bin"].iter().for_each(|file| repo.write(file, "x")),
            (1, 1),
        ),
        ("attributes without effect", |repo| repo.write("many/.gitattributes", "*.txt -text\n"), (0, 0)),
    ];
    for (what, deed, expected) in deeds {
        deed(&repo);
        repo.commit(&[]);
        sync();
        assert_eq!(count.since(), expected, "{what}");
        env.assert_lfs_published(&repo, &repo.head());
        // Nor at a restart.
        let log = sync();
        assert!(log.contains("nothing new"), "{what}: {log}");
        assert_eq!(count.since(), (0, 0), "{what}");
    }
}

fn chmod(repo: &Repo, file: &str, mode: u32) {
    fs::set_permissions(repo.path.join(file), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_running_program_asks_for_no_more_than_one_that_starts() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let host = LfsHost::start(&env.path(""));
    let mut count = Count { host: &host, seen: (0, 0) };
    let syncline = env.with_lfs(host.url("up/.git")).arg("-v1").arg("--period=20ms");
    let running = syncline.arg("--worktree-check-period=10ms").arg("--worktree-reuse-delay=0s").spawn();
    running.wait_for("\"published\"");
    assert_eq!(count.since(), (1, 2));
    running.wait_for_more("nothing new", 5);
    for round in 0..4 {
        let commit = repo.commit(&[("a.bin", &format!("round {round}\n"))]);
        eventually("publication", || (env.published()? == commit).then_some(()));
        running.wait_for_more("nothing new", 3);
        assert_eq!(count.since(), (1, 1), "{round}");
        env.assert_lfs_shown(&repo, &commit);
    }
    assert!(!running.log().contains("\"WARN\""), "{}", running.log());
}

/// No hash is computed of what the index vouches for.
#[test]
fn a_restart_reads_no_unchanged_file() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let host = LfsHost::start(&env.path(""));
    env.with_lfs(host.url("up/.git")).sync();
    let log = env.path("strace");
    for change in [false, true] {
        if change {
            repo.commit(&[("file", "two\n")]);
        }
        let output = std::process::Command::new("strace")
            .args(["-f", "-qq", "-y", "-e", "trace=read,pread64,mmap,sendfile,copy_file_range", "-o"])
            .arg(&log)
            .arg(binary())
            .args(["--one-time", "--lfs=on", "--link=link"])
            .args([format!("--repo={}", host.url("up/.git")), format!("--root={}", env.root().display())])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let calls = fs::read_to_string(&log).unwrap();
        let reads: Vec<&str> =
            calls.lines().filter(|line| line.contains(".bin>") || line.contains("/lfs/objects/")).collect();
        assert!(reads.is_empty(), "{reads:?}");
    }
    assert_eq!((host.batches(), host.objects().len()), (1, 2));
    env.assert_lfs_published(&repo, &repo.head());
}

#[test]
fn requests_are_as_the_specification_has_them() {
    let rig = Rig::new();
    let head = rig.repo.head();
    rig.repo.git(&["tag", "v1"]);
    rig.repo.git(&["branch", "side"]);
    each_row(
        [
            ("--ref=refs/heads/side", Some("refs/heads/side")),
            ("--ref=refs/tags/v1", Some("refs/tags/v1")),
            (&format!("--ref={head}"), None),
        ],
        |(option, name)| {
            let _ = fs::remove_dir_all(rig.env.root());
            let (batches, gets) = (rig.lfs.batches().len(), rig.lfs.gets().len());
            rig.syncline().arg(option).sync();
            let batch = rig.lfs.batches().pop().unwrap();
            assert_eq!(rig.lfs.batches().len(), batches + 1);
            assert!(batch.starts_with("POST /up/.git/info/lfs/objects/batch HTTP/1.1\r\n"), "{batch}");
            assert_eq!(header(&batch, "accept"), "application/vnd.git-lfs+json");
            assert!(header(&batch, "content-type").starts_with("application/vnd.git-lfs+json"), "{batch}");
            assert!(header(&batch, "user-agent").contains("syncline"), "{batch}");
            let body = asked(&batch);
            assert_eq!(body["operation"], "download");
            assert_eq!(body["transfers"], json!(["basic"]));
            assert_eq!(body["hash_algo"], "sha256");
            assert_eq!(body["ref"]["name"].as_str(), name, "{option}");
            let sizes: Vec<u64> = body["objects"]
                .as_array()
                .unwrap()
                .iter()
                .map(|object| object["size"].as_u64().unwrap())
                .collect();
            assert_eq!(sizes.iter().sum::<u64>(), 13 + 5);
            for get in &rig.lfs.gets()[gets..] {
                assert!(get.starts_with("GET /objects/up/.git/lfs/objects/"), "{get}");
                assert_eq!(header(get, "accept-encoding"), "identity", "{get}");
                assert_eq!(header(get, "range"), "", "{get}");
            }
        },
    );
}

#[test]
fn a_batch_that_is_too_large_is_halved() {
    let rig = Rig::new();
    for number in 0..250 {
        rig.repo.write(&format!("many/{number}.bin"), format!("{number}\n"));
    }
    let commit = rig.repo.commit(&[]);
    rig.lfs.spoil_batches(|request, answer| match asked_objects(request).len() {
        31.. => Answer::batch("413 Payload Too Large", &json!({ "message": "too many" })),
        _ => answer,
    });
    rig.syncline().sync();
    rig.env.assert_lfs_published(&rig.repo, &commit);
    // 252 objects at 25 a request or so; a size that was refused is not tried again and again.
    let batches = rig.lfs.batches().len();
    assert!(batches < 25, "{batches}");
    assert_eq!(rig.lfs.gets().len(), 252);

    // Not even one is accepted.
    rig.assert_refused("one\n", &["413", "too many"], |request, answer| match is_batch(request) {
        true => Answer::batch("413 Payload Too Large", &json!({ "message": "too many" })),
        false => answer,
    });
}

#[test]
fn metrics_count_bytes_and_objects() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    repo.write("big.bin", noise(1, 300_000));
    repo.commit(&[("again.bin", "of b\n")]);
    let host = LfsHost::start(&env.path(""));
    let port = free_port();
    let syncline = env.with_lfs(host.url("up/.git")).arg("--period=20ms");
    let running = syncline.arg(format!("--http-bind=127.0.0.1:{port}")).arg("--http-metrics").spawn();
    running.wait_for("\"published\"");
    let metric = |name: &str| -> Option<f64> {
        let page = get(port, "/metrics").1;
        let line = page.lines().find(|line| line.starts_with(&format!("{name} ")))?.to_owned();
        line.rsplit(' ').next().unwrap().parse().ok()
    };
    let fetched = "syncline_lfs_objects_total{result=\"fetched\"}";
    eventually("a count", || metric(fetched).filter(|count| *count == 3.0));
    assert_eq!(metric("syncline_lfs_received_bytes_total"), Some(300_018.0));
    repo.commit(&[("a.bin", "four")]);
    eventually("a count", || metric(fetched).filter(|count| *count == 4.0));
    assert_eq!(metric("syncline_lfs_received_bytes_total"), Some(300_022.0));
    assert!(metric("syncline_lfs_objects_total{result=\"reused\"}").is_some());
    let page = get(port, "/metrics").1;
    assert!(page.contains("syncline_phase_duration_seconds") && page.contains("\"lfs\""), "{page}");
}

#[test]
fn objects_come_over_as_many_connections_as_transfers_are_allowed() {
    let rig = Rig::new();
    for number in 0..40 {
        rig.repo.write(&format!("many/{number}.bin"), format!("{number}\n"));
    }
    let commit = rig.repo.commit(&[]);
    let meddler = Meddler::start(rig.lfs.port(), Trouble::None);
    for transfers in [1, 4] {
        let _ = fs::remove_dir_all(rig.env.root());
        let before = meddler.connections();
        let endpoint = meddler.url("http", "up/.git/info/lfs");
        let syncline = rig.env.with_lfs(rig.nginx.url("up/.git")).arg(format!("--lfs-url={endpoint}"));
        syncline.arg(format!("--lfs-transfers={transfers}")).sync();
        // The batch's own may be one more.
        let opened = meddler.connections() - before;
        assert!(opened <= transfers + 1, "{opened} connections for {transfers} transfers");
        rig.env.assert_lfs_published(&rig.repo, &commit);
    }
}
