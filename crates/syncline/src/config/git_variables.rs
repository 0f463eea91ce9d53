//! What Git's own variables mean. They beat `--git-config`, as in Git, but not the options.

use sync_core::{ConnectOptions, HttpSetting, ProtocolPolicy};

use super::git_config::is_false;
use super::git_setting::{GitSetting, setting};
use crate::options::CLIENT_CERT_FILE;
use crate::options::git_variables::{MOST_PAIRS, UNSUPPORTED, pairs};
use crate::origin::Origin;
use crate::reader::OptionReader;

/// The settings that `GIT_CONFIG_COUNT` announces: they come after those of files, and so of `--git-config`.
pub fn settings(r: &mut OptionReader) -> Vec<GitSetting> {
    let Some(count) = r.variable("GIT_CONFIG_COUNT") else { return Vec::new() };
    let Some(pairs) = pairs(&count) else {
        r.error_at(
            &variable("GIT_CONFIG_COUNT"),
            format!("{count:?} is not a number of at most {MOST_PAIRS}"),
        );
        return Vec::new();
    };
    let mut settings = Vec::new();
    for (key_name, value_name) in pairs {
        match (r.variable(&key_name), r.variable(&value_name)) {
            (Some(key), Some(value)) => match setting(&variable(&key_name), &key, value) {
                Some(setting) => settings.push(setting),
                None => r.error_at(&variable(&key_name), "is not a valid key of Git"),
            },
            (key, value) => {
                let missing = [(key, key_name), (value, value_name)];
                for (_, name) in missing.into_iter().filter(|(given, _)| given.is_none()) {
                    r.error_at(
                        &variable(&name),
                        "is missing (or not UTF-8), although GIT_CONFIG_COUNT announces it",
                    );
                }
            }
        }
    }
    settings
}

fn variable(name: &str) -> Origin {
    Origin::Environment(name.to_owned())
}

/// Apply the others, and warn of those that have no effect.
pub fn apply(r: &mut OptionReader, connect: &mut ConnectOptions) {
    certificates(r, connect);
    if let Some(agent) = r.variable("GIT_HTTP_USER_AGENT").filter(|agent| !agent.is_empty()) {
        connect.http_overrides.push(HttpSetting::UserAgent(agent));
    }
    match r.variable("GIT_SSL_NO_VERIFY") {
        Some(value) if is_false(&value) => {
            r.warn(
                "GIT_SSL_NO_VERIFY: certificates are checked; Git ignores the value and would not check them",
            );
        }
        Some(_) => {
            connect.http_overrides.push(HttpSetting::Verify(false));
            r.warn("GIT_SSL_NO_VERIFY is set: an attacker on the network can read and change what is synced");
        }
        None => {}
    }
    if let Some(names) = r.variable("GIT_ALLOW_PROTOCOL") {
        let named = names.split(':').map(|name| (Some(name.to_owned()), ProtocolPolicy::Always));
        connect.protocols = std::iter::once((None, ProtocolPolicy::Never)).chain(named).collect();
    }
    let unsupported = UNSUPPORTED.into_iter().filter(|name| r.variable_path(name).is_some());
    let unsupported: Vec<&str> = unsupported.collect();
    if !unsupported.is_empty() {
        r.warn(format!("{}: variables of Git that have no effect here", unsupported.join(", ")));
    }
}

