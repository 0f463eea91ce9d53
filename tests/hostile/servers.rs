//! Servers whose every word may be a lie.

use crate::answers::{ask, success};
use crate::support::*;

pub const HEAD: &str = "0123456789012345678901234567890123456789";

/// A line of git's protocol, with its length before it.
pub fn line(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [format!("{:04x}", text.len() + 4).as_bytes(), text].concat()
}

pub fn refs(text: &str) -> Vec<u8> {
    [line(text), b"0000".to_vec()].concat()
}

/// A server that speaks version 2, lists and sends what it is told to.
pub fn server(listed: Vec<u8>, sent: Vec<u8>) -> Canned {
    let hello = [
        line("# service=git-upload-pack\n"),
        b"0000".to_vec(),
        line("version 2\n"),
        line("ls-refs=unborn\n"),
        line("fetch=shallow filter\n"),
        line("object-format=sha1\n"),
        b"0000".to_vec(),
    ]
    .concat();
    Canned::bytes(move |request| {
        let (kind, body) = match request {
            request if request.starts_with("GET") => ("advertisement", &hello),
            request if request.contains("command=ls-refs") => ("result", &listed),
            _ => ("result", &sent),
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-{kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    })
}

/// One failed sync that names the server and leaves nothing.
#[track_caller]
fn failure(server: &Canned) -> String {
    let env = Env::new();
    let fault = fault(&env.syncline(server.url("x")).arg("--sync-timeout=10s").fail());
    assert!(fault.contains(&server.url("x")), "{fault}");
    assert_eq!(env.published(), None);
    if env.root().join(".git").exists() {
        env.assert_no_leftovers();
    }
    fault
}

#[test]
fn listings_that_make_no_sense_are_failures() {
    each_row(
        [
            (b"0000".to_vec(), "couldn't find remote ref HEAD"),
            (refs("ref: refs/heads/main HEAD\n"), ""),
            (refs(&format!("{HEAD} refs/heads/../../evil\n")), ""),
            (refs(&format!("{HEAD} HEAD symref-target:HEAD peeled:zzz\n")), ""),
            (refs("xyz HEAD\n"), ""),
            (refs(&format!("{HEAD}{} HEAD\n", &HEAD[..24])), ""),
            (refs("unborn HEAD symref-target:refs/heads/main\n"), "couldn't find remote ref HEAD"),
            (b"fff9".to_vec(), ""),
            (b"0003".to_vec(), ""),
            (b"zzzz".to_vec(), ""),
            (b"0004".to_vec(), ""),
            (line("ERR \x1b[31mno\n"), ""),
        ],
        |(listed, word)| {
            let shown = listed.escape_ascii().to_string();
            let fault = failure(&server(listed, Vec::new()));
            assert!(fault.contains(word), "{shown}: {fault}");
        },
    );
}

#[test]
fn hostile_listings_do_not_choose() {
    let listing = |names: &[&[u8]]| {
        let lines = names.iter().map(|name| line([HEAD.as_bytes(), b" refs/tags/", name, b"\n"].concat()));
        [lines.collect::<Vec<_>>().concat(), b"0000".to_vec()].concat()
    };
    let long = [b"v9.9.9-".as_slice(), &[b'x'; 60_000]].concat();
    each_row(
        [
            (listing(&[b"v1.0.0", b"v2.0.0", b"v1.0.0"]), "listed v1.0.0 twice"),
            (listing(&[b"v9.0.0-\xff", b"v99999999999999999999.0.0"]), "the only tag is not a version"),
            (
                listing(&[b"v1.0.0^{}", b"../../v1.0.0", b"v9.0.0.lock", b"v1.0.0\x1b[31m"]),
                "there are no tags",
            ),
            (listing(&[&long, b"\xff\xfe"]), "is v9.9.9-xxx"),
        ],
        |(listed, words)| {
            let env = Env::new();
            let server = server(listed, Vec::new());
            let syncline = env.syncline(server.url("x")).arg("--sync-timeout=10s").arg("--ref-semver=*");
            let fault = fault(&syncline.fail());
            assert!(
                fault.contains(words) && fault.contains(&server.url("x")) && fault.len() < 1000,
                "{fault}"
            );
        },
    );
    // Listed, but not asked for.
    let env = Env::new();
    let server = server(listing(&[b"v9.0.0", b"app1/v9.0.0"]), Vec::new());
    let fault =
        fault(&env.syncline(server.url("x")).arg("--ref-semver=~3.1").arg("--ref-tag-prefix=app2/").fail());
    assert!(fault.contains("no tag begins with \"app2/\""), "{fault}");
}

#[test]
fn a_highest_tag_without_a_commit_is_named() {
    let env = Env::new();
    let repo = env.repo("up");
    let good = repo.head();
    repo.git(&["tag", "v1.0.0"]);
    let (nginx, daemon) = (Nginx::start(&env.path("")), GitDaemon::start(&env.path("")));
    for (tag, object) in [("v2.0.0", "HEAD:file"), ("v3.0.0", "HEAD^{tree}"), ("v4.0.0", "v3.0.0")] {
        for url in
            [nginx.url("up/.git"), nginx.url("v0/up/.git"), daemon.url("up/.git"), repo.url().to_owned()]
        {
            env.syncline(&url).arg("--ref-semver=1").sync();
            for options in
                [&["tag", "--force", tag, object][..], &["tag", "-f", "-a", "-m", "x", tag, object]]
            {
                repo.git(options);
                let fault = fault(&env.syncline(&url).arg("--ref-semver=*").fail());
                assert!(fault.contains(tag) && fault.contains(&url), "{fault}");
                assert_eq!(env.published().as_ref(), Some(&good));
                env.assert_no_leftovers();
            }
        }
    }
}

/// A real server, whose every answer passes through `alter`.
fn altering(port: u16, alter: impl Fn(&str, Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> Canned {
    answering(move |request| alter(request, ask(port, request)))
}

/// A server whose answers are those of a function.
pub fn answering(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Canned {
    Canned::bytes(move |request| {
        let kind = if request.starts_with("GET") { "advertisement" } else { "result" };
        let field = format!("Content-Type: application/x-git-upload-pack-{kind}\r\n");
        success(&field, &answer(request))
    })
}

#[test]
fn a_tag_that_moves_before_the_fetch_or_names_another_commit_is_not_confused() {
    let env = Env::new();
    let repo = env.repo("up");
    let (first, second) = (repo.head(), repo.commit(&[("file", "two")]));
    repo.git(&["tag", "--annotate", "--message=x", "v1.0.0", &first]);
    let nginx = Nginx::start(&env.path(""));
    let (path, moved_to) = (repo.path.clone(), second.clone());
    let moving = altering(nginx.port(), move |request, answer| {
        if request.contains("command=ls-refs") {
            git(&path, &["tag", "--force", "--annotate", "--message=y", "v1.0.0", &moved_to]);
        }
        answer
    });
    env.syncline(moving.url("up/.git")).arg("--ref-semver=*").sync();
    env.assert_published(&repo, &first);

    // Version 2 is asked for the commit that was announced, version 0 for the tag.
    let told = first.clone();
    let lying = altering(nginx.port(), move |request, answer| {
        match request.starts_with("GET") || request.contains("command=ls-refs") {
            true => text(&answer).replace(&second, &told).into_bytes(),
            false => answer,
        }
    });
    let syncline = |path: &str| env.syncline(lying.url(path)).arg("--ref-semver=*").arg("--depth=2");
    syncline("up/.git").sync();
    env.assert_published(&repo, &first);
    std::fs::remove_dir_all(env.root()).unwrap();
    let fault = fault(&syncline("v0/up/.git").fail());
    assert!(fault.contains("refs/tags/v1.0.0") && fault.contains(&format!("announced {first}")), "{fault}");
    assert_eq!(env.published(), None);
}

/// The pack that holds nothing, and its checksum.
const EMPTY_PACK: &[u8] =
    b"PACK\0\0\0\x02\0\0\0\0\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e";

#[test]
fn packs_that_are_not_what_was_asked_for_are_failures() {
    let listed = || refs(&format!("{HEAD} HEAD\n"));
    let band = |number: u8, bytes: &[u8]| line([&[number], bytes].concat());
    let begin = line("packfile\n");
    let end = b"0000".to_vec();
    let count_of_4g = b"PACK\0\0\0\x02\xff\xff\xff\xff";
    // A blob of 2^63 bytes, and one of more than 64 bits.
    let huge = [&b"PACK\0\0\0\x02\0\0\0\x01\xb0"[..], &[0x80; 8], &[0x08], &[0x78, 0x9c, 1, 0, 0]].concat();
    let endless = [&b"PACK\0\0\0\x02\0\0\0\x01"[..], &[0xff; 40]].concat();
    each_row(
        [
            ("nothing", Vec::new()),
            ("only the end", end.clone()),
            ("no objects", [begin.clone(), band(1, EMPTY_PACK), end.clone()].concat()),
            ("an empty band", [begin.clone(), line(""), end.clone()].concat()),
            ("an empty payload", [begin.clone(), band(1, b""), end.clone()].concat()),
            ("an unknown band", [begin.clone(), band(9, EMPTY_PACK), end.clone()].concat()),
            ("4G objects", [begin.clone(), band(1, count_of_4g), end.clone()].concat()),
            ("a huge object", [begin.clone(), band(1, &huge), end.clone()].concat()),
            ("an endless number", [begin.clone(), band(1, &endless), end.clone()].concat()),
            ("no pack", [begin.clone(), band(1, b"garbage of more than twelve bytes"), end.clone()].concat()),
            ("a fatal message", [begin.clone(), band(3, b"\x1b[31mdied\n"), end.clone()].concat()),
            (
                "progress with an escape",
                [begin.clone(), band(2, b"\x1b]0;title\x07\r\n"), band(1, EMPTY_PACK), end.clone()].concat(),
            ),
        ],
        |(what, sent)| {
            let fault = failure(&server(listed(), sent));
            assert!(!fault.contains("panic") && !fault.contains("died: "), "{what}: {fault}");
        },
    );
}

#[test]
fn a_large_number_of_references_that_nobody_asked_for_is_passed_over() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let refs: String =
        (0..20_000).map(|number| format!("create refs/evil/{number} {}\n", repo.head())).collect();
    repo.git_with(&["update-ref", "--stdin"], refs.as_bytes());
    for url in [nginx.url("up/.git"), nginx.url("v0/up/.git")] {
        let _ = std::fs::remove_dir_all(env.root());
        env.syncline(url).sync();
        env.assert_published(&repo, &repo.head());
        assert_eq!(git(&env.root(), &["for-each-ref", "--format=%(refname)"]), "refs/heads/git-sync");
    }
}

#[test]
fn references_without_end_are_refused_in_time() {
    // Long names, so that it is soon much.
    let reference = line(format!("{HEAD} refs/heads/{}\n", "x".repeat(60_000)));
    let fault = failure(&server(reference.repeat(2_300), Vec::new()));
    assert!(fault.contains("lists more references than fit into 128 MiB"), "{fault}");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("git://{}/x", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut client = listener.accept().unwrap().0;
        std::io::Write::write_all(&mut client, &line(format!("{HEAD} HEAD\0agent=git/2\n"))).unwrap();
        while std::io::Write::write_all(&mut client, &reference).is_ok() {}
    });
    let fault = crate::support::fault(&Env::new().syncline(url).fail());
    assert!(fault.contains("lists more references than fit into 128 MiB"), "{fault}");
}
