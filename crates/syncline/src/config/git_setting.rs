//! `--git-config`, `--git-config-add` and `GIT_CONFIG_COUNT`: settings, and git-sync's grammar for them.

use crate::origin::Origin;

/// One setting, `section.scope.name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSetting {
    /// The option or variable that it came from.
    pub origin: Origin,
    pub section: String,
    pub scope: Option<String>,
    pub name: String,
    pub value: String,
}

impl GitSetting {
    /// Its name without the scope, which may contain a secret.
    pub fn shown(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// Whether it has this name, for any scope; Git ignores the case of both parts.
    pub fn is(&self, name: &str) -> bool {
        self.shown().eq_ignore_ascii_case(name)
    }
}

/// The settings of a text. Errors quote nothing of it, since it may contain secrets.
pub fn settings(origin: &Origin, text: &str) -> Result<Vec<GitSetting>, String> {
    let pairs = pairs(text)?;
    let named = |(at, (key, value)): (usize, (String, String))| {
        setting(origin, &key, value)
            .ok_or_else(|| format!("pair {} has a key that is not valid in Git", at + 1))
    };
    pairs.into_iter().enumerate().map(named).collect()
}

/// One setting, if the key is valid in Git.
pub fn setting(origin: &Origin, key: &str, value: String) -> Option<GitSetting> {
    let (section, rest) = key.split_once('.')?;
    let (scope, name) =
        rest.rsplit_once('.').map_or((None, rest), |(scope, name)| (Some(scope.into()), name));
    let is_word = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let is_whole = !section.is_empty() && name.starts_with(|c: char| c.is_ascii_alphabetic());
    (is_whole && is_word(section) && is_word(name)).then(|| GitSetting {
        origin: origin.clone(),
        section: section.into(),
        scope,
        name: name.into(),
        value,
    })
}

/// Pairs in git-sync's grammar: `key:value,"key":"value"`, with `\n`, `\t`, `\"`, `\,` and `\\` as escapes.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut rest: Vec<char> = text.chars().rev().collect();
    let mut pairs = Vec::new();
    while !rest.is_empty() {
        let pair = key(&mut rest).and_then(|key| Ok((key, value(&mut rest)?)));
        pairs.push(pair.map_err(|error| format!("pair {} {error}", pairs.len() + 1))?);
    }
    Ok(pairs)
}

fn key(rest: &mut Vec<char>) -> Result<String, &'static str> {
    const NO_COLON: &str = "has no colon after its key";
    if rest.last() == Some(&'"') {
        rest.pop();
        let key = quoted(rest)?;
        return if rest.pop() == Some(':') { Ok(key) } else { Err(NO_COLON) };
    }
    let mut key = String::new();
    loop {
        match rest.pop() {
            Some(':') => return Ok(key),
            Some(c) => key.push(c),
            None => return Err(NO_COLON),
        }
    }
}

fn value(rest: &mut Vec<char>) -> Result<String, &'static str> {
    let first = rest.pop().ok_or("has no value")?;
    if first == '"' {
        let value = quoted(rest)?;
        return match rest.pop() {
            None | Some(',') => Ok(value),
            Some(_) => Err("has more after its quoted value"),
        };
    }
    // The first character is taken literally.
    let mut value = String::from(first);
    loop {
        match rest.pop() {
            None | Some(',') => return Ok(value),
            Some('\\') => value.push(escaped(rest)?),
            Some(c) => value.push(c),
        }
    }
}

fn quoted(rest: &mut Vec<char>) -> Result<String, &'static str> {
    let mut text = String::new();
    loop {
        match rest.pop() {
            Some('"') => return Ok(text),
            Some('\\') => text.push(escaped(rest)?),
            Some(c) => text.push(c),
            None => return Err("has a quotation mark that is not closed"),
        }
    }
}

fn escaped(rest: &mut Vec<char>) -> Result<char, &'static str> {
    match rest.pop() {
        Some('n') => Ok('\n'),
        Some('t') => Ok('\t'),
        Some(c @ ('"' | ',' | '\\')) => Ok(c),
        Some(_) => Err("has an escape that is unknown"),
        None => Err("ends in a backslash"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(pairs(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn faults_name_the_place_and_quote_nothing() {
        let origin = Origin::CommandLine("--git-config".into());
        for (text, error) in [
            ("canary", "pair 1 has no colon after its key"),
            ("a.b:c,canary:", "pair 2 has no value"),
            (r#"a.b:c,"canary:c"#, "pair 2 has a quotation mark that is not closed"),
            (r#""canary"v"#, "pair 1 has no colon after its key"),
            (r#"k:"canary"canary"#, "pair 1 has more after its quoted value"),
            (r"k:canary\canary", "pair 1 has an escape that is unknown"),
            (r"k:canary\", "pair 1 ends in a backslash"),
            ("a.b:c,canary:v", "pair 2 has a key that is not valid in Git"),
            (r#""http.https://u:p.canary@h/":v"#, "pair 1 has a key that is not valid in Git"),
            ("canary.:v", "pair 1 has a key that is not valid in Git"),
            ("a canary.b:v", "pair 1 has a key that is not valid in Git"),
        ] {
            assert_eq!(settings(&origin, text), Err(error.into()), "{text}");
        }
    }
}
