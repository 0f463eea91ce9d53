//! Logging in over SSH: keys of every kind, certificates, an agent.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::*;

#[test]
fn every_kind_of_key_is_taken() {
    let env = Env::new();
    let (repo, sshd) = (env.repo("up"), Sshd::start(&env));
    let passphrase = env.path("passphrase");
    fs::write(&passphrase, "open sesame\nanother line\n").unwrap();
    let locked = ["-N", "open sesame"];
    for (number, options) in [
        &["-t", "ed25519"][..],
        &["-t", "ecdsa", "-b", "256"],
        &["-t", "ecdsa", "-b", "384"],
        &["-t", "ecdsa", "-b", "521"],
        &["-t", "rsa", "-b", "2048"],
        &["-t", "rsa", "-b", "2048", "-m", "PEM"],
        &["-t", "rsa", "-b", "2048", "-m", "PKCS8"],
        &["-t", "ecdsa", "-m", "PEM"],
        &["-t", "ecdsa", "-m", "PKCS8"],
        &[&["-t", "ed25519"], &locked[..]].concat(),
        &[&["-t", "rsa", "-b", "2048"], &locked[..]].concat(),
        &[&["-t", "rsa", "-b", "2048", "-m", "PEM"], &locked[..]].concat(),
        &[&["-t", "rsa", "-b", "2048", "-m", "PKCS8"], &locked[..]].concat(),
        &[&["-t", "ecdsa", "-m", "PKCS8"], &locked[..]].concat(),
    ]
    .iter()
    .enumerate()
    {
        let key = sshd.key(&format!("key-{number}"), options);
        sshd.authorize(&key);
        // As a mounted secret is, which OpenSSH would refuse.
        fs::set_permissions(&key, fs::Permissions::from_mode(0o440)).unwrap();
        let finished = sshd
            .knowing(&env, sshd.url(&repo.path), &sshd.host_line("ed25519"))
            .arg("--ssh-key-file")
            .arg(&key)
            .arg("--ssh-key-passphrase-file")
            .arg(&passphrase)
            .one_time()
            .run();
        assert_eq!(finished.code, Some(0), "{options:?}: {}\n{}", finished.stderr, sshd.log());
    }
    env.assert_published(&repo, &repo.head());
}

#[test]
fn an_ed25519_key_of_openssl_is_taken() {
    let env = Env::new();
    let (repo, sshd) = (env.repo("up"), Sshd::start(&env));
    let key = sshd.path("key");
    // ssh-keygen cannot read it: the public half is put together by hand.
    let made = Command::new("sh")
        .arg("-c")
        .arg(
            "openssl genpkey -algorithm ed25519 -out \"$1\" && { printf '\\0\\0\\0\\013ssh-ed25519\\0\\0\\0\\040'
             openssl pkey -in \"$1\" -pubout -outform DER | tail -c 32; } | openssl base64 -A",
        )
        .args([Path::new("sh"), &key])
        .output()
        .unwrap();
    fs::write(with_suffix(&key, ".pub"), format!("ssh-ed25519 {}\n", text(&made.stdout))).unwrap();
    sshd.authorize(&key);
    sshd.syncline(&env, sshd.url(&repo.path)).sync();
    env.assert_published(&repo, &repo.head());
}

