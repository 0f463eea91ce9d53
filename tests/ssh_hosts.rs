//! Which SSH servers are trusted: host keys and certificates.

use std::fs;
use std::path::Path;

use crate::support::*;

#[test]
fn a_host_key_is_found_in_every_form_of_known_hosts() {
    let env = Env::new();
    let repo = env.repo("up");
    let sshd = Sshd::with(&env, &["ecdsa", "ed25519", "rsa"], "AcceptEnv GIT_PROTOCOL");
    let key = sshd.authorized_key();
    let only = |kind: &str| sshd.host_line(kind);
    let keyed = |hosts: &str| only("ed25519").replacen(&sshd.name(), hosts, 1);
    let hashed = sshd.known_hosts(&only("ed25519"));
    keygen(&["-q", "-H", "-f", hashed.to_str().unwrap()]);
    let hashed = fs::read_to_string(hashed).unwrap();
    assert!(hashed.starts_with("|1|"), "{hashed}");
    each_row(
        [
            // The server would rather show another.
            only("ed25519"),
            only("rsa"),
            only("ecdsa"),
            [only("rsa"), only("ed25519")].concat(),
            hashed,
            keyed("*"),
            keyed(&format!("example.com,[127.0.0.?]:{}", sshd.port())),
            // OpenSSH takes what is known of the host at any port.
            keyed("127.0.0.1"),
            format!("# comment\n\n  garbage\nh x y\n\t{}", only("ed25519").replace(' ', " \t ")),
        ],
        |lines| {
            let finished = sshd.knowing(&env, sshd.url(&repo.path), &lines).arg("--ssh-key-file").arg(&key);
            let finished = finished.one_time().run();
            assert_eq!(finished.code, Some(0), "{lines}: {}", finished.stderr);
        },
    );
    env.assert_published(&repo, &repo.head());
}

#[test]
fn an_unknown_changed_or_revoked_host_key_is_refused_with_its_fingerprint() {
    let env = Env::new();
    let (repo, sshd) = (env.repo("up"), Sshd::start(&env));
    sshd.authorized_key();
    let other = fs::read_to_string(with_suffix(&sshd.key("other", &["-t", "ed25519"]), ".pub")).unwrap();
    let (name, line) = (sshd.name(), sshd.host_line("ed25519"));
    let revoked = line.replacen(&name, "@revoked *", 1);
    each_row(
        [
            (String::new(), "is not in"),
            (format!("!{line}"), "is not in"),
            (format!("127.0.0.1 {other}"), "is not in"),
            (format!("{name} {other}"), "has changed"),
            (format!("{line}{revoked}"), "is revoked"),
            (format!("@cert-authority {line}"), "is not in"),
            (format!("{line}@revoked * ssh-ed25519 garbage\n"), "revokes a key that cannot be read"),
            (format!("{line}@revokd * {other}"), "unknown marker"),
        ],
        |(lines, expected)| {
            let log = sshd
                .knowing(&env, sshd.url(&repo.path), &lines)
                .arg("--ssh-key-file")
                .arg(sshd.path("key"))
                .fail();
            assert!(log.contains(expected), "{expected}: {log}");
            assert!(log.contains(sshd.path("known_hosts").to_str().unwrap()), "{log}");
            if expected.starts_with("is ") || expected.starts_with("has") {
                let shown = format!("it presented ssh-ed25519 {}", fingerprint(&sshd.path("host_ed25519")));
                assert!(log.contains(&format!("the host key of {name} ")) && log.contains(&shown), "{log}");
            }
        },
    );
    let log = env.syncline(sshd.url(&repo.path)).arg("--ssh-known-hosts-file=/nonexistent/kh").fail();
    assert!(
        log.contains("/nonexistent/kh") && log.contains("name a file that holds the server's key"),
        "{log}"
    );
    assert_eq!(sshd.logins(), 0);
    assert!(env.published().is_none());
}

#[test]
fn host_keys_can_be_left_unchecked_with_a_warning() {
    let env = Env::new();
    let (repo, sshd) = (env.repo("up"), Sshd::start(&env));
    let key = sshd.authorized_key();
    let syncline = env.syncline(sshd.url(&repo.path)).arg("--ssh-known-hosts=false");
    let finished = syncline.arg("--ssh-key-file").arg(key).sync();
    assert_eq!(finished.stderr.matches("--ssh-known-hosts is off").count(), 1, "{}", finished.stderr);
    env.assert_published(&repo, &repo.head());
}

