//! Commits and tags that are signed by GnuPG and OpenSSH, well, badly and oddly. Each is judged by sync-core and by
//! `git verify-commit` or `git verify-tag`: what we accept, git accepts, but for what the tables name.

mod judges;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sync_core::{ExpiredKeys, Judged, RefusalReason, SignatureVerifier, VerifyMode};

use self::judges::Verdict::{Good, Milder, Refused, Stricter};
use self::judges::{Gpg, SIGNED, YEAR_2024, armor, binary, with_header};
use crate::support::*;

#[test]
fn keys_and_algorithms_are_accepted_as_git_does_or_more_strictly() {
    let gpg = Gpg::new();
    for (name, algorithm) in [
        ("ed", "ed25519"),
        ("rsa", "rsa2048"),
        ("small", "rsa1024"),
        ("p256", "nistp256"),
        ("p384", "nistp384"),
        ("p521", "nistp521"),
        ("brain", "brainpoolP256r1"),
        ("koblitz", "secp256k1"),
        ("dsa", "dsa2048"),
    ] {
        gpg.key(name, algorithm, "sign", "0");
    }
    gpg.key("certify", "ed25519", "cert", "0");
    let with_subkey = gpg.key("sub", "ed25519", "cert", "0");
    gpg.gpg(YEAR_2024, &["--quick-add-key", &with_subkey, "ed25519", "sign", "0"], b"");
    gpg.gpg(YEAR_2024, &["--quick-add-key", &with_subkey, "cv25519", "encr", "0"], b"");
    gpg.key("short", "ed25519", "sign", "1d");
    let longer = gpg.key("longer", "ed25519", "sign", "1d");
    gpg.gpg("20240601T000000!", &["--quick-set-expire", &longer, "0"], b"");
    let hash = |key, algorithm| gpg.commit(key, &["--digest-algo", algorithm, "--allow-weak-digest-algos"]);
    let payload = gpg.payload("", "message");
    let at = |time, options: &[&str]| with_header(&payload, &gpg.sign_at(time, &payload, "rsa", options));
    gpg.compare(vec![
        ("Ed25519", gpg.commit("ed", &[]), Good),
        ("RSA", gpg.commit("rsa", &[]), Good),
        ("a small RSA key", gpg.commit("small", &[]), Stricter("RSA key of 1024 bits")),
        ("P-256", gpg.commit("p256", &[]), Good),
        ("P-384", gpg.commit("p384", &[]), Good),
        ("P-521", gpg.commit("p521", &[]), Good),
        ("Brainpool", gpg.commit("brain", &[]), Stricter("a key of kind")),
        ("secp256k1", gpg.commit("koblitz", &[]), Stricter("a key of kind")),
        ("DSA", gpg.commit("dsa", &[]), Stricter("a DSA key")),
        ("a subkey", gpg.commit("sub", &[]), Good),
        ("a key that has expired since", gpg.commit("short", &[]), Milder),
        ("a key whose expiry was put off", gpg.commit("longer", &[]), Good),
        ("SHA-256", hash("rsa", "SHA256"), Good),
        ("SHA-384", hash("rsa", "SHA384"), Good),
        ("SHA-512", hash("rsa", "SHA512"), Good),
        ("SHA-1", hash("rsa", "SHA1"), Stricter("SHA1")),
        ("SHA-224", hash("rsa", "SHA224"), Stricter("SHA224")),
        ("RIPEMD-160", hash("rsa", "RIPEMD160"), Stricter("RIPEMD160")),
        ("a text", gpg.commit("ed", &["--textmode"]), Stricter("not about the bytes")),
        ("a comment", gpg.commit("ed", &["--comment", "x", "--emit-version"]), Good),
        ("a notation", gpg.commit("ed", &["--sig-notation", "a@x=b"]), Good),
        ("a critical notation", gpg.commit("ed", &["--sig-notation", "!a@x=b"]), Refused("critical")),
        ("a policy", gpg.commit("ed", &["--sig-policy-url", "https://x"]), Good),
        (
            "an expired signature",
            gpg.commit("ed", &["--default-sig-expire", "1d"]),
            Refused("expired on 2024"),
        ),
        ("one that will expire", gpg.commit("ed", &["--default-sig-expire", "70y"]), Good),
        ("before the key was made", at("20230101T000000!", &["--ignore-time-conflict"]), Refused("before")),
        ("in the future", at("20900101T000000!", &[]), Stricter("in the future")),
        ("two signers", gpg.commit("ed", &["--local-user", "rsa@x"]), Refused("has 2 packets")),
    ]);
    // What expired counts only with the default.
    let mut policy = gpg.policy(VerifyMode::Head);
    policy.expired = ExpiredKeys::Refuse;
    let expired = gpg.commit("short", &[]);
    let id = gpg.write("commit", expired.as_bytes());
    let judged = Judged {
        commit: id.parse().unwrap(),
        reference: None,
        commit_object: expired.as_bytes(),
        tag_object: None,
    };
    let refusal =
        SignatureVerifier::new(policy.clone(), SystemTime::now).judge(&judged).unwrap().unwrap_err();
    assert_eq!(refusal.reason, RefusalReason::Expired, "{refusal}");
    // One that certifies only is named when the program starts.
    let unusable = SignatureVerifier::new(policy, SystemTime::now).unusable_certificates().unwrap();
    let unusable: Vec<_> = unusable.into_iter().map(|(fingerprint, _)| fingerprint).collect();
    for name in ["certify", "small", "dsa", "short"] {
        assert!(unusable.contains(&gpg.fingerprints(name)[0]), "{name}: {unusable:?}");
    }
    assert!(!unusable.contains(&with_subkey) && !unusable.contains(&longer), "{unusable:?}");
}

