//! Reading options one by one while collecting everything that is wrong with them.

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use sync_core::{Secret, without_dots};

use crate::args::Args;
use crate::environment::Environment;
use crate::options::{Opt, Row, Setting, hints};
use crate::origin::Origin;

/// Reads values; if one is wrong, it notes the error and goes on without it.
pub struct OptionReader<'a> {
    args: &'a Args,
    /// For what is not an option.
    pub environment: &'a Environment,
    directory: &'a Path,
    errors: Vec<Note>,
    warnings: Vec<Note>,
}

/// Something that is wrong, or should be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where; `None` if it is about no value.
    pub origin: Option<Origin>,
    /// The name of the option, if it is about one.
    pub option: Option<&'static str>,
    /// What; after the origin, if there is one.
    pub text: String,
}

impl From<String> for Note {
    fn from(text: String) -> Note {
        Note { origin: None, option: None, text }
    }
}

impl Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{origin}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl<'a> OptionReader<'a> {
    /// Errors and warnings of the command line come first. It fails if the current directory is unknown.
    pub fn new(args: &'a Args, environment: &'a Environment) -> Result<Self, String> {
        let notes = |texts: &[String]| texts.iter().cloned().map(Note::from).collect();
        let (errors, warnings) = (notes(&args.errors), notes(&args.warnings));
        Ok(OptionReader { args, environment, directory: environment.directory()?, errors, warnings })
    }

    /// What `make` makes of the warnings, if nothing was wrong.
    pub fn finish<T>(self, make: impl FnOnce(Vec<String>) -> T) -> Result<T, Vec<String>> {
        if !self.errors.is_empty() {
            return Err(self.into_errors());
        }
        Ok(make(self.with_strays(&self.warnings)))
    }

    /// Everything that is wrong, and the names that may be the reason for it.
    pub fn into_errors(self) -> Vec<String> {
        self.with_strays(&self.errors)
    }

    /// These, and the names in the environment that look like options but are none.
    pub fn with_strays(&self, notes: impl IntoIterator<Item = impl ToString>) -> Vec<String> {
        let strays = hints::strays(self.environment.names());
        notes.into_iter().map(|note| note.to_string()).chain(strays).collect()
    }

    /// Everything that is wrong, and what should be changed.
    pub fn into_notes(self) -> (Vec<Note>, Vec<Note>) {
        (self.errors, self.warnings)
    }

    /// Note what is wrong with an option, in words that follow its name.
    pub fn error(&mut self, option: &Row, error: impl Display) {
        let origin = Some(self.origin(option));
        self.errors.push(Note { origin, option: Some(option.name), text: error.to_string() });
    }

    /// The same error of each of these options that is set.
    pub fn error_each(&mut self, options: &[&Row], error: &str) {
        for option in options {
            if self.is_set(option) {
                self.error(option, error);
            }
        }
    }

    /// An error of what is not an option.
    pub fn error_at(&mut self, origin: &Origin, error: impl Display) {
        self.errors.push(Note { origin: Some(origin.clone()), option: None, text: error.to_string() });
    }

