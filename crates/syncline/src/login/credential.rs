//! `--credential`: JSON objects, alone or in a list, with a login each.

use std::path::PathBuf;

use serde_json::Value;
use sync_core::{Secret, UrlScope};

use crate::options::Row;
use crate::reader::OptionReader;

/// A login for all URLs below one.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The URLs it is for.
    pub url: UrlScope,
    /// The login.
    pub login: StaticCredential,
}

/// A secret that is known, and how to present it.
#[derive(Clone, Debug)]
pub enum StaticCredential {
    /// A user's name and password.
    Password(String, SecretSource),
    /// A bearer token.
    Bearer(SecretSource),
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum SecretSource {
    /// It is known.
    Given(Secret),
    /// It is read from a file for every sync.
    File(PathBuf),
}

/// A secret from the variable of its option or from a file, not from both.
pub(super) fn either(
    r: &mut OptionReader,
    (secret, given): (&Row, Option<Secret>),
    (option, file): (&Row, Option<PathBuf>),
) -> Option<SecretSource> {
    if given.is_some() && file.is_some() {
        r.error(option, format!("cannot be combined with {}", secret.variables()[0]));
    }
    given.map(SecretSource::Given).or(file.map(SecretSource::File))
}

const KEYS: [&str; 6] = ["url", "username", "password", "password-file", "bearer-token", "bearer-token-file"];

/// One object or a list of them. The text is never quoted: it holds secrets.
pub fn parse(text: &str) -> Result<Vec<Credential>, String> {
    let parsed: Value = serde_json::from_str(text)
        .map_err(|err| format!("is not JSON: line {}, column {}", err.line(), err.column()))?;
    match parsed {
        Value::Array(list) => list.iter().map(one).collect(),
        object => Ok(vec![one(&object)?]),
    }
}

/// Whether a text that should be such JSON holds a secret itself, and not only the path of a file.
pub fn has_given_secret(text: &str) -> bool {
    let parsed = serde_json::from_str(text).unwrap_or(Value::Null);
    let holds = |value: &Value| ["password", "bearer-token"].iter().any(|key| value.get(key).is_some());
    match &parsed {
        Value::Array(list) => list.iter().any(holds),
        value => holds(value),
    }
}

fn one(value: &Value) -> Result<Credential, String> {
    let object = value.as_object().ok_or("must be an object or a list of objects")?;
    if let Some(unknown) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("has the unknown key {unknown:?}"));
    }
    let text = |key: &str| match object.get(key) {
        None => Ok(None),
        // As in a file, a line break at the end is not part of it.
        Some(Value::String(text)) => {
            Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()).filter(|text| !text.is_empty()))
        }
        Some(_) => Err(format!("has a {key:?} that is not a string")),
    };
    let given = |key: &str| Ok::<_, String>(text(key)?.map(|text| SecretSource::Given(text.into())));
    let file = |key: &str| Ok::<_, String>(text(key)?.map(|path| SecretSource::File(path.into())));
    let passwords = [given("password")?, file("password-file")?].into_iter().flatten();
    let tokens = [given("bearer-token")?, file("bearer-token-file")?].into_iter().flatten();
    let mut secrets = passwords.map(|secret| (false, secret)).chain(tokens.map(|secret| (true, secret)));
    let (Some((is_token, secret)), None) = (secrets.next(), secrets.next()) else {
        return Err("needs one of password, password-file, bearer-token and bearer-token-file".into());
    };
    let login = match (text("username")?, is_token) {
        (Some(user), false) => StaticCredential::Password(user, secret),
        (None, true) => StaticCredential::Bearer(secret),
        (None, false) => return Err("needs a username".into()),
        (Some(_), true) => return Err("has a username, which is not used with a bearer token".into()),
    };
    let url = text("url")?.ok_or("needs a url")?;
    Ok(Credential { url: url.parse().map_err(|error| format!("has a url that {error}"))?, login })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_and_lists_are_understood() {
        let one = r#"{"url":"https://h/","username":"u","password":"p"}"#;
        assert_eq!(parse(one).unwrap().len(), 1);
        assert_eq!(parse(&format!("[{one},{one}]")).unwrap().len(), 2);
        let file = parse(r#"{"url":"https://h/","username":"u","password-file":"/f"}"#).unwrap();
        let StaticCredential::Password(user, SecretSource::File(path)) = &file[0].login else {
            panic!("{file:?}")
        };
        assert_eq!((user.as_str(), path), ("u", &PathBuf::from("/f")));
        let token = parse(r#"{"url":"https://h/","bearer-token":"t"}"#).unwrap();
        assert!(matches!(&token[0].login, StaticCredential::Bearer(SecretSource::Given(_))), "{token:?}");
        let file = parse(r#"{"url":"https://h/","bearer-token-file":"/f"}"#).unwrap();
        assert!(matches!(&file[0].login, StaticCredential::Bearer(SecretSource::File(_))), "{file:?}");
        let broken = parse(r#"{"url":"https://h/","username":"u\n","password":"p x\r\n"}"#).unwrap();
        let StaticCredential::Password(user, SecretSource::Given(password)) = &broken[0].login else {
            panic!()
        };
        assert_eq!((user.as_str(), password), ("u", &Secret::from("p x")));
        assert!(!format!("{:?}", parse(one).unwrap()).contains("\"p\""));
    }

    #[test]
    fn faults_are_named_without_the_secret() {
        for text in [
            "secret",
            "[1]",
            r#"{"url":"https://h","username":"u"}"#,
            r#"{"url":"https://h","username":"u","password":"secret","password-file":"f"}"#,
            r#"{"url":"https://h","username":"u","password":"secret","bearer-token":"secret"}"#,
            r#"{"url":"https://h","bearer-token-file":"f","bearer-token":"secret"}"#,
            r#"{"url":"https://h","username":"u","bearer-token":"secret"}"#,
            r#"{"url":"https://h","password":"secret"}"#,
            r#"{"username":"u","password":"secret"}"#,
            r#"{"url":"https://h","username":"u","password":"secret","extra":1}"#,
            r#"{"url":"h/secret","username":"u","password":"p"}"#,
            r#"{"url":"https:secret","username":"u","password":"p"}"#,
            r#"{"url":"ssh://secret/","username":"u","password":"p"}"#,
            r#"{"url":"https://secret@/x","username":"u","password":"p"}"#,
            r#"{"url":"https://h","username":1,"password":"secret"}"#,
        ] {
            let error = parse(text).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
