//! `--git-config` and `--git-config-add`: git-sync's grammar for pairs of keys and values, and what of git's
//! configuration means something here.

use sync_core::ConnectOptions;

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

/// Honour what a fetch can honour; returns a warning for everything else. Values may be secret and are not named.
pub fn apply(pairs: &[(String, String)], connect: &mut ConnectOptions) -> Vec<String> {
    let mut warnings = Vec::new();
    for (key, value) in pairs {
        let (section, rest) = key.split_once('.').unwrap_or((key, ""));
        let (scope, name) = rest.rsplit_once('.').map_or((None, rest), |(scope, name)| (Some(scope), name));
        let setting = format!("{}.{}", section.to_ascii_lowercase(), name.to_ascii_lowercase());
        let is_false = ["false", "no", "off", "0", ""].contains(&value.to_ascii_lowercase().as_str());
        match (setting.as_str(), scope) {
            ("http.extraheader", scope) => {
                connect.headers.push((scope.unwrap_or_default().into(), value.clone()))
            }
            ("http.sslcainfo", None) => connect.ca_files.push(value.into()),
            ("http.sslverify", None) => connect.insecure = is_false,
            ("url.insteadof", Some(base)) => connect.rewrites.push((value.clone(), base.to_owned())),
            ("protocol.allow", None | Some("file")) => connect.allow_local_submodules = value == "always",
            // What they are for cannot arise here.
            ("safe.directory" | "gc.auto" | "gc.autodetach" | "gc.pruneexpire" | "core.askpass", _) => {}
            _ => warnings.push(format!("--git-config: {key} means nothing here")),
        }
    }
    if connect.insecure {
        warnings.push(
            "--git-config: http.sslVerify is off: anybody on the way can read and change what is synced"
                .into(),
        );
    }
    warnings
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
        let mut connect = ConnectOptions::default();
        let given = "HTTP.extraHeader:X: 1,\"http.https://h/.extraHeader\":Y: 2,http.sslCAInfo:/ca.pem,\
                     \"url.https://mirror/.insteadOf\":\"https://origin/\",safe.directory:*,user.name:me";
        let warnings = apply(&pairs(given), &mut connect);
        assert_eq!(warnings, ["--git-config: user.name means nothing here"]);
        assert_eq!(connect.headers, [("".into(), "X: 1".into()), ("https://h/".into(), "Y: 2".to_owned())]);
        assert_eq!(connect.rewrites, [("https://origin/".into(), "https://mirror/".to_owned())]);
        assert_eq!(connect.ca_files, ["/ca.pem"].map(std::path::PathBuf::from));
        assert_eq!(apply(&pairs("http.sslVerify:false"), &mut connect).len(), 1);
        assert!(connect.insecure);
    }
}