#[test]
fn a_host_certificate_is_judged_by_authority_name_and_time() {
    let env = Env::new();
    let repo = env.repo("up");
    let settings = "AcceptEnv GIT_PROTOCOL\nHostCertificate DIR/host_ed25519-cert.pub";
    let mut sshd = Sshd::with(&env, &["ed25519"], settings);
    let (ca, other) = (sshd.key("ca", &["-t", "ecdsa"]), sshd.key("ca2", &["-t", "ecdsa"]));
    sshd.authorized_key();
    let authority = |sshd: &Sshd, ca: &Path| {
        let key = fs::read_to_string(with_suffix(ca, ".pub")).unwrap();
        format!("@cert-authority {} {key}", sshd.name())
    };
    let certify = |sshd: &mut Sshd, signer: &Path, options: &[&str]| {
        let public = sshd.path("host_ed25519.pub");
        let base = ["-q", "-s", signer.to_str().unwrap(), "-I", "host"];
        keygen(&[&base, options, &[public.to_str().unwrap()]].concat());
        sshd.restart();
    };
    each_row(
        [
            (&ca, &["-h", "-n", "127.0.0.1", "-V", "-1h:+1h"][..], None),
            (&ca, &["-h", "-n", "example.com,127.0.0.*"], None),
            (&ca, &["-h", "-n", "example.com"], Some("is for example.com only")),
            (&ca, &["-h", "-n", "127.0.0.1", "-V", "-2h:-1h"], Some("has expired")),
            (&ca, &["-h", "-n", "127.0.0.1", "-V", "+1h:+2h"], Some("is not valid yet")),
            (&other, &["-h", "-n", "127.0.0.1"], Some("is not in")),
        ],
        |(signer, options, expected)| {
            certify(&mut sshd, signer, options);
            let lines = authority(&sshd, &ca);
            let syncline = sshd.knowing(&env, sshd.url(&repo.path), &lines);
            let finished = syncline.arg("--ssh-key-file").arg(sshd.path("key")).one_time().run();
            match expected {
                None => assert_eq!(finished.code, Some(0), "{options:?}: {}", finished.stderr),
                Some(text) => {
                    assert!(
                        finished.code == Some(1) && finished.stderr.contains(text),
                        "{}",
                        finished.stderr
                    );
                }
            }
        },
    );
    // The key that an expired certificate or an unknown authority's is for may be known by itself.
    certify(&mut sshd, &ca, &["-h", "-n", "127.0.0.1", "-V", "-2h:-1h"]);
    let lines = format!("{}{}", authority(&sshd, &ca), sshd.host_line("ed25519"));
    sshd.knowing(&env, sshd.url(&repo.path), &lines).arg("--ssh-key-file").arg(sshd.path("key")).sync();
    certify(&mut sshd, &other, &["-h", "-n", "127.0.0.1"]);
    sshd.syncline(&env, sshd.url(&repo.path)).sync();
    env.assert_published(&repo, &repo.head());
    // A revoked authority counts no more.
    let lines = authority(&sshd, &other);
    let revoked = format!("{lines}{}", lines.replace("@cert-authority", "@revoked"));
    let log =
        sshd.knowing(&env, sshd.url(&repo.path), &revoked).arg("--ssh-key-file").arg(sshd.path("key")).fail();
    assert!(log.contains("is revoked"), "{log}");
}

#[test]
fn keys_and_known_hosts_may_change_without_a_restart() {
    let env = Env::new();
    let (repo, mut sshd) = (env.repo("up"), Sshd::start(&env));
    sshd.authorized_key();
    let running = sshd.syncline(&env, sshd.url(&repo.path)).arg("--period=50ms").arg("-v1").spawn();
    running.wait_for_times("nothing new", 2);
    // A new key for the user, a new one for the host.
    for file in ["key", "key.pub"] {
        fs::remove_file(sshd.path(file)).unwrap();
    }
    sshd.authorized_key();
    sshd.make_host_key("ed25519");
    sshd.known_hosts(&sshd.host_line("ed25519"));
    sshd.restart();
    let commit = repo.commit(&[("file", "two")]);
    eventually("publication", || (env.published()? == commit).then_some(()));
    env.assert_published(&repo, &commit);
    assert!(running.log().contains("published"), "{}", running.log());
    assert_eq!(sshd.logins(), 2, "{}", sshd.log());
}

#[test]
fn a_kept_session_ends_when_its_host_key_is_revoked_or_its_key_replaced() {
    let env = Env::new();
    for settings in ["AcceptEnv GIT_PROTOCOL", ""] {
        let (repo, sshd) = (env.repo("up"), Sshd::with(&env, &["ed25519"], settings));
        let key = sshd.authorized_key();
        let running = sshd.syncline(&env, sshd.url(&repo.path)).arg("--period=50ms").arg("-v1").spawn();
        running.wait_for_times("nothing new", 2);
        let line = sshd.host_line("ed25519");
        let revoked = line.replacen(&sshd.name(), "@revoked *", 1);
        sshd.known_hosts(&format!("{line}{revoked}"));
        running.wait_for("is revoked");
        assert_eq!(sshd.logins(), 1, "{}", sshd.log());

        sshd.known_hosts(&line);
        let commit = repo.commit(&[("file", settings)]);
        eventually("publication", || (env.published()? == commit).then_some(()));
        for file in [&key, &with_suffix(&key, ".pub")] {
            fs::remove_file(file).unwrap();
        }
        sshd.key("key", &["-t", "ed25519"]);
        running.wait_for("refuses user");
        assert_eq!(sshd.logins(), 2, "{}", sshd.log());
        drop((running, sshd));
        fs::remove_dir_all(env.path(".sshd")).unwrap();
        fs::remove_dir_all(env.path("up")).unwrap();
    }
}
