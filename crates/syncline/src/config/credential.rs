//! `--credential`: JSON objects, alone or in a list, that say who may log in where.

use std::path::PathBuf;

use serde_json::Value;
use sync_core::Secret;

/// A login for all URLs below one.
#[derive(Clone, Debug)]
pub struct Credential {
    pub url: String,
    pub username: String,
    pub password: Password,
}

/// Where a password is.
#[derive(Clone, Debug)]
pub enum Password {
    Given(Secret),
    File(PathBuf),
}

/// One object or a list of them. The text is never quoted: it holds secrets.
pub fn parse(text: &str) -> Result<Vec<Credential>, String> {
    let parsed: Value = serde_json::from_str(text)
        .map_err(|err| format!("is not JSON: line {}, column {}", err.line(), err.column()))?;
    match parsed {
        Value::Array(list) => list.iter().map(one).collect(),
        object => Ok(vec![one(&object)?]),
    }
}

fn one(value: &Value) -> Result<Credential, String> {
    let object = value.as_object().ok_or("is neither an object nor a list of objects")?;
    if let Some(unknown) =
        object.keys().find(|key| !["url", "username", "password", "password-file"].contains(&key.as_str()))
    {
        return Err(format!("has the unknown key {unknown:?}"));
    }
    let text = |key: &str| match object.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(_) => Err(format!("has a {key:?} that is no string")),
    };
    let password = match (text("password")?, text("password-file")?) {
        (Some(password), None) => Password::Given(password.into()),
        (None, Some(file)) => Password::File(file.into()),
        _ => return Err("needs one of password and password-file".into()),
    };
    let url = text("url")?.ok_or("needs a url")?;
    Ok(Credential { url, username: text("username")?.ok_or("needs a username")?, password })
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
        assert!(matches!(&file[0].password, Password::File(path) if path.ends_with("f")));
        assert!(!format!("{:?}", parse(one).unwrap()).contains("\"p\""));
    }

    #[test]
    fn faults_are_named_without_the_secret() {
        for text in [
            "secret",
            "[1]",
            r#"{"url":"h","username":"u"}"#,
            r#"{"url":"h","username":"u","password":"secret","password-file":"f"}"#,
            r#"{"url":"h","password":"secret"}"#,
            r#"{"username":"u","password":"secret"}"#,
            r#"{"url":"h","username":"u","password":"secret","extra":1}"#,
            r#"{"url":"h","username":1,"password":"secret"}"#,
        ] {
            let fault = parse(text).unwrap_err();
            assert!(!fault.contains("secret"), "{fault}");
        }
    }
}
