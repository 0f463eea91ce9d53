//! OpenSSH's `allowed_signers`: who may sign with which key, and when. See ssh-keygen(1), "ALLOWED SIGNERS".

use russh::keys::PublicKey;
use russh::keys::ssh_key::public::KeyData;

use crate::wildcards::Patterns;

/// A file of allowed signers.
#[derive(Debug, Default)]
pub(crate) struct AllowedSigners(pub(crate) Vec<AllowedSigner>);

/// A line of such a file.
#[derive(Debug, PartialEq)]
pub(crate) struct AllowedSigner {
    pub(crate) principals: Patterns,
    /// Whether the key signs certificates, and not commits.
    pub(crate) is_authority: bool,
    /// For which purposes; all if `None`.
    pub(crate) namespaces: Option<Patterns>,
    /// When signatures are valid, in seconds since 1970 (UTC), both inclusive.
    pub(crate) valid_after: Option<u64>,
    pub(crate) valid_before: Option<u64>,
    pub(crate) key: KeyData,
}

impl AllowedSigners {
    /// Read the text of a file. A line without principals, as in `authorized_keys`, is a key that anybody may have.
    ///
    /// # Errors
    ///
    /// The first line that cannot be read, with its number. OpenSSH ignores such a line; we do not, since it may be
    /// half-written.
    pub(crate) fn parse(text: &str) -> Result<AllowedSigners, String> {
        let mut all = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                all.push(parse_line(line).map_err(|fault| format!("line {} {fault}", number + 1))?);
            }
        }
        Ok(AllowedSigners(all))
    }
}

fn parse_line(line: &str) -> Result<AllowedSigner, String> {
    let (principals, options, key) = match parse_key(line) {
        Ok(key) => ("*", "", key),
        Err(_) => {
            let (principals, rest) = split_word(line)?;
            match parse_key(rest) {
                Ok(key) => (principals, "", key),
                Err(_) => {
                    let (options, rest) = split_word(rest)?;
                    (principals, options, parse_key(rest)?)
                }
            }
        }
    };
    let mut signer = AllowedSigner {
        principals: Patterns::new(principals.trim_matches('"')),
        is_authority: false,
        namespaces: None,
        valid_after: None,
        valid_before: None,
        key,
    };
    split_at_commas(options).into_iter().try_for_each(|option| set(&mut signer, option))?;
    match (signer.valid_after, signer.valid_before) {
        (Some(after), Some(before)) if after >= before => Err("is never valid".into()),
        _ => Ok(signer),
    }
}

fn parse_key(text: &str) -> Result<KeyData, String> {
    match PublicKey::from_openssh(text) {
        Ok(key) if key.key_data().is_certificate() => {
            Err("has a certificate; name its authority with cert-authority".into())
        }
        Ok(key) => Ok(key.key_data().clone()),
        Err(err) => Err(format!("has no public key that can be read: {err}")),
    }
}

/// The first word, which may have spaces in quotes, and the rest.
fn split_word(text: &str) -> Result<(&str, &str), String> {
    let mut is_quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => is_quoted = !is_quoted,
            ' ' | '\t' if !is_quoted => return Ok((&text[..at], text[at..].trim_start())),
            _ => {}
        }
    }
    Err(if is_quoted { "has an odd number of quotation marks" } else { "has no key" }.into())
}

