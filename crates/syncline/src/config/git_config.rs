//! `--git-config` and `--git-config-add`: git-sync's grammar for pairs of keys and values, and what of git's
//! configuration means something here.

use std::path::Path;

use sync_core::{Allowed, ConnectOptions, HttpSetting};

/// Pairs in git-sync's grammar: `key:value,"key":"value"`, with `\n`, `\t`, `\"`, `\,` and `\\` as escapes.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut rest: Vec<char> = text.chars().rev().collect();
    let mut pairs = Vec::new();
    while !rest.is_empty() {
        let key = key(&mut rest)?;
        let value = value(&mut rest, &key)?;
        pairs.push((key, value));
    }
    Ok(pairs)
}

fn key(rest: &mut Vec<char>) -> Result<String, String> {
    if rest.last() == Some(&'"') {
        rest.pop();
        let key = quoted(rest)?;
        return match rest.pop() {
            Some(':') => Ok(key),
            _ => Err(format!("the key {key:?} is not followed by a colon")),
        };
    }
    let mut key = String::new();
    loop {
        match rest.pop() {
            Some(':') => return Ok(key),
            Some(c) => key.push(c),
            None => return Err(format!("the key {key:?} has no colon after it")),
        }
    }
}

fn value(rest: &mut Vec<char>, key: &str) -> Result<String, String> {
    let Some(first) = rest.pop() else { return Err(format!("the key {key:?} has no value")) };
    if first == '"' {
        let value = quoted(rest)?;
        return match rest.pop() {
            None | Some(',') => Ok(value),
            Some(c) => Err(format!("{c:?} follows the quoted value of {key:?}")),
        };
    }
    // The first character stands for itself.
    let mut value = String::from(first);
    loop {
        match rest.pop() {
            None | Some(',') => return Ok(value),
            Some('\\') => value.push(escaped(rest)?),
            Some(c) => value.push(c),
        }
    }
}

fn quoted(rest: &mut Vec<char>) -> Result<String, String> {
    let mut text = String::new();
    loop {
        match rest.pop() {
            Some('"') => return Ok(text),
            Some('\\') => text.push(escaped(rest)?),
            Some(c) => text.push(c),
            None => return Err("a quotation mark is not closed".into()),
        }
    }
}

fn escaped(rest: &mut Vec<char>) -> Result<char, String> {
    match rest.pop() {
        Some('n') => Ok('\n'),
        Some('t') => Ok('\t'),
        Some(c @ ('"' | ',' | '\\')) => Ok(c),
        Some(c) => Err(format!("the escape \\{c} is unknown")),
        None => Err("a backslash stands at the end".into()),
    }
}

/// What has nothing to do here: what these are for cannot arise, or is done in another way.
const WITHOUT_EFFECT: [&str; 12] = [
    "safe.directory",
    "gc.auto",
    "gc.autodetach",
    "gc.pruneexpire",
    "core.askpass",
    "credential.helper",
    "http.postbuffer",
    "http.version",
    "http.maxrequests",
    "http.minsessions",
    "protocol.version",
    "url.pushinsteadof",
];

/// Apply the settings that a fetch can heed, the later ones over the earlier; the rest are named in warnings.
/// Values may be secret and are not named. Relative paths are taken from `cwd`.
pub fn apply(pairs: &[(String, String)], cwd: &Path, connect: &mut ConnectOptions) -> Vec<String> {
    let mut warnings = Vec::new();
    for (key, value) in pairs {
        let (section, rest) = key.split_once('.').unwrap_or((key, ""));
        let (scope, name) = rest.rsplit_once('.').map_or((None, rest), |(scope, name)| (Some(scope), name));
        let setting = format!("{}.{}", section.to_ascii_lowercase(), name.to_ascii_lowercase());
        let scope = scope.map(ToOwned::to_owned);
        match (setting.as_str(), scope) {
            ("url.insteadof", Some(base)) => connect.rewrites.push((value.clone(), base)),
            ("protocol.allow", name) => match allowed(value) {
                Some(allowed) => connect.protocols.push((name, allowed)),
                None => warnings.push(format!("--git-config: {key} is neither always, user nor never")),
            },
            // `login` heeds it.
            ("http.cookiefile", None) => {}
            (name, _) if WITHOUT_EFFECT.contains(&name) => {}
            (name, scope) => match http_setting(name, value, cwd) {
                Ok(Some(setting)) => connect.http.push((scope.unwrap_or_default(), setting)),
                Ok(None) => warnings.push(format!("--git-config: {key} means nothing here")),
                Err(fault) => warnings.push(format!("--git-config: {key} {fault}")),
            },
        }
    }
    if connect.http.iter().any(|(_, setting)| *setting == HttpSetting::Verify(false)) {
        warnings.push(
            "--git-config: http.sslVerify is off: anybody on the way can read and change what is synced"
                .into(),
        );
    }
    warnings
}