#[test]
fn keys_are_tried_in_turn_and_one_good_one_is_enough() {
    let env = Env::new();
    let (repo, sshd) = (env.repo("up"), Sshd::start(&env));
    let (stranger, good) = (sshd.key("stranger", &["-t", "ed25519"]), sshd.authorized_key());
    let (missing, broken) = (env.path("missing"), env.path("broken"));
    fs::write(&broken, "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n").unwrap();
    let known = sshd.host_line("ed25519");
    let url = sshd.url(&repo.path);
    let list = std::env::join_paths([&missing, &broken, &stranger, &good]).unwrap();
    sshd.knowing(&env, &url, &known).env("GIT_SSH_KEY_FILE", &list).sync();
    env.assert_published(&repo, &repo.head());

    let bad = std::env::join_paths([&missing, &broken, &stranger]).unwrap();
    let log = sshd.knowing(&env, &url, &known).env("GITSYNC_SSH_KEY_FILE", &bad).fail();
    let (user, shown) = (format!("refuses user {}", user()), fingerprint(&stranger));
    for part in [
        "127.0.0.1",
        &user,
        &shown,
        "it accepts publickey",
        missing.to_str().unwrap(),
        broken.to_str().unwrap(),
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
    // What is typed replaces the list of the environment.
    let typed = sshd.knowing(&env, &url, &known).env("GITSYNC_SSH_KEY_FILE", &bad);
    typed.arg("--ssh-key-file").arg(&stranger).arg("--ssh-key-file").arg(&good).sync();
}

#[test]
fn what_is_wrong_with_a_key_is_said_before_the_server_is_asked() {
    let env = Env::new();
    let (repo, sshd) = (env.repo("up"), Sshd::start(&env));
    let (url, known) = (sshd.url(&repo.path), sshd.host_line("ed25519"));
    let key = sshd.key("key", &["-t", "ed25519", "-N", "right"]);
    let pem = sshd.key("pem", &["-t", "rsa", "-m", "PKCS8", "-N", "right"]);
    let wrong = env.path("wrong");
    fs::write(&wrong, "guess\n").unwrap();
    for key in [&key, &pem] {
        let with = |options: &[&Path]| {
            let mut syncline = sshd.knowing(&env, &url, &known).arg("--ssh-key-file").arg(key);
            for file in options {
                syncline = syncline.arg("--ssh-key-passphrase-file").arg(file);
            }
            syncline.fail()
        };
        let log = with(&[]);
        assert!(log.contains("is encrypted") && log.contains(key.to_str().unwrap()), "{log}");
        let log = with(&[&wrong]);
        assert!(log.contains("passphrase") && log.contains("is wrong") && !log.contains("guess"), "{log}");
        let log = with(&[&env.path("nowhere")]);
        assert!(log.contains("nowhere"), "{log}");
    }
    let old = sshd.key("old", &["-t", "ecdsa", "-m", "PEM", "-N", "right"]);
    let log = sshd.knowing(&env, &url, &known).arg("--ssh-key-file").arg(&old).fail();
    assert!(log.contains("in an old format that is not supported"), "{log}");
    let log = sshd.knowing(&env, &url, &known).arg("--ssh-key-file=/nonexistent/key").fail();
    assert!(log.contains("/nonexistent/key"), "{log}");
    // The default may be absent.
    let log = sshd.knowing(&env, &url, &known).fail();
    let said = "there is no key to offer; it accepts publickey; there is no /etc/git-secret/ssh";
    assert!(log.contains(said), "{log}");
    assert_eq!(sshd.logins(), 0);
}

#[test]
fn a_key_that_was_spoiled_on_its_way_is_taken_or_named() {
    use base64::Engine;
    let env = Env::new();
    let (repo, sshd) = (env.repo("up"), Sshd::start(&env));
    let key = sshd.authorized_key();
    let good = fs::read_to_string(&key).unwrap();
    let public = fs::read_to_string(with_suffix(&key, ".pub")).unwrap();
    let encoded = base64::engine::general_purpose::STANDARD.encode(&good);
    for (text, expected) in [
        (format!("\u{feff}{good}"), None),
        (good.replace('\n', "\r\n"), None),
        (good.replace('\n', " "), Some("its line breaks are lost")),
        (good.replace('\n', ""), Some("its line breaks are lost")),
        (public, Some("it is a public key")),
        (encoded, Some("it is the base64 of a key")),
    ] {
        fs::write(&key, &text).unwrap();
        let finished = sshd.syncline(&env, sshd.url(&repo.path)).one_time().run();
        assert_eq!(finished.code, Some(i32::from(expected.is_some())), "{text:?}: {}", finished.stderr);
        assert!(finished.stderr.contains(expected.unwrap_or_default()), "{expected:?}: {}", finished.stderr);
    }
}

#[test]
fn a_server_that_hangs_up_after_some_keys_is_told_from_one_that_is_gone() {
    let env = Env::new();
    let (repo, sshd) = (env.repo("up"), Sshd::with(&env, &["ed25519"], "MaxAuthTries 2"));
    let mut syncline = sshd.knowing(&env, sshd.url(&repo.path), &sshd.host_line("ed25519"));
    for number in 0..4 {
        let key = sshd.key(&format!("stranger-{number}"), &["-t", "ed25519"]);
        syncline = syncline.arg("--ssh-key-file").arg(key);
    }
    let log = syncline.fail();
    assert!(
        log.contains("refuses user") && log.contains("and it hung up: the server says: Too many"),
        "{log}"
    );
}

#[test]
fn a_certificate_beside_a_key_is_offered() {
    let env = Env::new();
    let repo = env.repo("up");
    let sshd = Sshd::with(&env, &["ed25519"], "AcceptEnv GIT_PROTOCOL\nTrustedUserCAKeys DIR/ca.pub");
    let ca = sshd.key("ca", &["-t", "ed25519"]);
    for options in [&["-t", "ed25519"][..], &["-t", "rsa", "-b", "2048"], &["-t", "ecdsa"]] {
        let key = sshd.key("key", options);
        let (ca, public) = (ca.to_str().unwrap(), with_suffix(&key, ".pub"));
        keygen(&["-q", "-s", ca, "-I", "test", "-n", &user(), public.to_str().unwrap()]);
        let finished = sshd.syncline(&env, sshd.url(&repo.path)).one_time().run();
        assert_eq!(finished.code, Some(0), "{options:?}: {}\n{}", finished.stderr, sshd.log());
        for file in ["key", "key.pub", "key-cert.pub"] {
            fs::remove_file(sshd.path(file)).unwrap();
        }
    }
    env.assert_published(&repo, &repo.head());
    assert!(sshd.log().contains("-CERT"), "{}", sshd.log());
}

#[test]
fn keys_of_an_agent_are_tried_last() {
    let env = Env::new();
    let (repo, sshd) = (env.repo("up"), Sshd::start(&env));
    let socket = env.path("agent");
    let agent = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn();
    let mut agent = agent.expect("ssh-agent is installed");
    eventually("the agent", || socket.exists().then_some(()));
    let stranger = sshd.key("stranger", &["-t", "ed25519"]);
    for options in [&["-t", "ed25519"][..], &["-t", "rsa", "-b", "2048"], &["-t", "ecdsa"]] {
        let key = sshd.key("key", options);
        sshd.authorize(&key);
        let added = Command::new("ssh-add").arg("-q").arg(&key).env("SSH_AUTH_SOCK", &socket).status();
        assert!(added.unwrap().success());
        fs::remove_file(&key).unwrap();
        let known = sshd.host_line("ed25519");
        let syncline = sshd.knowing(&env, sshd.url(&repo.path), &known).env("SSH_AUTH_SOCK", &socket);
        let finished = syncline.arg("--ssh-key-file").arg(&stranger).one_time().run();
        assert_eq!(finished.code, Some(0), "{options:?}: {}\n{}", finished.stderr, sshd.log());
    }
    env.assert_published(&repo, &repo.head());
    agent.kill().unwrap();
    agent.wait().unwrap();
    let known = sshd.host_line("ed25519");
    let syncline = sshd.knowing(&env, sshd.url(&repo.path), &known).env("SSH_AUTH_SOCK", &socket);
    let log = syncline.arg("--ssh-key-file").arg(&stranger).fail();
    assert!(log.contains("cannot ask the agent at"), "{log}");
}
