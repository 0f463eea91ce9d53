//! Judging a signed commit: by sync-core in this process, and by `git verify-commit`, which runs GnuPG or ssh-keygen.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use sync_core::{CommitId, Judged, SignaturePolicy, SignatureVerifier, VerifyMode};
use tempfile::TempDir;

use crate::measure::{Rounds, milliseconds, row, run};
use crate::support::{Repo, isolated_git};

/// Judgements of ours in a round, since one is too short to time.
const REPEATS: u32 = 20;

/// Keys of one kind, and a commit that one of them signed.
struct Signed {
    repo: Repo,
    /// Of GnuPG; empty for SSH. Its path is short, for the sake of its sockets.
    home: TempDir,
    keys: PathBuf,
    is_ssh: bool,
    commit: CommitId,
    object: Vec<u8>,
}

/// Print what it costs to judge a commit, by kind of key, and among how many certificates.
pub fn print(base: &Path, rounds: usize, certificates: usize) {
    for (label, kind, count) in [
        ("SSH, Ed25519", &["-t", "ed25519"][..], 1),
        ("SSH, RSA of 4096 bits", &["-t", "rsa", "-b", "4096"], 1),
        ("OpenPGP, Ed25519", &["ed25519"], 1),
        ("OpenPGP, RSA of 4096 bits", &["rsa4096"], 1),
        ("OpenPGP, Ed25519", &["ed25519"], certificates),
    ] {
        let signed = Signed::new(base, kind, count);
        let costs = Rounds::take(rounds, || signed.ours(), || signed.theirs());
        let case = format!("verify a commit, {count} keys");
        row(label, &case, "wall", milliseconds, costs.medians(Duration::as_secs_f64));
    }
}

impl Signed {
    fn new(base: &Path, kind: &[&str], count: usize) -> Signed {
        let dir = tempfile::tempdir_in(base).unwrap().keep();
        let home = tempfile::Builder::new().prefix("gpg").tempdir_in("/tmp").unwrap();
        let is_ssh = kind[0] == "-t";
        let (repo, keys) = (Repo::init(&dir.join("up"), "sha1"), dir.join("keys"));
        repo.write("file", "one\n");
        repo.git(&["add", "--all"]);
        let mut signed =
            Signed { repo, home, keys, is_ssh, commit: "1".repeat(40).parse().unwrap(), object: Vec::new() };
        let key = if is_ssh { signed.make_ssh_key(kind) } else { signed.make_openpgp_keys(kind[0], count) };
        let setting = format!("user.signingkey={key}");
        run(signed.git().args(["-c", &setting, "commit", "--quiet", "--message=x", "-S"]));
        signed.commit = signed.repo.head().parse().unwrap();
        signed.object = signed.git().args(["cat-file", "commit", "HEAD"]).output().unwrap().stdout;
        signed
    }

    fn git(&self) -> Command {
        let mut git = isolated_git();
        git.current_dir(&self.repo.path).env("GNUPGHOME", self.home.path());
        if self.is_ssh {
            let signers = format!("gpg.ssh.allowedSignersFile={}", self.keys.display());
            git.args(["-c", "gpg.format=ssh", "-c", &signers]);
        }
        git
    }

    fn make_ssh_key(&self, kind: &[&str]) -> String {
        let path = self.repo.path.with_file_name("key");
        run(Command::new("ssh-keygen").args(["-q", "-N", "", "-f"]).arg(&path).args(kind));
        let public = fs::read_to_string(path.with_extension("pub")).unwrap();
        fs::write(&self.keys, format!("a@example.com {public}")).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn make_openpgp_keys(&self, kind: &str, count: usize) -> String {
        for number in 0..count {
            let id = format!("k{number}@x");
            let args = ["--batch", "--quiet", "--passphrase", "", "--quick-gen-key", &id, kind, "sign", "0"];
            run(self.gpg().args(args));
        }
        let exported = self.gpg().args(["--batch", "--armor", "--export"]).output().unwrap().stdout;
        fs::write(&self.keys, exported).unwrap();
        "k0@x".into()
    }

    fn gpg(&self) -> Command {
        let mut gpg = Command::new("gpg");
        gpg.env("GNUPGHOME", self.home.path()).stderr(Stdio::null());
        gpg
    }

    /// The time of one judgement, with reading the keys.
    fn ours(&self) -> Duration {
        let mut policy = SignaturePolicy::new(VerifyMode::Head, Vec::new());
        let keys = if self.is_ssh { &mut policy.allowed_signers } else { &mut policy.keys };
        keys.push(self.keys.clone());
        let verifier = SignatureVerifier::new(policy, SystemTime::now);
        let judged =
            Judged { commit: self.commit, reference: None, commit_object: &self.object, tag_object: None };
        let started = Instant::now();
        for _ in 0..REPEATS {
            verifier.judge(&judged).unwrap().unwrap();
        }
        started.elapsed() / REPEATS
    }

    fn theirs(&self) -> Duration {
        run(self.git().args(["verify-commit", "HEAD"])).wall
    }
}

impl Drop for Signed {
    fn drop(&mut self) {
        _ = Command::new("gpgconf").env("GNUPGHOME", self.home.path()).args(["--kill", "all"]).status();
    }
}