fn http_setting(name: &str, value: &str, cwd: &Path) -> Result<Option<HttpSetting>, String> {
    Ok(Some(match name {
        "http.extraheader" => HttpSetting::Header(value.into()),
        "http.sslcainfo" => HttpSetting::CaFile(cwd.join(value)),
        "http.sslcert" => HttpSetting::ClientCert(cwd.join(value)),
        "http.sslkey" => HttpSetting::ClientKey(cwd.join(value)),
        "http.sslverify" => HttpSetting::Verify(!is_false(value)),
        "http.proxy" if value.is_empty() => HttpSetting::Proxy(None),
        "http.proxy" => HttpSetting::Proxy(Some(value.parse()?)),
        "http.useragent" => HttpSetting::UserAgent(value.into()),
        _ => return Ok(None),
    }))
}

fn is_false(value: &str) -> bool {
    ["false", "no", "off", "0", ""].contains(&value.to_ascii_lowercase().as_str())
}

fn allowed(value: &str) -> Option<Allowed> {
    match value {
        "always" => Some(Allowed::Always),
        "user" => Some(Allowed::User),
        "never" => Some(Allowed::Never),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"))
    }

    #[test]
    fn the_grammar_is_git_syncs() {
        for (text, expected) in [
            ("", &[][..]),
            ("k:v", &[("k", "v")]),
            ("k:v,", &[("k", "v")]),
            ("k1:v1,k2:v2", &[("k1", "v1"), ("k2", "v2")]),
            ("k: v w ", &[("k", " v w ")]),
            (r#""k:1":"v,1""#, &[("k:1", "v,1")]),
            (r#""k\"x":v\,w\n\t\\"#, &[("k\"x", "v,w\n\t\\")]),
            (r#"k:"""#, &[("k", "")]),
            ("k:,x:y", &[("k", ",x:y")]),
            (r"k\n:v", &[("k\\n", "v")]),
            ("a,b:c", &[("a,b", "c")]),
            (r#"k:v"w"#, &[("k", "v\"w")]),
        ] {
            let expected: Vec<_> = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            assert_eq!(pairs(text), expected, "{text}");
        }
        for text in ["k", "k:", r#""k":"v"#, r#""k"v"#, r#"k:"v"w"#, r"k:vv\x", r"k:v\", r#""k"#] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn settings_of_a_fetch_are_honoured_and_others_named() {
        let given = "HTTP.extraHeader:X: 1,\"http.https://h/.extraHeader\":Y: 2,http.sslCAInfo:ca.pem,\
                     \"url.https://mirror/.insteadOf\":\"https://origin/\",safe.directory:*,user.name:me,\
                     protocol.allow:never,protocol.file.allow:always,\"http.https://h/.sslVerify\":no,\
                     http.proxy:\"socks5://p\",http.userAgent:me,http.sslCert:/c,http.proxy:\"\",http.proxy:ftp://x";
        let mut connect = ConnectOptions::default();
        let warnings = apply(&pairs(given), "/cwd".as_ref(), &mut connect);
        let starts = [
            "--git-config: user.name means",
            "--git-config: http.proxy has an unknown",
            "--git-config: http.ssl",
        ];
        assert!(
            warnings.len() == 3 && starts.iter().zip(&warnings).all(|(start, text)| text.starts_with(start)),
            "{warnings:?}"
        );
        let expected = [
            ("", HttpSetting::Header("X: 1".into())),
            ("https://h/", HttpSetting::Header("Y: 2".into())),
            ("", HttpSetting::CaFile("/cwd/ca.pem".into())),
            ("https://h/", HttpSetting::Verify(false)),
            ("", HttpSetting::Proxy(Some("socks5://p".parse().unwrap()))),
            ("", HttpSetting::UserAgent("me".into())),
            ("", HttpSetting::ClientCert("/c".into())),
            ("", HttpSetting::Proxy(None)),
        ];
        assert_eq!(connect.http, expected.map(|(scope, setting)| (scope.to_owned(), setting)));
        assert_eq!(connect.rewrites, [("https://origin/".into(), "https://mirror/".to_owned())]);
        assert_eq!(connect.protocols, [(None, Allowed::Never), (Some("file".into()), Allowed::Always)]);
    }
}