fn split_at_commas(options: &str) -> Vec<&str> {
    let (mut parts, mut start, mut is_quoted) = (Vec::new(), 0, false);
    for (at, c) in options.char_indices() {
        match c {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => {
                parts.push(&options[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if !options.is_empty() {
        parts.push(&options[start..]);
    }
    parts
}

/// Apply an option. Each may be given once.
fn set(signer: &mut AllowedSigner, option: &str) -> Result<(), String> {
    let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
    let quoted = value.and_then(|value| value.strip_prefix('"')?.strip_suffix('"'));
    let is_repeated = match (name.to_ascii_lowercase().as_str(), value, quoted) {
        ("cert-authority", None, _) => std::mem::replace(&mut signer.is_authority, true),
        ("namespaces", _, Some(list)) => signer.namespaces.replace(Patterns::new(list)).is_some(),
        ("valid-after", _, Some(time)) => signer.valid_after.replace(parse_time(time)?).is_some(),
        ("valid-before", _, Some(time)) => signer.valid_before.replace(parse_time(time)?).is_some(),
        _ => return Err(format!("has an option that is unknown or malformed: {name:?}")),
    };
    if is_repeated { Err(format!("has the option {name} twice")) } else { Ok(()) }
}

/// `YYYYMMDD` or `YYYYMMDDHHMM[SS]`, each perhaps with `Z`. All are taken as UTC: no time zones are known here.
fn parse_time(text: &str) -> Result<u64, String> {
    let error = || format!("has a time that is none such as 20300101 or 20300101120000Z: {text:?}");
    let digits = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(error());
    }
    let number =
        |from: usize, to: usize| digits.get(from..to).map_or(Ok(0), str::parse::<u64>).map_err(|_| error());
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(8, 10)?, number(10, 12)?, number(12, 14)?);
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days_of = |month: u64| match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let is_time = year >= 1970 && (1..=12).contains(&month) && (1..=days_of(month)).contains(&day);
    if !is_time || hour > 23 || minute > 59 || second > 60 {
        return Err(error());
    }
    let days_of_years: u64 = (1970..year).map(|year| 365 + u64::from(is_leap(year))).sum();
    let days = days_of_years + (1..month).map(days_of).sum::<u64>() + day - 1;
    Ok(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGQ8fi9hCOnmQSQvsQvqWIRCfnkjHUrSfHySJTmoDjXz";

    fn one(line: &str) -> AllowedSigner {
        let mut all = AllowedSigners::parse(line).unwrap().0;
        assert_eq!(all.len(), 1, "{line}");
        all.remove(0)
    }

    #[test]
    fn lines_are_read_as_openssh_does() {
        let plain = one(&format!("dev@x {KEY} a comment"));
        assert!(plain.principals.matches("dev@x") && !plain.principals.matches("dev@y"));
        assert!(!plain.is_authority && plain.namespaces.is_none());
        let options =
            r#"Cert-Authority,namespaces="git,file",valid-after="20200101Z",valid-before="203001011200""#;
        let all = one(&format!("*@x,!bad@x {options} {KEY}"));
        assert!(all.is_authority && all.namespaces.unwrap().matches("git"));
        assert_eq!((all.valid_after, all.valid_before), (Some(1_577_836_800), Some(1_893_499_200)));
        assert!(all.principals.matches("dev@x") && !all.principals.matches("bad@x"));
        assert!(one(&format!("\"a b,c\" {KEY}")).principals.matches("a b"));
        assert!(one(KEY).principals.matches("anybody"), "as in authorized_keys");
        assert!(AllowedSigners::parse(&format!("\n  # comment\n\n{KEY}\r\n")).is_ok());
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        for (line, fault) in [
            ("dev@x".to_owned(), "has no key"),
            ("dev@x ssh-ed25519 AAAA".to_owned(), "line 2 has"),
            (format!("dev@x \"x {KEY}"), "quotation marks"),
            (format!("dev@x unknown {KEY}"), "unknown"),
            (format!("dev@x cert-authority,cert-authority {KEY}"), "twice"),
            (format!("dev@x namespaces=git {KEY}"), "malformed"),
            (format!("dev@x valid-after=\"2020\" {KEY}"), "a time"),
            (format!("dev@x valid-after=\"20300101\",valid-before=\"20200101\" {KEY}"), "never valid"),
        ] {
            let found = AllowedSigners::parse(&format!("# comment\n{line}\n")).unwrap_err();
            assert!(found.starts_with("line 2 ") && found.contains(fault), "{line}: {found}");
        }
    }

    #[test]
    fn times_are_of_the_calendar_and_utc() {
        for (text, seconds) in [
            ("19700101", Some(0)),
            ("20000229Z", Some(951_782_400)),
            ("20240115123456", Some(1_705_322_096)),
            ("21000229", None),
            ("20230229", None),
            ("20231301", None),
            ("202301011", None),
            ("19691231", None),
            ("2023010124", None),
        ] {
            assert_eq!(parse_time(text).ok(), seconds, "{text}");
        }
    }
}