fn certificates(r: &OptionReader, connect: &mut ConnectOptions) {
    let mut trust = |setting| connect.http.push((None, setting));
    for name in ["GIT_SSL_CAINFO", "CURL_CA_BUNDLE", "SSL_CERT_FILE"] {
        r.variable_path(name).map(HttpSetting::CaFile).into_iter().for_each(&mut trust);
    }
    r.variable_path("GIT_SSL_CAPATH").map(HttpSetting::CaDirectory).into_iter().for_each(&mut trust);
    let directories = r.environment.value("SSL_CERT_DIR").filter(|list| !list.is_empty());
    for directory in directories.iter().flat_map(std::env::split_paths) {
        trust(HttpSetting::CaDirectory(r.absolute(directory)));
    }
    r.variable_path("GIT_PROXY_SSL_CAINFO").map(HttpSetting::ProxyCaFile).into_iter().for_each(&mut trust);
    if !r.is_given(&CLIENT_CERT_FILE) {
        connect.http_overrides.extend(r.variable_path("GIT_SSL_CERT").map(HttpSetting::ClientCert));
        connect.http_overrides.extend(r.variable_path("GIT_SSL_KEY").map(HttpSetting::ClientKey));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{config, errors};
    use super::*;

    #[test]
    fn variables_of_certificates_name_files_and_directories() {
        let file = |path: &str| HttpSetting::CaFile(path.into());
        let directory = |path: &str| HttpSetting::CaDirectory(path.into());
        for (name, value, expected) in [
            ("GIT_SSL_CAINFO", "/ca.pem", vec![file("/ca.pem")]),
            ("GIT_SSL_CAINFO", "ca.pem\n", vec![file("/cwd/ca.pem")]),
            ("CURL_CA_BUNDLE", "/ca.pem", vec![file("/ca.pem")]),
            ("SSL_CERT_FILE", "/ca.pem", vec![file("/ca.pem")]),
            ("GIT_SSL_CAPATH", "/ca", vec![directory("/ca")]),
            ("SSL_CERT_DIR", "/a:b", vec![directory("/a"), directory("/cwd/b")]),
            ("GIT_PROXY_SSL_CAINFO", "/ca.pem", vec![HttpSetting::ProxyCaFile("/ca.pem".into())]),
            ("GIT_SSL_CAINFO", "", vec![]),
            ("SSL_CERT_FILE", "", vec![]),
            ("SSL_CERT_DIR", "", vec![]),
        ] {
            let config = config(&[], &[(name, value)]).unwrap();
            let given: Vec<_> = config.connect.http.into_iter().map(|(_, setting)| setting).collect();
            assert_eq!(given, expected, "{name}={value}");
            assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        }
    }

    #[test]
    fn variables_beat_settings_but_no_option() {
        let environment = [
            ("GIT_SSL_CERT", "/c"),
            ("GIT_SSL_KEY", "k"),
            ("GIT_HTTP_USER_AGENT", "me"),
            ("GIT_SSL_NO_VERIFY", "true"),
        ];
        let given = "--git-config=http.sslVerify:true,http.userAgent:you,http.sslCert:/other";
        let config_of = |argv: &[&str]| config(argv, &environment).unwrap();
        let overrides = [
            HttpSetting::ClientCert("/c".into()),
            HttpSetting::ClientKey("/cwd/k".into()),
            HttpSetting::UserAgent("me".into()),
            HttpSetting::Verify(false),
        ];
        let config = config_of(&[given]);
        assert_eq!(config.connect.http_overrides, overrides);
        assert!(config.warnings.len() == 1 && config.warnings[0].starts_with("GIT_SSL_NO_VERIFY is set"));
        assert_eq!(config_of(&["--client-cert-file=/mine"]).connect.http_overrides, overrides[2..]);
    }

    #[test]
    fn verification_is_off_only_by_a_value_that_says_so() {
        for (value, is_off) in
            [("1", true), ("true", true), ("x", true), ("0", false), ("false", false), ("", false)]
        {
            let config = config(&[], &[("GIT_SSL_NO_VERIFY", value)]).unwrap();
            assert_eq!(config.connect.http_overrides == [HttpSetting::Verify(false)], is_off, "{value:?}");
            assert_eq!(config.warnings.len(), 1, "{value:?}");
        }
    }

    #[test]
    fn protocols_that_are_not_listed_are_forbidden() {
        let allows = |value: &str, url: &str| {
            let repo = format!("--repo={url}");
            config(
                &[&repo, "--link=x", "--git-config=protocol.http.allow:always"],
                &[("GIT_ALLOW_PROTOCOL", value)],
            )
        };
        assert!(allows("https:ssh", "https://h/x").is_ok() && allows("https:ssh", "ssh://h/x").is_ok());
        for (value, url) in [("https", "http://h/x"), ("", "https://h/x"), ("https:", "/x")] {
            let errors = allows(value, url).unwrap_err();
            assert!(
                errors.len() == 1 && errors[0].contains("which GIT_ALLOW_PROTOCOL forbids"),
                "{errors:?}"
            );
        }
    }

    #[test]
    fn pairs_of_settings_come_after_those_of_options() {
        let environment = [
            ("GIT_CONFIG_COUNT", "3"),
            ("GIT_CONFIG_KEY_0", "http.https://h/.extraHeader"),
            ("GIT_CONFIG_VALUE_0", "X: 1"),
            ("GIT_CONFIG_KEY_1", "http.userAgent"),
            ("GIT_CONFIG_VALUE_1", ""),
            ("GIT_CONFIG_KEY_2", "user.name"),
            ("GIT_CONFIG_VALUE_2", "me"),
            ("GIT_CONFIG_KEY_3", "not.counted"),
        ];
        let config = config(&["--git-config=http.userAgent:me"], &environment).unwrap();
        let agent = |name: &str| (None, HttpSetting::UserAgent(name.into()));
        let header = ("https://h/".parse().ok(), HttpSetting::Header("X: 1".into()));
        assert_eq!(config.connect.http, [agent("me"), header, agent("")]);
        assert_eq!(config.warnings, ["GIT_CONFIG_KEY_2: user.name has no effect here"]);
    }

    #[test]
    fn faults_of_pairs_are_told_together_and_quote_no_value() {
        for (environment, expected) in [
            (&[("GIT_CONFIG_COUNT", "many")][..], &["GIT_CONFIG_COUNT: \"many\" is not a number"][..]),
            (&[("GIT_CONFIG_COUNT", "-1")], &["GIT_CONFIG_COUNT: \"-1\""]),
            (&[("GIT_CONFIG_COUNT", "99999999999999999999")], &["GIT_CONFIG_COUNT: "]),
            (&[("GIT_CONFIG_COUNT", "10001")], &["GIT_CONFIG_COUNT: "]),
            (
                &[("GIT_CONFIG_COUNT", "2"), ("GIT_CONFIG_KEY_0", "a.b"), ("GIT_CONFIG_VALUE_1", "canary")],
                &["GIT_CONFIG_VALUE_0: is missing", "GIT_CONFIG_KEY_1: is missing"],
            ),
            (
                &[
                    ("GIT_CONFIG_COUNT", "1"),
                    ("GIT_CONFIG_KEY_0", "canary"),
                    ("GIT_CONFIG_VALUE_0", "canary"),
                ],
                &["GIT_CONFIG_KEY_0: is not a valid key of Git"],
            ),
            (
                &[
                    ("GIT_CONFIG_COUNT", "1"),
                    ("GIT_CONFIG_KEY_0", "http.proxy"),
                    ("GIT_CONFIG_VALUE_0", "ftp://canary"),
                ],
                &["GIT_CONFIG_KEY_0: http.proxy has an unknown scheme"],
            ),
        ] {
            let errors = errors(&["--depth=x"], environment);
            assert_eq!(errors.len(), expected.len() + 1, "{errors:?}");
            for start in expected {
                assert!(errors.iter().any(|error| error.starts_with(start)), "{start}: {errors:?}");
            }
            assert!(!errors.concat().contains("canary"), "{errors:?}");
        }
        assert!(config(&[], &[("GIT_CONFIG_COUNT", "")]).is_ok(), "git takes it for none");
    }

    #[test]
    fn unsupported_variables_are_named_on_one_line() {
        let environment = UNSUPPORTED.map(|name| (name, "x"));
        let warnings = config(&[], &environment).unwrap().warnings;
        assert_eq!(
            warnings,
            [format!("{}: variables of Git that have no effect here", UNSUPPORTED.join(", "))]
        );
    }

    /// Those that count here. Some of those for certificates are OpenSSL's and curl's.
    const SUPPORTED: [&str; 12] = [
        "GIT_SSL_CAINFO",
        "GIT_SSL_CAPATH",
        "GIT_SSL_CERT",
        "GIT_SSL_KEY",
        "GIT_SSL_NO_VERIFY",
        "GIT_PROXY_SSL_CAINFO",
        "GIT_HTTP_USER_AGENT",
        "GIT_ALLOW_PROTOCOL",
        "GIT_CONFIG_COUNT",
        "CURL_CA_BUNDLE",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ];

    #[test]
    fn the_guide_names_every_variable() {
        let guide = include_str!("../../../../docs/migrating-from-git-sync.md");
        for name in SUPPORTED.iter().chain(&UNSUPPORTED) {
            assert!(guide.contains(&format!("`{name}`")), "{name}");
        }
    }
}
