//! Servers that say something else than what they were asked.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;

use crate::support::*;

const ID: &str = "0123456789012345678901234567890123456789";

fn packet(text: &str) -> String {
    format!("{:04x}{text}", text.len() + 4)
}

/// What a server sends: its advertisement, the answer to `ls-refs` (before version 2 none), and that to a fetch.
#[derive(Clone)]
struct Script {
    advertisement: String,
    listing: String,
    answer: String,
}

impl Script {
    /// `words` at a moment of an exchange in this version; `None` where it has no such moment.
    fn of(version: u8, moment: &str, words: &str) -> Option<Script> {
        let error = packet(&format!("ERR {words}\n"));
        let capabilities = "multi_ack_detailed side-band-64k shallow agent=x";
        let refs = packet(&format!("{ID} HEAD\0{capabilities}\n"));
        let (advertisement, listing, start) = match version {
            0 => (refs + "0000", String::new(), packet("NAK\n")),
            1 => (packet("version 1\n") + &refs + "0000", String::new(), packet("NAK\n")),
            _ => (
                ["version 2\n", "ls-refs\n", "fetch=shallow\n"].map(packet).concat() + "0000",
                packet(&format!("{ID} HEAD\n")) + "0000",
                packet("packfile\n"),
            ),
        };
        // Before version 2 a shallow fetch begins with the boundary, here none.
        let before = if version < 2 { "0000" } else { "" };
        let script = |answer: String| Script {
            advertisement: advertisement.clone(),
            listing: listing.clone(),
            answer: format!("{before}{answer}"),
        };
        let progress = packet("\u{2}Counting objects: 1\n");
        Some(match moment {
            "advertisement" => Script { advertisement: error, ..script(String::new()) },
            "listing" if version == 2 => Script { listing: error, ..script(String::new()) },
            "listing" => return None,
            "boundary" => Script { answer: error, ..script(String::new()) },
            "first line" => script(error),
            "pack" => script(start + &error),
            "in the pack" => script(start + &progress + &packet("\u{1}PACK") + &error),
            "channel 3" => script(start + &progress + &packet(&format!("\u{3}{words}\n"))),
            "channel 3 in the pack" => {
                script(start + &packet("\u{1}PACK") + &packet(&format!("\u{3}{words}\n")) + "0000")
            }
            _ => unreachable!("{moment}"),
        })
    }

    fn all(&self) -> String {
        format!("{}{}{}", self.advertisement, self.listing, self.answer)
    }

    fn over_http(self) -> Canned {
        Canned::start(move |request| {
            let (kind, body) = match request {
                get if get.starts_with("GET ") => {
                    let service = packet("# service=git-upload-pack\n") + "0000";
                    ("advertisement", service + &self.advertisement)
                }
                listing if listing.contains("command=ls-refs") => ("result", self.listing.clone()),
                _ => ("result", self.answer.clone()),
            };
            let length = body.len();
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-{kind}\r\nContent-Length: {length}\r\n\r\n{body}"
            )
        })
    }
}

/// A server of git:// that says this to everybody.
fn over_git(said: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("git://{}/x", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let _ = client.write_all(said.as_bytes());
            let _ = client.shutdown(std::net::Shutdown::Write);
            let _ = client.read_to_end(&mut Vec::new());
        }
    });
    url
}

/// A server of SSH that runs this in place of what it is asked to.
fn over_ssh(env: &Env, command: &str) -> Sshd {
    let sshd = Sshd::with(env, &["ed25519"], &format!("AcceptEnv GIT_PROTOCOL\nForceCommand {command}"));
    sshd.authorized_key();
    sshd
}

#[test]
fn the_servers_words_are_shown_whenever_they_come() {
    let env = Env::new();
    let said = env.path("said");
    let sshd = over_ssh(&env, &format!("cat {}; cat >/dev/null", said.display()));
    for version in [0, 1, 2] {
        for moment in [
            "advertisement",
            "listing",
            "boundary",
            "first line",
            "pack",
            "in the pack",
            "channel 3",
            "channel 3 in the pack",
        ] {
            let Some(script) = Script::of(version, moment, "no access: tell admin@host") else { continue };
            fs::write(&said, script.all()).unwrap();
            let (git, http) = (over_git(script.all()), script.over_http());
            for syncline in
                [env.syncline(http.url("x")), env.syncline(&git), sshd.syncline(&env, sshd.url("/x"))]
            {
                let fault = fault(&syncline.fail());
                assert!(
                    fault.ends_with(": the server says: no access: tell admin@host"),
                    "version {version}, {moment}: {fault}"
                );
            }
        }
    }
}

#[test]
fn what_is_printed_before_git_speaks_is_shown() {
    let env = Env::new();
    let repo = env.repo("up");
    let upload = format!("git upload-pack {}", repo.path.display());
    let motd = env.path("motd");
    fs::write(&motd, "\nWelcome to host\nBe nice\n").unwrap();
    each_row(
        [
            (
                "echo This account is currently not available.; exit 1".to_owned(),
                "This account is currently not available.",
            ),
            (
                // `cat` writes it at once: only the first write is shown, since none need follow.
                format!("cat {}; {upload}", motd.display()),
                "Welcome to host; Be nice; make sure that nothing",
            ),
            ("printf hm".to_owned(), "hm"),
        ],
        |(command, words)| {
            let sshd = over_ssh(&env, &command);
            let fault = fault(&sshd.syncline(&env, sshd.url("/x")).fail());
            assert!(fault.contains(words) && fault.contains("~/.bashrc"), "{command}: {fault}");
            drop(sshd);
            fs::remove_dir_all(env.path(".sshd")).unwrap();
        },
    );
    let fault = fault(&env.syncline(over_git("HTTP/1.1 400 Bad Request\r\n\r\n".into())).fail());
    assert!(fault.contains("HTTP/1.1 400 Bad Request; is the URL right?"), "{fault}");
}

#[test]
fn version_1_is_read_as_git_reads_it() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let daemon = GitDaemon::start(&env.path(""));
    let meddler = Meddler::start(daemon.port(), Trouble::Version1);
    let sshd = Sshd::with(&env, &["ed25519"], "SetEnv GIT_PROTOCOL=version=1");
    sshd.authorized_key();
    let (http, git, ssh) = (nginx.url("v1/up/.git"), meddler.url("git", "up/.git"), sshd.url(&repo.path));
    for url in [http, git, ssh] {
        for content in ["one", "two"] {
            let commit = repo.commit(&[("file", &format!("{content} of {url}"))]);
            sshd.syncline(&env, &url).sync();
            env.assert_published(&repo, &commit);
            env.assert_store_is_sound();
        }
        fs::remove_dir_all(env.root()).unwrap();
    }
}

#[test]
fn a_server_that_lacks_a_feature_is_refused_by_its_name() {
    let env = Env::new();
    each_row(
        [
            ("multi_ack_detailed side-band-64k", "use --depth=0"),
            ("multi_ack side-band-64k shallow", "lacks the feature 'multi_ack_detailed'"),
            ("multi_ack_detailed shallow", "lacks the feature 'side-band-64k'"),
        ],
        |(capabilities, expected)| {
            let refs = packet(&format!("{ID} HEAD\0{capabilities} agent=x\n"));
            let fault = fault(&env.syncline(over_git(refs + "0000")).fail());
            assert!(fault.contains(expected), "{capabilities}: {fault}");
        },
    );
}
