//! The typed side of the table: how the values of an option are read.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::ops::Deref;
use std::path::PathBuf;
use std::str::FromStr;

use super::row::{Kind, Row, Scope};
use super::values;

/// An option whose value is a `T`, if it is given.
pub struct Opt<T: 'static> {
    row: Row,
    parse: Parse<T>,
}

/// An option that always has a value: its default is a text that the same parser reads.
pub struct Setting<T: 'static>(Opt<T>);

/// How a value is read.
enum Parse<T> {
    Text(fn(&str) -> Result<T, String>),
    /// Any bytes, as in a path.
    Os(fn(&OsStr) -> T),
}

impl<T> Opt<T> {
    const fn new(name: &'static str, kind: Kind, parse: Parse<T>) -> Opt<T> {
        let row = Row {
            name,
            aliases: &[],
            kind,
            topic: "",
            default: "",
            older_variables: &[],
            scope: Scope::Repository,
            may_hold_secrets: matches!(kind, Kind::Secret),
            help: "",
            details: "",
        };
        Opt { row, parse }
    }

    /// Read one value.
    ///
    /// # Errors
    ///
    /// If it is none, in words that follow the option's name.
    pub fn parse(&self, value: &OsStr) -> Result<T, String> {
        match (&self.parse, value.to_str()) {
            (Parse::Text(parse), Some(text)) => parse(text),
            (Parse::Text(_), None) => Err("is not UTF-8".into()),
            (Parse::Os(parse), _) => Ok(parse(value)),
        }
    }

    pub(super) const fn default(mut self, text: &'static str) -> Setting<T> {
        self.row.default = text;
        Setting(self)
    }

    /// Say what happens if the option is not given, where that is no value of it.
    pub(super) const fn otherwise(mut self, text: &'static str) -> Opt<T> {
        self.row.default = text;
        self
    }

    pub(super) const fn aliases(mut self, names: &'static [&'static str]) -> Opt<T> {
        self.row.aliases = names;
        self
    }

    pub(super) const fn older(mut self, variables: &'static [&'static str]) -> Opt<T> {
        self.row.older_variables = variables;
        self
    }

    /// It is no option of a repository, or not only.
    pub(super) const fn of(mut self, scope: Scope) -> Opt<T> {
        self.row.scope = scope;
        self
    }

    pub(super) const fn may_hold_secrets(mut self) -> Opt<T> {
        self.row.may_hold_secrets = true;
        self
    }

    pub(super) const fn help(mut self, text: &'static str) -> Opt<T> {
        self.row.help = text;
        self
    }

    pub(super) const fn details(mut self, text: &'static str) -> Opt<T> {
        self.row.details = text;
        self
    }

    /// Accept it although it does nothing.
    pub(super) const fn ignored(mut self, why: &'static str) -> Opt<T> {
        self.row.kind = Kind::Ignored(why);
        self
    }

    /// It is an older name of another option.
    pub(super) const fn replaced_by(mut self, today: &'static Row) -> Opt<T> {
        self.row.kind = Kind::Deprecated(Some(today), "");
        self
    }

    /// It has no use any more.
    pub(super) const fn gone(mut self, why: &'static str) -> Opt<T> {
        self.row.kind = Kind::Deprecated(None, why);
        self
    }

    pub(super) const fn under(mut self, topic: &'static str) -> Opt<T> {
        self.row.topic = topic;
        self
    }

    /// What is known of it whatever its type.
    pub const fn row(&self) -> &Row {
        &self.row
    }
}

impl<T> Setting<T> {
    /// The value when the option is not given.
    pub fn default_value(&self) -> T {
        self.parse(self.default.as_ref()).expect("a test reads every default")
    }

    pub(super) const fn under(mut self, topic: &'static str) -> Setting<T> {
        self.0.row.topic = topic;
        self
    }

    /// What is known of it whatever its type.
    pub const fn row(&self) -> &Row {
        &self.0.row
    }
}

impl<T> Deref for Opt<T> {
    type Target = Row;

    fn deref(&self) -> &Row {
        &self.row
    }
}

impl<T> Deref for Setting<T> {
    type Target = Opt<T>;

    fn deref(&self) -> &Opt<T> {
        &self.0
    }
}

/// A value that `parse` reads.
pub(super) const fn value<T>(
    name: &'static str,
    form: &'static str,
    parse: fn(&str) -> Result<T, String>,
) -> Opt<T> {
    Opt::new(name, Kind::Value(form), Parse::Text(parse))
}

/// A text of any content.
pub(super) const fn text(name: &'static str, form: &'static str) -> Opt<String> {
    value(name, form, values::text)
}

pub(super) const fn path(name: &'static str, form: &'static str) -> Opt<PathBuf> {
    Opt::new(name, Kind::Value(form), Parse::Os(to_path))
}

pub(super) const fn switch(name: &'static str) -> Opt<bool> {
    Opt::new(name, Kind::Switch, Parse::Text(values::boolean))
}

/// A switch that takes other values, too.
pub(super) const fn switch_or<T>(name: &'static str, parse: fn(&str) -> Result<T, String>) -> Opt<T> {
    Opt::new(name, Kind::Switch, Parse::Text(parse))
}

/// Texts, each option one more.
pub(super) const fn texts(name: &'static str, form: &'static str) -> Opt<String> {
    Opt::new(name, Kind::List(form), Parse::Text(values::text))
}

pub(super) const fn words(name: &'static str, form: &'static str) -> Opt<OsString> {
    Opt::new(name, Kind::List(form), Parse::Os(to_word))
}

pub(super) const fn paths(name: &'static str, form: &'static str) -> Opt<PathBuf> {
    Opt::new(name, Kind::List(form), Parse::Os(to_path))
}

/// A text that must come from the environment.
pub(super) const fn secret(name: &'static str) -> Opt<String> {
    Opt::new(name, Kind::Secret, Parse::Text(values::text))
}

/// What the type reads from a text.
pub(super) fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|err: T::Err| err.to_string())
}

fn to_path(value: &OsStr) -> PathBuf {
    value.into()
}

fn to_word(value: &OsStr) -> OsString {
    value.into()
}

/// An option in the list of all.
pub(super) trait Entry: Sync {
    fn erased(&self) -> &Row;

    /// Whether the text of the default is a value.
    #[cfg(test)]
    fn check_default(&self) -> Result<(), String>;
}

impl<T> Entry for Opt<T> {
    fn erased(&self) -> &Row {
        &self.row
    }

    #[cfg(test)]
    fn check_default(&self) -> Result<(), String> {
        Ok(())
    }
}

impl<T> Entry for Setting<T> {
    fn erased(&self) -> &Row {
        &self.0.row
    }

    #[cfg(test)]
    fn check_default(&self) -> Result<(), String> {
        self.parse(self.default.as_ref()).map(drop)
    }
}

/// The options of a file.
pub(super) type Table = [&'static dyn Entry];

/// Declares options and the list of them, `TABLE`, in one: an option that is declared is in the list.
macro_rules! options {
    ($($topic:literal { $($name:ident: $type:ty = $option:expr;)* })*) => {
        $($(
            #[doc = concat!("`", stringify!($name), "`, as its help says.")]
            pub static $name: $type = $option.under($topic);
        )*)*

        pub(super) static TABLE: &$crate::options::table::Table = &[$($(&$name,)*)*];
    };
}

pub(super) use options;
