use super::*;

/// A repository with one more option, whose value holds `canary`.
fn with(option: &str) -> String {
    format!("repos:\n  a:\n    repo: https://h/x\n    {option}\n")
}

#[test]
fn secrets_do_not_stand_in_the_file_and_are_not_quoted() {
    for (option, fault) in [
        (
            "password: canary",
            "password: does not belong in this file; use password-file, or set GITSYNC_PASSWORD",
        ),
        ("bearer-token: canary", "bearer-token: does not belong in this file; use bearer-token-file, or set"),
        ("github-app-private-key: |\n      canary\n      canary", "github-app-private-key: does not belong"),
        (
            "credential: '{\"url\":\"https://h/\",\"username\":\"u\",\"password\":\"canary\"}'",
            "credential: has a secret, which does not belong in this file; use its password-file",
        ),
        ("credential: ['{\"url\":\"https://h/\",\"bearer-token\":\"canary\"}']", "credential: has a secret"),
        ("lfs-url: https://u:canary@h/x\n    lfs: on", "lfs-url: has a URL with a password"),
        ("https-proxy: http://u:canary@h", "https-proxy: has a URL with a password"),
        ("webhook-url: https://u:canary@h/", "webhook-url: has a URL with a password"),
        ("git-config: 'http.proxy:\"http://u:canary@h\"'", "git-config: has a URL with a password"),
        (
            "git-config: ['http.userAgent:x', '\"http.extraHeader\":\"Authorization: canary\"']",
            "git-config: has a header with a login",
        ),
        (
            "git-config-add: ['\"http.extraHeader\":\"Authorization: canary\"']",
            "git-config-add: has a header",
        ),
    ] {
        let found = faults(&with(option));
        assert!(found[0].starts_with(&format!("F:4: a: {fault}")), "{option}: {found:?}");
        assert!(!found.concat().contains("canary"), "{found:?}");
    }
    let found = faults("repos:\n  a: {repo: 'https://u:canary@h/x'}\n");
    assert!(found.len() == 1 && found[0].starts_with("F:2: a: repo: has a URL with a password"), "{found:?}");
    let oauth = "oauth-token-url: https://h/\n    oauth-client-id: i\n    oauth-client-secret-file: f\n    oauth-parameter: client_secret=canary";
    let found = faults(&with(oauth));
    assert!(found.len() == 1 && found[0].starts_with("F:7: a: oauth-parameter: has a secret"), "{found:?}");
    let found = faults("defaults: {password: canary}\nrepos: {}\n");
    assert!(found.len() == 1 && !found[0].contains("canary"), "{found:?}");
}

#[test]
fn a_broken_value_is_not_quoted_either() {
    for option in [
        "credential: canary",
        "credential: '{\"url\":\"canary\",\"username\":\"u\",\"password-file\":\"f\"}'",
        "oauth-token-url: http://canary/",
        "webhook-url: canary",
        "askpass-url: ftp://canary",
        "git-config: canary",
        "git-config-add: ['canary']",
        "https-proxy: ftp://canary",
    ] {
        let found = faults(&with(option));
        assert!(
            found.iter().any(|fault| fault.starts_with("F:4: a: ")) && !found.concat().contains("canary"),
            "{option}: {found:?}"
        );
    }
    let found = faults("repos:\n  a: {repo: 'ftp://canary:canary@h/x'}\n");
    assert!(!found.concat().contains("canary"), "{found:?}");
}

#[test]
fn nothing_that_is_printed_shows_a_secret() {
    let set = [("GITSYNC_PASSWORD", "canary"), ("GITSYNC_USERNAME", "u")];
    let config =
        Home::new().judge(TWO, &["--credential={\"url\":\"https://c/\",\"bearer-token\":\"canary\"}"], &set);
    let config = config.unwrap();
    assert!(!format!("{config:?}").contains("canary"));
    assert!(format!("{:?}", config.repos[0].given).contains("password"));
}
