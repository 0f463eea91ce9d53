//! SSH servers that are particular about their algorithms.

use std::fs;

use crate::support::*;

#[test]
fn every_algorithm_that_is_not_broken_is_enough() {
    let env = Env::new();
    let repo = env.repo("up");
    for setting in [
        "KexAlgorithms curve25519-sha256@libssh.org",
        "KexAlgorithms ecdh-sha2-nistp256",
        "KexAlgorithms ecdh-sha2-nistp384",
        "KexAlgorithms ecdh-sha2-nistp521",
        "KexAlgorithms diffie-hellman-group-exchange-sha256",
        "KexAlgorithms diffie-hellman-group14-sha256",
        "KexAlgorithms diffie-hellman-group16-sha512",
        "Ciphers chacha20-poly1305@openssh.com",
        "Ciphers aes128-gcm@openssh.com",
        "Ciphers aes256-gcm@openssh.com",
        "Ciphers aes128-ctr",
        "Ciphers aes192-ctr\nMACs hmac-sha1",
        "Ciphers aes256-ctr\nMACs hmac-sha1-etm@openssh.com",
        "Ciphers aes128-ctr\nMACs hmac-sha2-256",
        "Ciphers aes128-ctr\nMACs hmac-sha2-512",
        "Ciphers aes128-ctr\nMACs hmac-sha2-256-etm@openssh.com",
        "Ciphers aes128-ctr\nMACs hmac-sha2-512-etm@openssh.com",
        // No cipher of this kind has a MAC beside it.
        "Ciphers aes128-gcm@openssh.com\nMACs umac-64@openssh.com",
    ] {
        let sshd = Sshd::with(&env, &["ed25519"], &format!("AcceptEnv GIT_PROTOCOL\n{setting}"));
        sshd.authorized_key();
        let finished = sshd.syncline(&env, sshd.url(&repo.path)).one_time().run();
        assert_eq!(finished.code, Some(0), "{setting}: {}", finished.stderr);
        drop(sshd);
        fs::remove_dir_all(env.path(".sshd")).unwrap();
    }
    env.assert_published(&repo, &repo.head());
}

#[test]
fn a_server_without_a_known_algorithm_is_refused_with_both_lists() {
    let env = Env::new();
    let repo = env.repo("up");
    each_row(
        [
            (
                "KexAlgorithms diffie-hellman-group14-sha1",
                "share no key exchange algorithm: it offers diffie-hellman-group14-sha1; ",
                "ecdh-sha2-nistp256,",
            ),
            ("Ciphers aes128-cbc", "share no cipher algorithm: it offers aes128-cbc; ", "aes128-ctr,"),
            (
                "Ciphers aes128-ctr\nMACs umac-64@openssh.com",
                "share no MAC algorithm: it offers umac-64@openssh.com; ",
                "hmac-sha2-512,",
            ),
            ("HostKeyAlgorithms ssh-rsa", "share no host key algorithm: it offers ssh-rsa; ", "rsa-sha2-256"),
        ],
        |(setting, theirs, ours)| {
            let sshd = Sshd::with(&env, &["ed25519", "rsa"], setting);
            sshd.authorized_key();
            let log = sshd.syncline(&env, sshd.url(&repo.path)).fail();
            assert!(
                log.contains(theirs) && log.contains(ours) && !log.contains("kex-strict"),
                "{setting}: {log}"
            );
            drop(sshd);
            fs::remove_dir_all(env.path(".sshd")).unwrap();
        },
    );
}
