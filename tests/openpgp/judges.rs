//! Both judges of signed objects: sync-core, and git with GnuPG.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sync_core::{Judged, SignaturePolicy, SignatureVerifier, VerifyMode};
use tempfile::TempDir;

use crate::support::*;

/// When keys are made, for `--faked-system-time`.
pub const YEAR_2024: &str = "20240101T000000!";
/// When commits are signed, and the same in seconds.
pub const SIGNED: &str = "20240101T120000!";
const SIGNED_SECONDS: u32 = 1_704_110_400;

/// What is expected of both judges.
#[derive(Clone, Copy, Debug)]
pub enum Verdict {
    Good,
    /// Both refuse it.
    Refused(&'static str),
    /// Git accepts it; we refuse it with these words.
    Stricter(&'static str),
    /// We accept what git refuses, on purpose.
    Milder,
}

/// A home directory of GnuPG, whose agents end with it, and a repository for git's judgement.
pub struct Gpg {
    pub home: TempDir,
    pub env: Env,
    pub repo: Repo,
    pub tree: String,
}

impl Drop for Gpg {
    fn drop(&mut self) {
        _ = self.command("gpgconf").args(["--kill", "all"]).status();
    }
}

impl Gpg {
    pub fn new() -> Gpg {
        let env = Env::new();
        let repo = env.repo("up");
        repo.commit(&[("file", "one\n")]);
        let tree = repo.git(&["rev-parse", "HEAD^{tree}"]);
        // The path of a socket is short.
        let home = tempfile::Builder::new().prefix("gpg").tempdir_in("/tmp").unwrap();
        Gpg { home, env, repo, tree }
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("GNUPGHOME", self.home.path()).env("LC_ALL", "C");
        command
    }

    /// Run gpg at a time.
    #[track_caller]
    pub fn gpg(&self, time: &str, args: &[&str], input: &[u8]) -> Vec<u8> {
        let mut gpg = self.command("gpg");
        gpg.args(["--batch", "--quiet", "--yes", "--no-tty", "--passphrase", "", "--pinentry-mode=loopback"]);
        gpg.args(["--faked-system-time", time]).args(args);
        gpg.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = gpg.spawn().unwrap();
        // It may end before it has read everything.
        _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "gpg {args:?}: {}", text(&output.stderr));
        output.stdout
    }

    /// A key, and its fingerprint.
    pub fn key(&self, name: &str, algorithm: &str, usage: &str, expiry: &str) -> String {
        let user_id = format!("{name} <{name}@x>");
        self.gpg(YEAR_2024, &["--quick-gen-key", &user_id, algorithm, usage, expiry], b"");
        self.fingerprints(name).swap_remove(0)
    }

    /// The fingerprints of a primary key and its subkeys.
    pub fn fingerprints(&self, name: &str) -> Vec<String> {
        let list = self.gpg(SIGNED, &["--list-keys", "--with-colons", &format!("{name}@x")], b"");
        let list = text(&list);
        let fingerprints = list.lines().filter_map(|line| line.strip_prefix("fpr:::::::::"));
        fingerprints.map(|rest| rest.trim_end_matches(':').to_owned()).collect()
    }

    pub fn sign(&self, payload: &str, key: &str, options: &[&str]) -> String {
        self.sign_at(SIGNED, payload, key, options)
    }

    /// A detached, armored signature, as git asks for it.
    pub fn sign_at(&self, time: &str, payload: &str, key: &str, options: &[&str]) -> String {
        let signer = format!("{key}@x");
        let args = [&["--armor", "--local-user", &signer][..], options, &["--detach-sign"]].concat();
        String::from_utf8(self.gpg(time, &args, payload.as_bytes())).unwrap()
    }

    /// A commit without a signature, with more headers and a message.
    pub fn payload(&self, headers: &str, message: &str) -> String {
        let tree = &self.tree;
        let person = format!("Dev <dev@x> {SIGNED_SECONDS} +0000");
        format!("tree {tree}\nauthor {person}\ncommitter {person}\n{headers}\n{message}\n")
    }

    pub fn commit(&self, key: &str, options: &[&str]) -> String {
        let payload = self.payload("", "message");
        with_header(&payload, &self.sign(&payload, key, options))
    }

    /// A tag of a commit.
    pub fn tag(&self, name: &str, kind: &str, message: &str) -> String {
        let head = self.repo.head();
        let object = if kind == "tree" { &self.tree } else { &head };
        format!(
            "object {object}\ntype {kind}\ntag {name}\ntagger Dev <dev@x> {SIGNED_SECONDS} +0000\n\n{message}\n"
        )
    }

    /// The id of an object, whatever is in it.
    pub fn write(&self, kind: &str, object: &[u8]) -> String {
        git_with_input(&self.repo.path, &["hash-object", "-t", kind, "-w", "--stdin", "--literally"], object)
    }

    fn git_accepts(&self, command: &str, id: &str) -> (bool, String) {
        let signers = format!("gpg.ssh.allowedSignersFile={}", self.env.path("signers").display());
        let mut git = isolated_git();
        git.env("GNUPGHOME", self.home.path()).current_dir(&self.repo.path);
        let output = git.args(["-c", &signers, command, "--raw", id]).output().unwrap();
        (output.status.success(), text(&output.stderr))
    }

    /// All public keys, in a file.
    fn export(&self) -> PathBuf {
        let path = self.env.path("keys");
        fs::write(&path, self.gpg(SIGNED, &["--export", "--armor"], b"")).unwrap();
        path
    }

    pub fn policy(&self, mode: VerifyMode) -> SignaturePolicy {
        let signers = self.env.path("signers");
        let mut policy =
            SignaturePolicy::new(mode, signers.exists().then_some(signers).into_iter().collect());
        policy.keys = vec![self.export()];
        policy
    }

    /// Judge commits by both.
    #[track_caller]
    pub fn compare<T: AsRef<[u8]>>(&self, cases: Vec<(&str, T, Verdict)>) {
        let verifier = SignatureVerifier::new(self.policy(VerifyMode::Head), SystemTime::now);
        each_row(cases, |(name, object, verdict)| {
            let id = self.write("commit", object.as_ref());
            let judged = Judged {
                commit: id.parse().unwrap(),
                reference: Some("refs/heads/main"),
                commit_object: object.as_ref(),
                tag_object: None,
            };
            let ours = verifier.judge(&judged).unwrap().map(|_| ()).map_err(|refusal| refusal.text);
            assert_verdict(name, verdict, &ours, &self.git_accepts("verify-commit", &id));
        });
    }

    /// The same for tags under a name.
    #[track_caller]
    pub fn compare_tags(&self, reference: &str, cases: Vec<(&str, String, Verdict)>) {
        let verifier = SignatureVerifier::new(self.policy(VerifyMode::Tag), SystemTime::now);
        each_row(cases, |(name, object, verdict)| {
            let id = self.write("tag", object.as_bytes());
            let judged = Judged {
                commit: self.repo.head().parse().unwrap(),
                reference: Some(reference),
                commit_object: b"",
                tag_object: Some(object.as_bytes()),
            };
            let ours = verifier.judge(&judged).unwrap().map(|_| ()).map_err(|refusal| refusal.text);
            assert_verdict(name, verdict, &ours, &self.git_accepts("verify-tag", &id));
        });
    }
}

fn assert_verdict(name: &str, verdict: Verdict, ours: &Result<(), String>, (git, log): &(bool, String)) {
    use Verdict::{Good, Milder, Refused, Stricter};
    let (wanted, words) = match verdict {
        Good => ((true, true), ""),
        Refused(words) => ((false, false), words),
        Stricter(words) => ((false, true), words),
        Milder => ((true, false), ""),
    };
    let found = ours.as_ref().err().map_or("", String::as_str);
    assert_eq!((ours.is_ok(), *git), wanted, "{name}, {verdict:?}: {found:?}; git: {log}");
    assert!(found.contains(words), "{name}, {verdict:?}: {found:?}");
}

/// A commit with the header that holds its signature, at the place where git puts it.
pub fn with_header(payload: &str, signature: &str) -> String {
    let header = format!("\ngpgsig {}\n\n", signature.trim_end().replace('\n', "\n "));
    payload.replacen("\n\n", &header, 1)
}

pub fn binary(armored: &str) -> Vec<u8> {
    let body = armored.split("\n\n").nth(1).unwrap().split("\n=").next().unwrap();
    STANDARD.decode(body.replace('\n', "")).unwrap()
}

pub fn armor(packets: &[u8]) -> String {
    let body = STANDARD.encode(packets);
    format!("-----BEGIN PGP SIGNATURE-----\n\n{body}\n-----END PGP SIGNATURE-----\n")
}