    /// Note what works, but should be changed.
    pub fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(Note::from(warning.into()));
    }

    /// The same of what came from somewhere.
    pub fn warn_at(&mut self, origin: &Origin, warning: impl Display) {
        self.warnings.push(Note { origin: Some(origin.clone()), option: None, text: warning.to_string() });
    }

    /// One of Git's own variables; `None` if it is not set or not UTF-8.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.environment.value(name)?.to_str().map(ToOwned::to_owned)
    }

    /// The same as an absolute path; an empty value counts as not set.
    pub fn variable_path(&self, name: &str) -> Option<PathBuf> {
        let value = self.environment.value(name).filter(|value| !value.is_empty())?;
        Some(self.absolute(value))
    }

    /// Relative paths are relative to the current directory.
    pub fn absolute(&self, path: impl AsRef<Path>) -> PathBuf {
        self.directory.join(path)
    }

    /// Whether it was given, even if it is empty.
    pub fn is_given(&self, option: &Row) -> bool {
        self.args.get(option).is_some()
    }

    /// Whether it was given and is not empty.
    pub fn is_set(&self, option: &Row) -> bool {
        self.value(option).is_some_and(|value| !value.is_empty())
    }

    /// How the user wrote it, or would.
    pub fn origin(&self, option: &Row) -> Origin {
        self.args.origin(option)
    }

    /// How an error of another option speaks of it.
    pub fn mention(&self, option: &Row) -> String {
        self.origin(option).mention()
    }

    /// The value, or the default.
    pub fn get<T>(&mut self, option: &Setting<T>) -> T {
        self.given(option).unwrap_or_else(|| option.default_value())
    }

    /// The value, if there is one; an empty value counts as not given.
    pub fn find<T>(&mut self, option: &Opt<T>) -> Option<T> {
        if self.is_set(option) { self.given(option) } else { None }
    }

    /// The value, if there is one; an empty value is one, too.
    pub fn given<T>(&mut self, option: &Opt<T>) -> Option<T> {
        let value = self.value(option)?.to_owned();
        self.parse(option, &value)
    }

    /// The value of an option that must be given.
    pub fn required<T>(&mut self, option: &Opt<T>) -> Option<T> {
        match self.value(option) {
            None => self.error(option, "must be given"),
            Some(value) if value.is_empty() => self.error(option, "is empty"),
            Some(_) => return self.given(option),
        }
        None
    }

    /// All values, in order.
    pub fn list<T>(&mut self, option: &Opt<T>) -> Vec<T> {
        let values = self.args.get(option).map(|given| given.values.clone()).unwrap_or_default();
        values.iter().filter_map(|value| self.parse(option, value)).collect()
    }

    /// An absolute path; an empty value counts as not given.
    pub fn path(&mut self, option: &Opt<PathBuf>) -> Option<PathBuf> {
        self.find(option).map(|path| self.absolute(path))
    }

    /// The same, or the default.
    pub fn path_or_default(&mut self, option: &Setting<PathBuf>) -> PathBuf {
        self.path(option).unwrap_or_else(|| option.default_value())
    }

    /// All values as absolute paths, in order; in the environment they are separated by colons.
    pub fn paths(&self, option: &Opt<PathBuf>) -> Vec<PathBuf> {
        let Some(given) = self.args.get(option) else { return Vec::new() };
        let paths: Vec<PathBuf> = if matches!(given.origin, Origin::Environment(_)) {
            given.values.iter().flat_map(std::env::split_paths).collect()
        } else {
            given.values.iter().map(PathBuf::from).collect()
        };
        let paths = paths.into_iter().filter(|path| !path.as_os_str().is_empty());
        paths.map(|path| self.absolute(path)).collect()
    }

    /// A secret, which must come from the environment.
    pub fn secret(&mut self, option: &Opt<String>) -> Option<Secret> {
        if self.is_given(option) && matches!(self.origin(option), Origin::CommandLine(_)) {
            let variable = &option.variables()[0];
            self.error(option, format!("would show in the list of processes; set {variable}"));
        }
        self.find(option).map(Secret::from)
    }

    /// A file whose content is sent to a server.
    pub fn file_to_send(&mut self, option: &Opt<PathBuf>) -> Option<PathBuf> {
        let path = self.path(option)?;
        self.refuse_cluster_token(option, &path);
        Some(path)
    }

    /// With the token that Kubernetes gives to every pod, a server could act as the pod.
    pub fn refuse_cluster_token(&mut self, option: &Row, path: &Path) {
        let plain = without_dots(path);
        let places =
            ["/var/run", "/run"].map(|run| Path::new(run).join("secrets/kubernetes.io/serviceaccount"));
        if places.iter().any(|place| plain.starts_with(place)) {
            let text = "is where Kubernetes keeps the pod's own token, which must not be sent to other servers; \
                        --oauth-assertion-file exchanges such tokens";
            self.error(option, text);
        }
    }

    /// The last value.
    fn value(&self, option: &Row) -> Option<&OsString> {
        self.args.get(option)?.values.last()
    }

    fn parse<T>(&mut self, option: &Opt<T>, value: &OsStr) -> Option<T> {
        option.parse(value).map_err(|error| self.error(option, error)).ok()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::args::{Parsed, parse};

    /// What `read` makes of these options, or everything that is wrong.
    pub fn read<T>(
        argv: &[&str],
        variables: &[(&str, &str)],
        read: impl FnOnce(&mut OptionReader) -> T,
    ) -> Result<T, Vec<String>> {
        let argv = std::iter::once("syncline").chain(argv.iter().copied()).map(Into::into);
        let environment = Environment::of(variables);
        let Ok(Parsed::Run(args)) = parse(argv, &environment) else { panic!("no options") };
        let mut r = OptionReader::new(&args, &environment).unwrap();
        let value = read(&mut r);
        r.finish(|_| value)
    }
}
