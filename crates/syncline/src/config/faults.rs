//! Reading options one by one while gathering everything that is wrong with them.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use super::values;
use crate::args::{Args, Given};

/// Reads values; where one is wrong it notes the fault and goes on with a stand-in.
pub struct Reader<'a> {
    args: &'a Args,
    faults: Vec<String>,
}

impl<'a> Reader<'a> {
    pub fn new(args: &'a Args, faults: Vec<String>) -> Self {
        Reader { args, faults }
    }

    /// The value, if nothing was wrong anywhere.
    pub fn finish<T>(self, value: T) -> Result<T, Vec<String>> {
        if self.faults.is_empty() { Ok(value) } else { Err(self.faults) }
    }

    pub fn into_faults(self) -> Vec<String> {
        self.faults
    }

    pub fn fault(&mut self, name: &str, fault: impl Display) {
        self.fault_at(&self.origin(name), fault);
    }

    /// A fault of what is no option.
    pub fn fault_at(&mut self, origin: &str, fault: impl Display) {
        self.faults.push(format!("{origin}: {fault}"));
    }

    /// One of git's own variables; `None` where it is not set or is not UTF-8.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.args.variables.get(name).and_then(|value| value.to_str()).map(ToOwned::to_owned)
    }

    /// The same as a path; empty stands for none.
    pub fn variable_path(&self, name: &str) -> Option<PathBuf> {
        self.args.variables.get(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    pub fn is_given(&self, name: &str) -> bool {
        self.args.get(name).is_some()
    }

    /// How the user wrote it, or would.
    pub fn origin(&self, name: &str) -> String {
        self.args.get(name).map_or_else(|| format!("--{name}"), |given| given.origin.clone())
    }

    /// The last value as text; `None` where it was not given or is not UTF-8.
    pub fn text(&self, name: &str) -> Option<String> {
        self.args.get(name).and_then(last).and_then(|value| value.to_str()).map(ToOwned::to_owned)
    }

    /// The last value as text; empty stands for none.
    pub fn set(&self, name: &str) -> Option<String> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// Whether it stands on the command line, where others can read it.
    pub fn is_typed(&self, name: &str) -> bool {
        self.args.get(name).is_some_and(|given| given.origin.starts_with("--"))
    }

    /// The last value as a path; empty stands for none.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.args.get(name).and_then(last).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// All values, in order.
    pub fn list(&self, name: &str) -> Vec<OsString> {
        self.args.get(name).map(|given| given.values.clone()).unwrap_or_default()
    }

    /// All values as paths, in order; those of the environment are separated by colons.
    pub fn paths(&self, name: &str) -> Vec<PathBuf> {
        let Some(given) = self.args.get(name) else { return Vec::new() };
        let paths: Vec<PathBuf> = if given.origin.starts_with("--") {
            given.values.iter().map(PathBuf::from).collect()
        } else {
            given.values.iter().flat_map(std::env::split_paths).collect()
        };
        paths.into_iter().filter(|path| !path.as_os_str().is_empty()).collect()
    }

    pub fn or<T, E: Display>(
        &mut self,
        name: &str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> T {
        let Some(value) = self.args.get(name).and_then(last) else { return default };
        let parsed = match value.to_str() {
            Some(text) => parse(text).map_err(|err| err.to_string()),
            None => Err("is not UTF-8".into()),
        };
        parsed.unwrap_or_else(|fault| {
            self.fault(name, fault);
            default
        })
    }

    pub fn required<T, E: Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if self.args.get(name).is_none() {
            self.fault(name, "must be given");
        }
        self.or(name, None, |text| parse(text).map(Some))
    }

    pub fn switch(&mut self, name: &str) -> bool {
        self.or(name, false, values::boolean)
    }

    pub fn at_least(&mut self, least: Duration, name: &str, default: Duration) -> Duration {
        self.or(name, default, |text| {
            let duration = values::duration(text)?;
            if duration < least { Err(format!("{text:?} is shorter than {least:?}")) } else { Ok(duration) }
        })
    }
}

fn last(given: &Given) -> Option<&OsString> {
    given.values.last()
}
