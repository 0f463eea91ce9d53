//! What is wrong is said before anything is touched.

use crate::support::*;

#[test]
fn what_cannot_be_relayed_is_a_fault_of_the_command_line() {
    let env = Env::new();
    let repo = format!("--repo={}", env.path("up").display());
    let (feed, follow) = (&["--relay-role=feed", &repo][..], &["--relay-name=x"][..]);
    let cases: &[(&[&str], &[&str], &str)] = &[
        (&["--relay-name=x", &repo], &[], "--relay-name: needs --relay-url"),
        (&["--relay-url=ftp://h"], follow, "--relay-url"),
        (&["--relay-url=nats://h"], &[], "--relay-name: must be given"),
        (&["--relay-url=nats://h", "--relay-name=A.b"], &[], "lowercase letters, digits and dashes"),
        (&["--relay-url=nats://user:secret@h"], follow, "--relay-username"),
        (&["--relay-url=https://h/x"], feed, "cannot be fed over HTTP"),
        (&["--relay-url=nats://h"], &["--relay-role=feed", "--relay-name=x"], "--repo: must be given"),
        (&["--relay-url=nats://h", "--submodules=recursive"], feed, "packs of submodules are not relayed"),
        (&["--relay-url=nats://h", "--submodules=shallow"], follow, "packs of submodules are not relayed"),
        (&["--relay-url=nats://h", "--filter=blob:none"], feed, "packs are complete"),
        (&["--relay-url=nats://h", "--one-time"], feed, "--one-time: cannot be combined"),
        (&["--relay-url=nats://h", "--lfs=on"], follow, "has no objects of Git LFS"),
        (&["--relay-url=nats://h", "--relay-fallback=1m"], follow, "needs --repo"),
        (&["--relay-url=nats://h", "--relay-sign-key-file=/x"], follow, "is for --relay-role=feed"),
        (&["--relay-url=nats://h", "--relay-key-file=/nowhere"], follow, "/nowhere"),
        (&["--relay-url=nats://h", "--relay-key-file=/x"], feed, "is for --relay-role=follow"),
        (&["--relay-url=nats://h", "--relay-inline=1MiB"], feed, "at most 128KiB"),
        (&["--relay-url=nats://h", "--relay-username=u"], follow, "needs --relay-password-file"),
        (&["--relay-url=nats://h", "--ref-semver=1"], follow, "the feeder chooses"),
    ];
    for (options, more, fault) in cases {
        let root = format!("--root={}", env.root().display());
        let syncline =
            options.iter().chain(*more).fold(Syncline::new().arg(root), |syncline, arg| syncline.arg(arg));
        let log = syncline.fail();
        assert!(log.contains(fault), "{options:?}: {log}");
        assert!(!log.contains("secret@"), "{log}");
        assert!(!env.root().exists());
    }
}

#[test]
fn a_relay_that_cannot_be_reached_is_named_with_what_to_do() {
    let env = Env::new();
    let port = free_port();
    let log = Syncline::new()
        .arg(format!("--root={}", env.root().display()))
        .arg(format!("--relay-url=nats://127.0.0.1:{port}"))
        .arg("--relay-name=site")
        .one_time()
        .fail();
    assert!(log.contains(&format!("127.0.0.1:{port}")), "{log}");
}
