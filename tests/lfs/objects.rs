//! Objects that are not what their names say, and servers that do not end.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::Rig;
use crate::support::lfs::*;
use crate::support::*;

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut gzip =
        Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = gzip.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writing = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let output = gzip.wait_with_output().unwrap();
    writing.join().unwrap();
    output.stdout
}

#[test]
fn whatever_is_not_the_content_is_refused() {
    type Spoil = fn(Answer) -> Answer;
    const CONTENT: &[u8] = b"the right content\n";
    let rows: [(&str, Spoil, &[&str]); 10] = [
        ("another of its size", |_| Answer::new("200 OK", "the wrong content\n"), &[]),
        ("less", |_| Answer::new("200 OK", &CONTENT[..5]), &[]),
        ("nothing", |_| Answer::new("200 OK", ""), &[]),
        ("more", |_| Answer::new("200 OK", [CONTENT, b"x"].concat()), &[]),
        ("much more", |_| Answer::new("200 OK", vec![b'x'; 20 << 20]), &[]),
        ("a page", |_| Answer::new("200 OK", "<html>").with("Content-Type: text/html"), &[]),
        ("no content", |_| Answer::new("204 No Content", ""), &["204"]),
        ("a part that was not asked for", |_| Answer::new("206 Partial Content", CONTENT), &["206"]),
        ("not there", |_| Answer::new("404 Not Found", "canary\x1b[31m"), &["404"]),
        ("gone", |_| Answer::new("410 Gone", ""), &["410"]),
    ];
    let rig = Rig::new();
    each_row(rows, |(_, spoil, words)| {
        rig.assert_refused(CONTENT, words, move |request, answer| match is_batch(request) {
            true => answer,
            false => spoil(answer),
        });
        fs::remove_dir_all(rig.env.root()).unwrap();
    });
}

/// The size of a pointer is the author's word.
#[test]
fn a_pointer_with_another_size_is_refused() {
    let env = Env::new();
    let repo = env.pointer_repo("up");
    let good = repo.head();
    let (nginx, lfs) = (Nginx::start(&env.path("")), LfsServer::start(&env.path("")));
    repo.add_lfs_object("content\n");
    let oid = sha256("content\n");
    let syncline = |url: &str| {
        let syncline = env.with_lfs(url);
        if url.starts_with("http") {
            syncline.arg(format!("--lfs-url={}", lfs.endpoint("up/.git")))
        } else {
            syncline
        }
    };
    for url in [nginx.url("up/.git"), repo.url().to_owned()] {
        let _ = fs::remove_dir_all(env.root());
        syncline(&url).sync();
        each_row([0, 1, 7, 9, 1 << 20], |size| {
            repo.git(&["reset", "--quiet", "--hard", &good]);
            repo.commit(&[("dir/a.bin", &pointer_to(&oid, size))]);
            let fault = fault(&syncline(&url).arg("--max-tree-size=2TiB").arg("--max-blob-size=2TiB").fail());
            assert!(fault.contains("dir/a.bin"), "{size}: {fault}");
            assert_eq!(env.published().as_ref(), Some(&good));
            assert_eq!(env.lfs_objects(), [""; 0], "{size}");
            env.assert_no_leftovers();
        });
        repo.git(&["reset", "--quiet", "--hard", &good]);
        repo.commit(&[("dir/a.bin", &pointer_to(&oid, 8))]);
        syncline(&url).sync();
        env.assert_file("dir/a.bin", "content\n");
        repo.git(&["reset", "--quiet", "--hard", &good]);
    }
}

