//! `.netrc`: logins by host, as ftp(1) has them and curl reads them.

use std::iter::Peekable;
use std::str::Chars;

use sync_core::{Auth, Login, Scope};

/// The content of a file.
#[derive(Debug, Default)]
pub struct Found {
    /// In the order of the file.
    pub logins: Vec<Login>,
    /// Whether there is a login for all other hosts, too.
    pub has_default: bool,
}

/// The login of one host, while it is read.
#[derive(Default)]
struct Entry {
    /// `None` for all other hosts.
    machine: Option<String>,
    login: Option<String>,
    password: Option<String>,
}

/// Unknown words are ignored. Errors never quote the text: it contains secrets.
pub fn parse(text: &str) -> Result<Found, String> {
    let mut words = Words(text.chars().peekable());
    let mut found = Found::default();
    let mut entry = Entry::default();
    while let Some(word) = words.next()? {
        match word.as_str() {
            "machine" => found.take(std::mem::replace(
                &mut entry,
                Entry { machine: Some(words.value("machine")?), ..Entry::default() },
            )),
            "default" => found.take(std::mem::take(&mut entry)),
            "login" => entry.login = Some(words.value("login")?),
            "password" => entry.password = Some(words.value("password")?),
            "account" => drop(words.value("account")?),
            "macdef" => words.skip_macro(),
            _ => {}
        }
    }
    found.take(entry);
    Ok(found)
}

impl Found {
    fn take(&mut self, entry: Entry) {
        match (entry.machine, entry.login, entry.password) {
            (_, None, None) => {}
            (None, ..) => self.has_default = true,
            (Some(machine), login, password) => {
                let auth = Auth::basic(login.unwrap_or_default(), password.unwrap_or_default());
                self.logins.push(Login { scope: Scope::Host(machine), auth });
            }
        }
    }
}

struct Words<'a>(Peekable<Chars<'a>>);

impl Words<'_> {
    /// Words stand between white space; a word that begins with a quotation mark ends with one. What follows a
    /// `#` where a word could begin is a comment.
    fn next(&mut self) -> Result<Option<String>, String> {
        loop {
            while self.0.next_if(|c| c.is_whitespace()).is_some() {}
            match self.0.peek() {
                None => return Ok(None),
                Some('#') => while self.0.next_if(|c| *c != '\n').is_some() {},
                Some('"') => return self.quoted().map(Some),
                Some(_) => return Ok(Some(self.plain())),
            }
        }
    }

    /// The word that follows one such as `login`, even if it is a `#`.
    fn value(&mut self, of: &str) -> Result<String, String> {
        while self.0.next_if(|c| c.is_whitespace()).is_some() {}
        match self.0.peek() {
            None => Err(format!("the last {of:?} has nothing after it")),
            Some('"') => self.quoted(),
            Some(_) => Ok(self.plain()),
        }
    }

    fn plain(&mut self) -> String {
        std::iter::from_fn(|| self.0.next_if(|c| !c.is_whitespace())).collect()
    }

    fn quoted(&mut self) -> Result<String, String> {
        self.0.next();
        let mut text = String::new();
        loop {
            match self.0.next() {
                Some('"') => return Ok(text),
                Some('\\') => text.push(match self.0.next() {
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('t') => '\t',
                    Some(c) => c,
                    None => return Err("a quotation mark is not closed".into()),
                }),
                Some(c) => text.push(c),
                None => return Err("a quotation mark is not closed".into()),
            }
        }
    }

    /// Up to an empty line.
    fn skip_macro(&mut self) {
        let mut last = None;
        for c in self.0.by_ref() {
            if c == '\n' && last.replace(c) == Some('\n') {
                return;
            }
            if c != '\r' {
                last = Some(c);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins(text: &str) -> Vec<(String, String, String)> {
        let found = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let plain = |login: Login| match (login.scope, login.auth) {
            (Scope::Host(host), Auth::Basic { user, password }) => (host, user, password.expose().to_owned()),
            other => panic!("{other:?}"),
        };
        found.logins.into_iter().map(plain).collect()
    }

    #[test]
    fn the_grammar_is_curls() {
        for (text, expected) in [
            ("", &[][..]),
            ("machine h login u password p", &[("h", "u", "p")]),
            ("machine h\n\tlogin u\r\n\tpassword p\r\n", &[("h", "u", "p")]),
            ("machine h password p account a login u", &[("h", "u", "p")]),
            ("machine h login u", &[("h", "u", "")]),
            ("machine h\nmachine i password p", &[("i", "", "p")]),
            (r#"machine h login "u v" password "p\"\\\tq""#, &[("h", "u v", "p\"\\\tq")]),
            ("machine h login u password #p # not this\n# machine x\n", &[("h", "u", "#p")]),
            ("machine h login u password p\"q", &[("h", "u", "p\"q")]),
            ("machine h login machine password default", &[("h", "machine", "default")]),
            ("macdef init\nmachine x login y\n\nmachine h login u", &[("h", "u", "")]),
            (
                "machine h login u macdef m\r\ncd /x\r\n\r\nmachine i login v",
                &[("h", "u", ""), ("i", "v", "")],
            ),
            ("machine h port 1 login u", &[("h", "u", "")]),
        ] {
            let found = logins(text);
            let found: Vec<_> = found.iter().map(|(host, user, word)| (&**host, &**user, &**word)).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_login_for_all_hosts_is_only_noticed() {
        let found = parse("machine h login u password p\ndefault login anonymous password me").unwrap();
        assert!(found.logins.len() == 1 && found.has_default);
        assert!(!parse("machine h login u password p").unwrap().has_default);
    }

    #[test]
    fn what_is_not_closed_is_a_fault_that_quotes_nothing() {
        for text in [
            "machine h password \"canary",
            "machine h password \"canary\\",
            "machine h login canary password",
        ] {
            let error = parse(text).unwrap_err();
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
