//! Signatures of commits and tags, made by stock git and ssh-keygen, and judged as `git verify-commit` and
//! `git verify-tag` judge them. Where we are stricter, the table says so.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::*;

/// An upstream, keys by name, and a file of allowed signers.
pub struct Signing {
    pub env: Env,
    pub repo: Repo,
}

impl Signing {
    pub fn new() -> Signing {
        let env = Env::new();
        let repo = env.repo("up");
        repo.git(&["config", "uploadpack.allowFilter", "true"]);
        repo.git(&["config", "gpg.format", "ssh"]);
        let signing = Signing { env, repo };
        signing.key("dev", &["-t", "ed25519"]);
        signing.allow(&signing.line("dev", ""));
        signing
    }

    fn keygen(&self, args: &[&str]) {
        let output = Command::new("ssh-keygen").args(args).current_dir(self.env.path("")).output().unwrap();
        assert!(output.status.success(), "ssh-keygen {args:?}: {}", text(&output.stderr));
    }

    fn key(&self, name: &str, options: &[&str]) {
        self.keygen(&[&["-q", "-N", "", "-C", name, "-f", name], options].concat());
    }

    fn public(&self, name: &str) -> String {
        let line = fs::read_to_string(self.env.path(&format!("{name}.pub"))).unwrap();
        line.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// A line of `allowed_signers`.
    pub fn line(&self, name: &str, options: &str) -> String {
        format!("{name}@x {options} {}\n", self.public(name))
    }

    fn signers_file(&self) -> PathBuf {
        self.env.path("allowed_signers")
    }

    pub fn allow(&self, lines: &str) {
        fs::write(self.signers_file(), lines).unwrap();
    }

    /// Change a file, and sign the commit with a key, or not.
    pub fn commit(&self, key: Option<&str>) -> String {
        let count = self.repo.git(&["rev-list", "--count", "--all"]);
        self.repo.write("file", format!("{count} {key:?}\n"));
        self.repo.git(&["add", "--all"]);
        self.with_key(key, &["commit", "--quiet", "--message=x"], "-S");
        self.repo.head()
    }

    pub fn with_key(&self, key: Option<&str>, args: &[&str], sign: &str) {
        match key {
            None => _ = self.repo.git(args),
            Some(key) => {
                let setting = format!("user.signingkey={}", self.env.path(key).display());
                self.repo.git(&[&["-c", &setting][..], args, &[sign]].concat());
            }
        }
    }

    /// An object with these exact bytes, made the head of `main`.
    fn odd_commit(&self, bytes: impl AsRef<[u8]>) -> String {
        let args = ["hash-object", "-t", "commit", "-w", "--stdin", "--literally"];
        let id = git_with_input(&self.repo.path, &args, bytes);
        fs::write(self.repo.path.join(".git/refs/heads/main"), format!("{id}\n")).unwrap();
        id
    }

    fn raw(&self, kind: &str, id: &str) -> String {
        let output =
            isolated_git().current_dir(&self.repo.path).args(["cat-file", kind, id]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// The program, with the allowed signers.
    pub fn verifying(&self, url: &str, mode: &str) -> Syncline {
        let file = format!("--verify-allowed-signers={}", self.signers_file().display());
        self.env.syncline(url).arg(format!("--verify={mode}")).arg(file)
    }

    pub fn syncline(&self) -> Syncline {
        self.verifying(self.repo.url(), "head")
    }

    /// Whether git accepts the commit or tag with the same keys.
    pub fn git_accepts(&self, command: &str, name: &str) -> bool {
        let file = format!("gpg.ssh.allowedSignersFile={}", self.signers_file().display());
        let mut git = isolated_git();
        git.current_dir(&self.repo.path).args(["-c", &file, command, name]);
        git.output().unwrap().status.success()
    }

    /// The commit is published, and git accepts it.
    #[track_caller]
    pub fn assert_good(&self, commit: &str) {
        self.syncline().sync();
        assert_eq!(self.env.published().as_deref(), Some(commit));
        assert!(self.git_accepts("verify-commit", commit));
    }

    /// The commit is refused with these words, and the published one stays. Whether git accepts it, too, is told.
    #[track_caller]
    fn assert_refused(&self, commit: &str, words: &str) -> bool {
        let before = self.env.published();
        let log = self.syncline().fail();
        assert!(log.contains(&format!("verify {commit} (HEAD): ")) && log.contains(words), "{words}: {log}");
        assert_eq!(self.env.published(), before);
        self.git_accepts("verify-commit", commit)
    }
}

#[test]
fn keys_of_every_kind_sign_commits() {
    let signing = Signing::new();
    let mut lines = String::new();
    for (name, options) in [
        ("ed25519", &["-t", "ed25519"][..]),
        ("rsa", &["-t", "rsa", "-b", "2048"]),
        ("p256", &["-t", "ecdsa", "-b", "256"]),
        ("p384", &["-t", "ecdsa", "-b", "384"]),
        ("p521", &["-t", "ecdsa", "-b", "521"]),
    ] {
        signing.key(name, options);
        lines += &signing.line(name, "");
        signing.allow(&lines);
        signing.assert_good(&signing.commit(Some(name)));
    }
    signing.env.assert_published(&signing.repo, &signing.repo.head());
}

#[test]
fn a_sha256_repository_has_its_own_header() {
    let signing = Signing::new();
    let repo = Repo::init(&signing.env.path("other"), "sha256");
    repo.git(&["config", "gpg.format", "ssh"]);
    repo.write("file", "one\n");
    repo.git(&["add", "--all"]);
    let setting = format!("user.signingkey={}", signing.env.path("dev").display());
    repo.git(&["-c", &setting, "commit", "--quiet", "--message=x", "-S"]);
    signing.verifying(repo.url(), "head").sync();
    assert_eq!(signing.env.published(), Some(repo.head()));
}

#[test]
fn who_may_not_sign_is_refused_and_the_published_tree_stays() {
    let signing = Signing::new();
    let (dev, stranger) = (signing.line("dev", ""), "stranger");
    signing.key(stranger, &["-t", "ed25519"]);
    signing.key("weak", &["-t", "rsa", "-b", "1024"]);
    let good = signing.commit(Some("dev"));
    signing.assert_good(&good);

    assert!(!signing.assert_refused(&signing.commit(None), "it is not signed"));
    assert!(!signing.assert_refused(&signing.commit(Some(stranger)), "who is not among the allowed signers"));
    for (options, words) in [
        ("namespaces=\"file\"", "who is not among the allowed signers"),
        ("valid-before=\"20010101\"", "whose key is not valid at that time"),
        ("valid-after=\"21000101\"", "whose key is not valid at that time"),
        ("cert-authority", "who is not among the allowed signers"),
    ] {
        signing.allow(&signing.line(stranger, options));
        assert!(!signing.assert_refused(&signing.repo.head(), words), "{options}");
    }
    signing.allow(&signing.line("weak", ""));
    let accepted = signing.assert_refused(&signing.commit(Some("weak")), "an RSA key of 1024 bits");
    assert!(!accepted || cfg!(unix), "OpenSSH decides by its own setting; we are stricter where it accepts");

    signing.allow(&signing.line(stranger, ""));
    let log = signing.syncline().arg("--verify-revoked=revoked").fail();
    assert!(log.contains("revoked: "), "a missing file is an error: {log}");
    let head = signing.commit(Some(stranger));
    for revoked in [signing.public(stranger), fingerprint(&signing, stranger)] {
        fs::write(signing.env.path("revoked"), revoked).unwrap();
        let file = format!("--verify-revoked={}", signing.env.path("revoked").display());
        let log = signing.syncline().arg(file).fail();
        assert!(log.contains("is revoked"), "{log}");
    }
    signing.keygen(&["-q", "-k", "-f", "revoked", "stranger.pub"]);
    let list = format!("--verify-revoked={}", signing.env.path("revoked").display());
    let log = signing.syncline().arg(list).fail();
    assert!(log.contains("it is a key revocation list, which is not supported"), "{log}");
    signing.assert_good(&head);
    signing.allow(&dev);
    assert_eq!(signing.env.published(), Some(head.clone()));
    signing.assert_refused(&head, "who is not among the allowed signers");
    assert_eq!(signing.env.published(), Some(head), "what consumers read is not taken away");
}

fn fingerprint(signing: &Signing, key: &str) -> String {
    let output =
        Command::new("ssh-keygen").arg("-lf").arg(signing.env.path(&format!("{key}.pub"))).output().unwrap();
    text(&output.stdout).split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn signers_and_committers_can_be_narrowed_down() {
    let signing = Signing::new();
    signing.assert_good(&signing.commit(Some("dev")));
    let print = fingerprint(&signing, "dev");
    for good in ["--verify-signers=*@x", &format!("--verify-signers=a,{print}"), "--verify-committers=*"] {
        signing.syncline().arg(good).sync();
    }
    let log = signing.syncline().arg("--verify-signers=ops@*").fail();
    assert!(log.contains(&print) && log.contains("who is not one of --verify-signers"), "{log}");
    let log = signing.syncline().arg("--verify-committers=nobody@*").fail();
    assert!(log.contains("is not one of --verify-committers"), "{log}");
}

#[test]
fn both_exechooks_are_told_who_signed_and_under_which_reference() {
    let signing = Signing::new();
    signing.commit(Some("dev"));
    let hook = |name: &str, option: &str| {
        let (path, told) = (signing.env.path(name), signing.env.path(&format!("{name}-told")));
        let script = format!("#!/bin/sh\necho \"$SYNCLINE_REF $SYNCLINE_SIGNER\" > {}\n", told.display());
        write_program(&path, &script);
        (format!("{option}={}", path.display()), told)
    };
    let (before, told_before) = hook("before", "--pre-publish-exechook-command");
    let (after, told_after) = hook("after", "--exechook-command");
    signing.syncline().arg("--ref=main").arg(before).arg(after).arg("--pre-publish-exechook-required").sync();
    let expected = format!("refs/heads/main SSH {} (dev@x)\n", fingerprint(&signing, "dev"));
    for told in [told_before, told_after] {
        assert_eq!(fs::read_to_string(told).unwrap(), expected);
    }
}

#[test]
fn certificates_count_through_their_authority() {
    let signing = Signing::new();
    for key in ["ca", "other-ca", "user"] {
        signing.key(key, &["-t", "ed25519"]);
    }
    let authority = |name: &str| format!("*@x cert-authority {}\n", signing.public(name));
    let certify = |options: &[&str]| {
        signing.keygen(&[&["-q", "-I", "id"], options, &["user.pub"]].concat());
        signing.commit(Some("user-cert.pub"))
    };
    signing.allow(&authority("ca"));
    let valid = ["-V", "20200101:20990101"];
    signing.assert_good(&certify(&[&["-s", "ca", "-n", "user@x"][..], &valid].concat()));
    for (options, words) in [
        (&["-s", "other-ca", "-n", "user@x"][..], "which is no allowed authority"),
        (&["-s", "ca", "-n", "user@y"], "names no principal"),
        (&["-s", "ca", "-h", "-n", "user@x"], "is not of a user"),
        (
            &["-s", "ca", "-n", "user@x", "-V", "20200101:20200201"],
            "whose certificate is not valid at that time",
        ),
        (
            &["-s", "ca", "-n", "user@x", "-V", "20980101:20990101"],
            "whose certificate is not valid at that time",
        ),
    ] {
        assert!(!signing.assert_refused(&certify(options), words), "{options:?}");
    }
    // OpenSSH passes over critical options of a signature's certificate; we do not.
    for limit in ["force-command=/bin/true", "critical:unknown@x=1"] {
        let limited = certify(&["-s", "ca", "-n", "user@x", "-O", limit]);
        signing.assert_refused(&limited, "has critical options");
    }
    let for_anybody = certify(&["-s", "ca"]);
    signing.assert_refused(&for_anybody, "names no principal");
    signing.allow(&signing.line("ca", ""));
    signing.assert_refused(&for_anybody, "which is no allowed authority");
}

#[test]
fn objects_that_can_be_read_in_two_ways_are_refused() {
    let signing = Signing::new();
    let good = signing.commit(Some("dev"));
    signing.assert_good(&good);
    let raw = signing.raw("commit", &good);
    let signature = &raw[raw.find("gpgsig").unwrap()..raw.find("\n\n").unwrap()];
    let tree = raw.lines().next().unwrap();
    let before_message = |more: &str| raw.replacen("\n\n", &format!("\n{more}\n\n"), 1);
    // Git accepts some of these; we are stricter, since other programs read them differently.
    for (name, object, words, git_accepts) in [
        ("two signatures", before_message(signature), "several signatures", true),
        ("a signature for the other hash", before_message("gpgsig-sha256 junk"), "several signatures", true),
        ("a header that begins like a signature", before_message("gpgsigX junk"), "several signatures", true),
        ("a signature of one line", before_message("gpgsig junk"), "several signatures", true),
        ("another header", before_message("other header"), "does not fit", false),
        ("another message", format!("{raw}more\n"), "does not fit", false),
        ("two trees", raw.replacen(tree, &format!("{tree}\n{tree}"), 1), "Git's order", false),
        (
            "a signature in the message",
            raw.replacen(&format!("{signature}\n"), "", 1) + signature,
            "not signed",
            false,
        ),
        ("another committer", raw.replacen("committer ", "committer x", 1), "does not fit", false),
    ] {
        let commit = signing.odd_commit(object);
        assert_eq!(signing.assert_refused(&commit, words), git_accepts, "{name}");
    }
    signing.odd_commit(&raw);
    signing.assert_good(&good);
}

#[test]
fn signatures_of_other_kinds_are_recognised() {
    let signing = Signing::new();
    let good = signing.commit(Some("dev"));
    signing.assert_good(&good);
    let raw = signing.raw("commit", &good);
    for (armor, words) in
        [("PGP SIGNATURE", "its signature cannot be read"), ("SIGNED MESSAGE", "signed with X.509")]
    {
        let commit = signing.odd_commit(raw.replace("SSH SIGNATURE", armor));
        assert!(!signing.assert_refused(&commit, words));
    }
    for (from, to) in [("-----BEGIN SSH", "-----BEGIN OTHER"), ("U1NIU0lH", "U1NIU0lI")] {
        let commit = signing.odd_commit(raw.replace(from, to));
        assert!(!signing.assert_refused(&commit, "its signature"));
    }
}

#[test]
fn a_tag_must_be_signed_and_say_its_own_name() {
    let signing = Signing::new();
    signing.key("stranger", &["-t", "ed25519"]);
    let commit = signing.commit(None);
    let tag = |name: &str, key: Option<&str>| {
        signing.with_key(key, &["tag", "--annotate", "--message=x", name], "-s");
    };
    let syncline = |reference: &str, mode: &str| {
        signing.verifying(signing.repo.url(), mode).arg(format!("--ref={reference}"))
    };
    tag("good", Some("dev"));
    syncline("good", "tag").sync();
    assert_eq!(signing.env.published(), Some(commit));
    assert!(signing.git_accepts("verify-tag", "good"));
    assert!(syncline("good", "tag-and-head").fail().contains("it is not signed"));

    signing.repo.git(&["update-ref", "refs/tags/renamed", "good"]);
    signing.repo.git(&["tag", "light"]);
    tag("unsigned", None);
    tag("foreign", Some("stranger"));
    signing.with_key(Some("dev"), &["tag", "--annotate", "--message=x", "nested", "good"], "-s");
    for (name, words) in [
        ("renamed", "its tag says \\\"good\\\", and the reference \\\"renamed\\\""),
        ("light", "the reference is no annotated tag"),
        ("main", "the reference is no annotated tag"),
        ("unsigned", "it is not signed"),
        ("foreign", "who is not among the allowed signers"),
        ("nested", "it names another tag"),
    ] {
        let log = syncline(name, "tag").fail();
        assert!(log.contains(words), "{name}: {log}");
    }
    let signed = signing.commit(Some("dev"));
    tag("by-id", None);
    let daemon = GitDaemon::start(&signing.env.path(""));
    let id = signing.repo.git(&["rev-parse", "by-id"]);
    for url in [signing.repo.url().to_owned(), daemon.url("up/.git")] {
        let _ = fs::remove_dir_all(signing.env.root());
        signing.verifying(&url, "head").arg(format!("--ref={id}")).sync();
        assert_eq!(signing.env.published(), Some(signed.clone()), "the commit below a tag is judged");
    }
    tag("both", Some("dev"));
    syncline("both", "tag-and-head").sync();
    assert_eq!(signing.env.published(), Some(signing.repo.head()));
}

#[test]
fn a_refused_commit_is_judged_before_it_is_fetched_and_only_once_fetched() {
    let signing = Signing::new();
    let good = signing.commit(Some("dev"));
    let nginx = Nginx::start(&signing.env.path(""));
    let url = nginx.url("up/.git");
    let syncline = || signing.verifying(&url, "head").arg("--period=50ms").arg("--max-failures=-1");
    for filters in ["true", "false"] {
        signing.repo.git(&["config", "uploadpack.allowFilter", filters]);
        signing.repo.git(&["reset", "--quiet", "--hard", &good]);
        let running = syncline().spawn();
        running.wait_for("\"published\"");
        let bad = signing.repo.commit_incompressible(1_000_000);
        running.wait_for_times("it is not signed", 3);
        let store = git(&signing.env.root(), &["cat-file", "--batch-all-objects", "--batch-check"]);
        assert_eq!(store.contains(&bad), filters == "false", "{filters}");
        assert_eq!(git(&signing.env.root(), &["rev-parse", "git-sync"]), good);
        let fetches = nginx.requests().iter().filter(|line| line.contains("POST")).count();
        running.wait_for_times("it is not signed", 6);
        let more = nginx.requests().iter().filter(|line| line.contains("POST")).count() - fetches;
        assert!(more <= 4, "each later poll is one request: {more}");
        assert_eq!(signing.env.published().as_ref(), Some(&good));

        // Who is added to the file needs no restart.
        signing.key(&format!("new-{filters}"), &["-t", "ed25519"]);
        let next = signing.commit(Some(&format!("new-{filters}")));
        running.wait_for("who is not among the allowed signers");
        signing.allow(&(signing.line("dev", "") + &signing.line(&format!("new-{filters}"), "")));
        eventually("the commit", || (signing.env.published()? == next).then_some(()));
        running.wait_for("the signature is good");
        running.kill();
        signing.allow(&signing.line("dev", ""));
    }
}

#[test]
fn a_file_of_keys_that_cannot_be_read_publishes_nothing_and_says_why() {
    let signing = Signing::new();
    signing.assert_good(&signing.commit(Some("dev")));
    let before = signing.env.published();
    signing.commit(Some("dev"));
    let line = signing.line("dev", "");
    for (content, words) in [
        (line.as_bytes()[..line.len() / 2].to_vec(), "line 1 has"),
        (b"dev@x \"x\n".to_vec(), "quotation marks"),
        (
            line.replace("dev@x ", &format!("dev@x {}", "x".repeat(1 << 20))).into_bytes(),
            "unknown or malformed",
        ),
        (vec![0xff; 10], "not UTF-8"),
        (noise(1, 9 << 20), "larger than the limit"),
    ] {
        fs::write(signing.signers_file(), content).unwrap();
        let log = signing.syncline().fail();
        assert!(log.contains("read the keys in ") && log.contains(words) && log.len() < 20_000, "{log}");
        assert_eq!(signing.env.published(), before);
    }
    fs::remove_file(signing.signers_file()).unwrap();
    assert!(signing.syncline().fail().contains("No such file"));
}

#[test]
fn rules_and_signed_tags_go_together() {
    let signing = Signing::new();
    let release = |version: &str, file: &str| {
        let commit = signing.repo.commit(&[(file, version)]);
        signing.with_key(Some("dev"), &["tag", "--annotate", "--message=x", version], "-s");
        commit
    };
    let sync = |rule: &str| {
        signing.verifying(signing.repo.url(), "tag").arg("--ref-semver=^1").arg(rule).sync();
        signing.env.published().unwrap()
    };
    let first = release("v1.0.0", "site");
    assert_eq!(sync("--watch-paths=site"), first);
    release("v1.1.0", "other");
    for _ in 0..2 {
        assert_eq!(sync("--watch-paths=site"), first, "also after another start");
    }
    let second = release("v1.2.0", "site");
    assert_eq!(sync("--min-age=1h"), first);
    crate::rules::age(&signing.env, 4_000);
    release("v1.3.0", "site");
    assert_eq!(sync("--min-age=1h"), second, "an earlier tag is judged by its own signature");
    assert_eq!(sync("--min-age=1h"), second);
}