#[test]
fn revoked_keys_are_refused() {
    let gpg = Gpg::new();
    let keys =
        ["primary", "retired", "subkey", "moved"].map(|name| gpg.key(name, "ed25519", "sign,cert", "0"));
    gpg.gpg(YEAR_2024, &["--quick-add-key", &keys[2], "ed25519", "sign", "0"], b"");
    let commits = ["primary", "retired", "subkey", "moved"].map(|name| gpg.commit(name, &[]));
    gpg.compare(commits.iter().map(|commit| ("before", commit, Good)).collect());

    let file = gpg.home.path().join(format!("openpgp-revocs.d/{}.rev", keys[0]));
    gpg.gpg(SIGNED, &["--import"], fs::read_to_string(file).unwrap().replace(":-----", "-----").as_bytes());
    let interactive = |time: &str, args: &[&str], answers: &str| {
        let mut gpg = gpg.command("gpg");
        gpg.args(["--quiet", "--no-tty", "--passphrase", "", "--pinentry-mode=loopback", "--command-fd=0"]);
        gpg.args(["--faked-system-time", time]).args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = gpg.stderr(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
        child.wait_with_output().unwrap().stdout
    };
    let revocation = interactive("20240301T000000!", &["--gen-revoke", "retired@x"], "y\n3\n\ny\n");
    gpg.gpg(SIGNED, &["--import"], &revocation);
    interactive("20240301T000000!", &["--edit-key", "subkey@x"], "key 1\nrevkey\ny\n0\n\ny\nsave\n");
    gpg.gpg("20240201T000000!", &["--quick-add-uid", &keys[3], "new <new@x>"], b"");
    gpg.gpg("20240301T000000!", &["--quick-revoke-uid", &keys[3], "moved <moved@x>"], b"");
    gpg.compare(vec![
        ("a primary key", &commits[0], Refused("key was revoked")),
        ("a key that was retired later", &commits[1], Milder),
        ("a subkey", &commits[2], Refused("subkey was revoked")),
        ("another user id", &commits[3], Good),
    ]);
}

#[test]
fn odd_armor_and_packets_are_refused_or_read_as_gpg_does() {
    let gpg = Gpg::new();
    gpg.key("dev", "rsa2048", "sign", "0");
    gpg.key("stranger", "rsa2048", "sign", "0");
    let payload = gpg.payload("", "message");
    let good = gpg.sign(&payload, "dev", &[]);
    let raw = binary(&good);
    let (header, content) = raw.split_at(3);
    assert_eq!(header[0], 0x89, "an older header with two octets of length");
    let commit = |signature: &str| with_header(&payload, signature);
    let long = [&[0xc2, 255, 0, 0][..], &header[1..], content].concat();
    let partial = [&[0xc2, 224 + 8][..], &content[..256], &[u8::try_from(content.len() - 256).unwrap()]];
    let partial = [partial.concat(), content[256..].to_vec()].concat();
    let mut other_bits = raw.clone();
    *other_bits.last_mut().unwrap() ^= 1;
    let mut version = raw.clone();
    version[3] = 3;
    // The id of the key is not signed.
    let id = raw.windows(2).rposition(|two| two == [9, 16]).unwrap() + 2;
    let mut issuer = raw.clone();
    issuer[id] ^= 1;
    let crc = good.lines().find(|line| line.starts_with('=')).unwrap();
    let stranger = gpg.sign(&payload, "stranger", &[]);
    let body = STANDARD.encode(&raw);
    gpg.compare(vec![
        ("as it is", commit(&good), Good),
        ("without a checksum", commit(&armor(&raw)), Good),
        ("a wrong checksum", commit(&good.replace(crc, "=AAAA")), Milder),
        ("spaces at the end", commit(&good.replace("\n\n", "\n \n")), Good),
        ("no empty line", commit(&good.replacen("\n\n", "\n", 1)), Refused("no empty line")),
        ("a header of the newer format", commit(&armor(&long)), Good),
        ("partial lengths", commit(&armor(&partial)), Refused("partial length")),
        ("no end", commit(&armor(&raw[..raw.len() - 1])), Refused("cut off")),
        ("an octet more", commit(&armor(&[&raw[..], &[0]].concat())), Refused("no OpenPGP packet")),
        ("a marker", commit(&armor(&[&[0xca, 3, 80, 71, 80], &raw[..]].concat())), Stricter("2 packets")),
        ("two signatures", commit(&armor(&[&raw[..], &binary(&stranger)].concat())), Refused("2 packets")),
        ("the same twice", commit(&armor(&raw.repeat(2))), Refused("2 packets")),
        ("very many packets", commit(&armor(&[0xca, 0].repeat(10_000))), Refused("10000 packets")),
        ("no packet", commit(&armor(&[])), Refused("0 packets")),
        ("a compressed packet", commit(&armor(&[&[0xa3, 0], &raw[..]].concat())), Stricter("no length")),
        ("a user id", commit(&armor(&[0xcd, 1, 65])), Refused("packet of type 13")),
        ("other bits", commit(&armor(&other_bits)), Refused("does not fit")),
        ("version 3", commit(&armor(&version)), Refused("its signature")),
        ("another key id", commit(&armor(&issuer)), Stricter("not among the OpenPGP keys")),
        ("no base64", commit(&good.replace(&body[..8], "********")), Refused("not base64")),
        (
            "armor of a message",
            commit(&good.replace("PGP SIGNATURE", "PGP MESSAGE")),
            Stricter("not one block of BEGIN PGP SIGNATURE"),
        ),
        ("two blocks", commit(&format!("{good}{good}")), Refused("not one block")),
        ("X.509", commit(&good.replace("PGP SIGNATURE", "SIGNED MESSAGE")), Refused("X.509")),
    ]);
}

#[test]
fn commits_that_others_altered_are_refused() {
    let gpg = Gpg::new();
    gpg.key("dev", "ed25519", "sign", "0");
    let payload = gpg.payload("", "message");
    let signature = gpg.sign(&payload, "dev", &[]);
    let good = with_header(&payload, &signature);
    let header = good.split("gpgsig ").nth(1).unwrap().split("\n\nmessage").next().unwrap();
    let header = format!("gpgsig {header}");
    let before_message = |more: &str| good.replacen("\n\nmessage", &format!("\n{more}\n\nmessage"), 1);
    let signed = |headers: &str, message: &str| {
        let payload = gpg.payload(headers, message);
        with_header(&payload, &gpg.sign(&payload, "dev", &[]))
    };
    let tree = format!("tree {}\n", gpg.tree);
    let two_trees = payload.replacen(&tree, &format!("{tree}{tree}"), 1);
    let person = payload.lines().nth(1).unwrap();
    gpg.compare(vec![
        ("as it is", good.clone(), Good),
        ("an empty message", signed("", ""), Good),
        ("an encoding", signed("encoding latin1\n", "message"), Good),
        ("a merged tag", signed("mergetag object 1\n type commit\n \n text\n", "message"), Good),
        ("unknown headers", signed("HG:extra x:y\nother a\n  b\n", "message"), Good),
        ("a message like a header", signed("", "gpgsig x\n\ntree y"), Good),
        ("without a signature", payload.clone(), Refused("not signed")),
        ("a signature in the message", format!("{payload}{header}\n"), Refused("not signed")),
        ("another message", good.replace("message", "massage"), Refused("does not fit")),
        ("a line more", format!("{good}more\n"), Refused("does not fit")),
        ("another committer", good.replace("committer Dev", "committer Eve"), Refused("does not fit")),
        ("another time", good.replace("+0000\ngpgsig", "+0100\ngpgsig"), Refused("does not fit")),
        ("a parent", good.replacen("author", "parent 1\nauthor", 1), Refused("")),
        ("a header more", before_message("other x"), Refused("does not fit")),
        ("the signature twice", before_message(&header), Refused("several signatures")),
        ("a header between", before_message(&format!("other x\n{header}")), Refused("several signatures")),
        ("a signature for the other hash", before_message("gpgsig-sha256 x"), Stricter("several signatures")),
        ("a header like a signature", before_message("gpgsigX x"), Stricter("several signatures")),
        ("another signature of one line", before_message("gpgsig x"), Stricter("several signatures")),
        ("a signature before everything", format!("{header}\n{payload}"), Refused("not in Git's order")),
        ("only for the other hash", good.replace("gpgsig ", "gpgsig-sha256 "), Refused("not in the header")),
        (
            "two trees, signed",
            with_header(&two_trees, &gpg.sign(&two_trees, "dev", &[])),
            Stricter("not in Git's order"),
        ),
        (
            "another tree before the signed one",
            good.replacen("tree ", &format!("tree {}\ntree ", "1".repeat(40)), 1),
            Refused("not in Git's order"),
        ),
        ("a second author, signed", signed(&format!("{person}\n"), "message"), Stricter("Git's order")),
        ("a late parent, signed", signed("parent 1\n", "message"), Stricter("Git's order")),
        (
            "two encodings, signed",
            signed("encoding a\nencoding b\n", "message"),
            Stricter("several encodings"),
        ),
        (
            "a zero byte in a header, signed",
            signed("other a\0b\n", "message"),
            Stricter("control characters"),
        ),
        ("a zero byte in the message, signed", signed("", "mess\0age"), Good),
        ("a carriage return, signed", signed("other a\r\n", "message"), Stricter("control characters")),
        ("a header without a value, signed", signed("other\n", "message"), Stricter("no value")),
        ("very large, signed", signed("", &"x".repeat(1 << 20)), Stricter("more than")),
    ]);
}

#[test]
fn tags_are_judged_as_git_does_or_more_strictly() {
    let gpg = Gpg::new();
    gpg.key("dev", "ed25519", "sign", "0");
    let signed = |tag: String| format!("{tag}{}", gpg.sign(&tag, "dev", &[]));
    let usual = gpg.tag("v1", "commit", "message");
    let good = signed(usual.clone());
    let signature = &good[usual.len()..];
    let indented = gpg.tag("v1", "commit", " -----BEGIN PGP SIGNATURE-----\n");
    let marker = gpg.tag("v1", "commit", "-----BEGIN PGP SIGNATURE-----\n");
    let header = usual.replacen("\n\n", "\ngpgsig-sha256 x\n\n", 1);
    let other = usual.replacen(&gpg.repo.head(), &"1".repeat(40), 1);
    gpg.compare_tags(
        "refs/tags/v1",
        vec![
            ("as it is", good.clone(), Good),
            ("without a signature", usual.clone(), Refused("not signed")),
            ("another message", good.replace("message", "massage"), Refused("does not fit")),
            ("another name, altered", good.replace("tag v1", "tag v2"), Refused("the reference")),
            ("another name, signed", signed(gpg.tag("v2", "commit", "x")), Stricter("says \"v2\"")),
            ("a nested tag", signed(gpg.tag("v1", "tag", "x")), Stricter("names another tag")),
            ("a tree", signed(gpg.tag("v1", "tree", "x")), Stricter("names a tree")),
            ("another commit, signed", signed(other), Stricter("another commit")),
            ("an indented marker", signed(indented), Good),
            ("a marker in the message", signed(marker), Stricter("several signatures")),
            ("text after the signature", format!("{good}text\n"), Stricter("not one block")),
            ("two signatures", format!("{good}{signature}"), Refused("several signatures")),
            ("an indented signature", format!("{usual} {signature}"), Refused("not signed")),
            ("a signature for the other hash", format!("{header}{signature}"), Stricter("headers")),
        ],
    );
    gpg.compare_tags("refs/tags/v2", vec![("another reference", good, Stricter("the reference \"v2\""))]);
}

/// The octets of an SSH signature, after the armor.
fn sshsig(armored: &str) -> Vec<u8> {
    STANDARD.decode(armored.lines().filter(|line| !line.starts_with("---")).collect::<String>()).unwrap()
}

fn ssh_armor(blob: &[u8]) -> String {
    format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", STANDARD.encode(blob))
}

#[test]
fn odd_ssh_signatures_are_refused() {
    let gpg = Gpg::new();
    gpg.key("unused", "ed25519", "sign", "0");
    let dir = gpg.env.path("");
    let run = |args: &[&str], input: &str| {
        let mut child = Command::new("ssh-keygen");
        child
            .args(args)
            .current_dir(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let mut signers = String::new();
    for (name, kind, bits) in [("ed", "ed25519", "256"), ("rsa", "rsa", "3072"), ("small", "rsa", "1024")] {
        run(&["-q", "-N", "", "-t", kind, "-b", bits, "-f", name], "");
        signers += &format!("{name}@x {}", fs::read_to_string(dir.join(format!("{name}.pub"))).unwrap());
    }
    fs::write(dir.join("signers"), signers).unwrap();
    let payload = gpg.payload("", "message");
    let sign = |key: &str, namespace: &str, hash: &str| {
        run(&["-Y", "sign", "-q", "-f", key, "-n", namespace, "-O", &format!("hashalg={hash}")], &payload)
    };
    let commit = |signature: &str| with_header(&payload, signature);
    let good = sign("ed", "git", "sha512");
    let blob = sshsig(&good);
    let namespace = blob.windows(7).position(|part| part == [0, 0, 0, 3, b'g', b'i', b't']).unwrap();
    let patch = |at: usize, remove: usize, insert: &[u8]| {
        let mut blob = blob.clone();
        blob.splice(at..at + remove, insert.iter().copied());
        commit(&ssh_armor(&blob))
    };
    // The name of the algorithm, and the length of what it stands in.
    let mut old = sshsig(&sign("rsa", "git", "sha512"));
    let at = old.windows(12).position(|part| part == b"rsa-sha2-512").unwrap();
    old.splice(at - 1..at + 12, *b"\x07ssh-rsa");
    let length = u32::from_be_bytes(*old[at - 8..].first_chunk().unwrap()) - 5;
    old[at - 8..at - 4].copy_from_slice(&length.to_be_bytes());
    gpg.compare(vec![
        ("Ed25519", commit(&good), Good),
        ("SHA-256", commit(&sign("ed", "git", "sha256")), Good),
        ("RSA", commit(&sign("rsa", "git", "sha512")), Good),
        ("RSA of 1024 bits", commit(&sign("small", "git", "sha512")), Stricter("RSA key of 1024 bits")),
        ("one line", commit(&ssh_armor(&blob)), Good),
        ("another purpose", commit(&sign("ed", "file", "sha512")), Refused("not for Git")),
        ("a purpose with a space", commit(&sign("ed", "git ", "sha512")), Refused("not for Git")),
        ("version 2", patch(9, 1, &[2]), Refused("cannot be read")),
        ("version 0", patch(9, 1, &[0]), Good),
        ("no purpose", patch(namespace, 7, &[0; 4]), Refused("")),
        ("reserved bytes", patch(namespace + 7, 4, &[0, 0, 0, 1, 7]), Stricter("reserved")),
        ("trailing bytes", patch(blob.len(), 0, &[0]), Refused("cannot be read")),
        ("cut off", patch(blob.len() - 1, 1, &[]), Refused("cannot be read")),
        ("SHA-1", patch(namespace + 11, 10, b"\0\0\0\x04sha1"), Refused("cannot be read")),
        ("RSA with SHA-1", commit(&ssh_armor(&old)), Refused("SHA-1")),
        ("other bits", patch(blob.len() - 1, 1, &[blob[blob.len() - 1] ^ 1]), Refused("does not fit")),
        ("another message", commit(&good).replace("message", "massage"), Refused("does not fit")),
    ]);
}

#[test]
fn openpgp_commits_are_published_and_others_refused() {
    let gpg = Gpg::new();
    let key = gpg.key("dev", "ed25519", "sign", "0");
    let setting = ["-c", &format!("user.signingkey={key}")[..]].map(ToOwned::to_owned);
    let commit = |signed: bool| {
        gpg.repo.write("file", if signed { "signed\n" } else { "unsigned\n" });
        let mut git = isolated_git();
        git.env("GNUPGHOME", gpg.home.path()).current_dir(&gpg.repo.path).args(&setting);
        git.args(["commit", "--quiet", "--all", "--message=x"]).args(signed.then_some("-S"));
        assert!(git.status().unwrap().success());
        gpg.repo.head()
    };
    let keys = gpg.env.path("secret");
    fs::create_dir(&keys).unwrap();
    let export = |path: &Path| {
        fs::write(path, gpg.gpg(SIGNED, &["--export"], b"")).unwrap();
    };
    export(&keys.join("dev.asc"));
    let syncline = || {
        let option = format!("--verify-keys={}", keys.display());
        gpg.env.syncline(gpg.repo.url()).arg("--verify=head").arg(option)
    };
    let good = commit(true);
    let log = syncline().sync().stderr;
    assert!(log.contains(&key) && log.contains("dev <dev@x>"), "{log}");
    syncline().arg(format!("--verify-signers={}", key.to_lowercase())).sync();
    let log = syncline().arg("--verify-signers=*").fail();
    assert!(log.contains("not one of --verify-signers"), "a user id is no principal: {log}");
    let bad = commit(false);
    let log = syncline().fail();
    assert!(log.contains(&format!("verify {bad} (HEAD): it is not signed")), "{log}");
    assert_eq!(gpg.env.published(), Some(good));

    // Half a file is no file, whatever else there is.
    let next = commit(true);
    fs::write(keys.join("half.asc"), &fs::read(keys.join("dev.asc")).unwrap()[..50]).unwrap();
    let log = syncline().fail();
    assert!(
        log.contains("read the keys in ") && log.contains("half.asc") && log.contains("cut off"),
        "{log}"
    );
    fs::remove_file(keys.join("half.asc")).unwrap();
    syncline().sync();
    assert_eq!(gpg.env.published(), Some(next));
}