#[test]
fn what_is_compressed_in_spite_of_all_is_refused_or_unpacked_within_the_size() {
    const CONTENT: &[u8] = b"the right content\n";
    let rig = Rig::new();
    let bomb = gzipped(&vec![0; 200 << 20]);
    for encoded in [gzipped(CONTENT), bomb] {
        for encoding in ["gzip", "deflate", "br", "zstd"] {
            let body = encoded.clone();
            rig.prepare(CONTENT);
            rig.lfs.spoil_objects(move |_, _| {
                Answer::new("200 OK", body.clone()).with(format!("Content-Encoding: {encoding}"))
            });
            let finished = rig.syncline().one_time().run();
            assert!(matches!(finished.code, Some(0 | 1)), "{}", finished.stderr);
            assert_objects_are_whole(&rig.env.root().join(".git"));
            let parts = rig.env.root().join(".git/lfs/incomplete");
            let mut kept = 0;
            if parts.exists() {
                walk(&parts, &mut |path| kept += fs::metadata(path).unwrap().len());
            }
            assert!(kept < 10_000, "{encoding}: {kept} bytes are kept");
        }
    }
    rig.lfs.mend();
    rig.syncline().sync();
    rig.env.assert_lfs_published(&rig.repo, &rig.repo.head());
}

/// So much is never read, nor is it waited for.
#[test]
fn a_server_that_sends_without_end_is_left_soon() {
    let rig = Rig::new();
    rig.prepare("small\n");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let href = format!("http://{}/endless", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            std::thread::spawn(move || {
                let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                let chunk = [&b"10000\r\n"[..], &[b'x'; 65_536], b"\r\n"].concat();
                let mut ok = client.write_all(head).is_ok();
                while ok {
                    ok = client.write_all(&chunk).is_ok();
                }
            });
        }
    });
    rig.lfs.spoil_batches(move |_, answer| {
        answer.alter(|body| body["objects"][0]["actions"]["download"]["href"] = href.as_str().into())
    });
    let started = Instant::now();
    let fault = fault(&rig.syncline().arg("--sync-timeout=60s").fail());
    assert!(started.elapsed() < SOON && fault.contains("new.bin"), "{fault}");
    assert_objects_are_whole(&rig.env.root().join(".git"));
}

#[test]
fn a_server_that_stalls_anywhere_ends_at_the_time_limit() {
    let rig = Rig::new();
    rig.prepare(noise(1, 100_000));
    for (of_batch, at) in [(true, 0), (true, 50), (false, 0), (false, 1), (false, 99_999)] {
        rig.lfs.spoil(move |request, answer| match is_batch(request) == of_batch {
            true => answer.cut(at, false),
            false => answer,
        });
        let _ = fs::remove_dir_all(rig.env.root().join(".git/lfs/incomplete"));
        let started = Instant::now();
        let log = rig.syncline().arg("--sync-timeout=1s").fail();
        assert!(started.elapsed() < SOON, "{log}");
        assert!(fault(&log).contains("1s"), "{log}");
    }
    rig.lfs.mend();
    rig.syncline().sync();
    rig.env.assert_lfs_published(&rig.repo, &rig.repo.head());
}

#[test]
fn servers_that_are_busy_are_asked_again() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let rig = Rig::new();
    each_row(
        [
            ("500 Internal Server Error", "X: x"),
            ("502 Bad Gateway", "X: x"),
            ("503 Service Unavailable", "X: x"),
            ("504 Gateway Timeout", "X: x"),
            ("429 Too Many Requests", "Retry-After: 1"),
            ("503 Service Unavailable", "Retry-After: 1"),
        ],
        |(status, line)| {
            for of_batch in [true, false] {
                let commit = rig.prepare(format!("{status} {line} {of_batch}\n"));
                let asked = Arc::new(AtomicUsize::new(0));
                rig.lfs.spoil(move |request, answer| {
                    match is_batch(request) == of_batch && asked.fetch_add(1, Ordering::SeqCst) == 0 {
                        true => Answer::new(status, "").with(line),
                        false => answer,
                    }
                });
                rig.syncline().sync();
                rig.env.assert_lfs_published(&rig.repo, &commit);
            }
        },
    );
    // Longer than that, the sync fails, and the next waits.
    rig.prepare("later\n");
    for of_batch in [true, false] {
        rig.lfs.spoil(move |request, answer| match is_batch(request) == of_batch {
            true => Answer::new("429 Too Many Requests", "").with("Retry-After: 3000"),
            false => answer,
        });
        let started = Instant::now();
        let fault = fault(&rig.syncline().fail());
        assert!(fault.contains("429") && started.elapsed() < SOON, "{fault}");
    }
}
