//! What must not stand in a file that many can read, as a ConfigMap or a repository is. No secret is ever quoted.

use std::ffi::OsStr;

use super::super::git_setting;
use crate::login::has_given_secret;
use crate::options::{CREDENTIAL, GIT_CONFIG, GIT_CONFIG_ADD, OAUTH_PARAMETER, Row, options};
use crate::origin::Origin;

/// Headers that log in.
const SECRET_HEADERS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "private-token"];

/// Fields of a request for a token that log in.
const SECRET_FIELDS: [&str; 6] =
    ["client_secret", "client_assertion", "password", "refresh_token", "subject_token", "assertion"];

/// What to say of an option whose value is a secret.
pub fn misplaced(option: &Row) -> String {
    let file = options().find(|other| is_file_of(other, option));
    let instead = file.map(|file| format!("use {}, or ", file.name)).unwrap_or_default();
    format!("does not belong in this file; {instead}set {}", option.variables()[0])
}

/// Whether an option names a file with the value of another.
pub fn is_file_of(option: &Row, secret: &Row) -> bool {
    option.name.strip_suffix("-file") == Some(secret.name)
}

/// What is wrong with a value that holds a secret, if it does.
pub fn leak(option: &Row, value: &OsStr) -> Option<&'static str> {
    if !option.may_hold_secrets {
        return None;
    }
    let text = value.to_string_lossy();
    if option.name == CREDENTIAL.name && has_given_secret(&text) {
        return Some(
            "has a secret, which does not belong in this file; use its password-file or bearer-token-file",
        );
    }
    if [GIT_CONFIG.name, GIT_CONFIG_ADD.name].contains(&option.name) && has_secret_header(&text) {
        return Some(
            "has a header with a login, which does not belong in this file; use bearer-token-file or password-file",
        );
    }
    if option.name == OAUTH_PARAMETER.name
        && text.split_once('=').is_some_and(|(field, _)| SECRET_FIELDS.contains(&field.trim()))
    {
        return Some(
            "has a secret, which does not belong in this file; use oauth-client-secret-file or \
                     oauth-assertion-file",
        );
    }
    has_password(&text).then_some(
        "has a URL with a password, which does not belong in this file; use username and password-file, credential \
         with a password-file, or the environment",
    )
}

fn has_secret_header(text: &str) -> bool {
    let settings = git_setting::settings(&Origin::Environment(String::new()), text).unwrap_or_default();
    settings.iter().filter(|setting| setting.is("http.extraHeader")).any(|setting| {
        let name = setting.value.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
        SECRET_HEADERS.contains(&name.as_str())
    })
}

/// Whether there is a URL in the text with a login that has a password.
fn has_password(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', '"', ' ', '\t', '\n']).next().unwrap_or_default();
        let login = authority.rsplit_once('@').map(|(login, _)| login);
        login.and_then(|login| login.split_once(':')).is_some_and(|(_, password)| !password.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{HTTPS_PROXY, LFS_URL, REPO, USERNAME, WEBHOOK_URL};

    #[test]
    fn values_with_secrets_are_known() {
        let basic = "\"http.extraHeader\":\"AUTHORIZATION: Basic canary\"";
        for (option, value, leaks) in [
            (REPO.row(), "https://u:canary@h/x", true),
            (REPO.row(), "ssh://u:canary@h/x", true),
            (REPO.row(), "https://u:ca@nary@h", true),
            (REPO.row(), "https://u@h/x", false),
            (REPO.row(), "https://u:@h/x", false),
            (REPO.row(), "https://h:8080/a@b:c", false),
            (REPO.row(), "git@h:a/b", false),
            (LFS_URL.row(), "https://u:canary@h/x", true),
            (HTTPS_PROXY.row(), "socks5://u:canary@h", true),
            (WEBHOOK_URL.row(), "https://h/?u=https://u:canary@h", true),
            (USERNAME.row(), "u:canary@h", false),
            (GIT_CONFIG.row(), basic, true),
            (GIT_CONFIG_ADD.row(), "http.https://h/.extraHeader: Cookie: canary", false),
            (GIT_CONFIG_ADD.row(), "\"http.https://h/.extraHeader\":\" Cookie : canary\"", true),
            (GIT_CONFIG_ADD.row(), "\"url.https://u:canary@h/.insteadOf\":\"x:\"", true),
            (GIT_CONFIG_ADD.row(), "http.extraHeader:X-Any: 1,http.userAgent:authorization", false),
            (OAUTH_PARAMETER.row(), "client_secret=canary", true),
            (OAUTH_PARAMETER.row(), "audience=client_secret", false),
            (CREDENTIAL.row(), r#"{"url":"https://h/","username":"u","password":"canary"}"#, true),
            (CREDENTIAL.row(), r#"[{"url":"https://h/","bearer-token":"canary"}]"#, true),
            (CREDENTIAL.row(), r#"{"url":1,"bearer-token":"canary","bearer-token-file":"/f"}"#, true),
            (CREDENTIAL.row(), r#"{"url":"https://h/","bearer-token-file":"/f"}"#, false),
            (CREDENTIAL.row(), "canary", false),
        ] {
            let leak = leak(option, value.as_ref());
            assert_eq!(leak.is_some(), leaks, "{} {value}", option.name);
            assert!(!leak.unwrap_or_default().contains("canary"));
        }
    }

    #[test]
    fn every_secret_has_a_file_to_name_instead() {
        for option in options().filter(|option| matches!(option.kind, crate::options::Kind::Secret)) {
            assert!(misplaced(option).contains(&format!("use {}-file, or set GITSYNC_", option.name)));
        }
    }
}
