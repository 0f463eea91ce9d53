//! Which submodules to check out, by the rules of the user and of `.gitmodules`.

use std::path::Path;

use gix::bstr::BStr;
use gix::pathspec;
use gix::submodule::File;

use crate::error::ParseError;

/// Which submodules to check out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubmoduleMode {
    /// All, including submodules of submodules, up to ten levels deep.
    #[default]
    Recursive,
    /// Only those of the repository itself.
    Shallow,
    /// None. Their directories stay empty.
    Off,
}

/// The user's rules for submodules at any depth, by the name in `.gitmodules`. The last rule for a name applies. By
/// default there are none, and `.gitmodules` decides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SubmoduleRules {
    /// git's `submodule.<name>.update`: false if the value is `none`.
    pub update: Vec<(String, bool)>,
    /// git's `submodule.<name>.active`.
    pub active: Vec<(String, bool)>,
    active_paths: Vec<pathspec::Pattern>,
}

impl SubmoduleRules {
    /// Add a pathspec, as git's `submodule.active` does. If there is any, only submodules at matching paths are checked
    /// out, and those with a rule in [`active`](SubmoduleRules::active).
    ///
    /// # Errors
    ///
    /// A short text if `spec` is not a valid pathspec.
    pub fn add_active_path(&mut self, spec: &str) -> Result<(), ParseError> {
        let spec = pathspec::parse(spec.as_bytes(), pathspec::Defaults::default());
        self.active_paths.push(spec.map_err(|_| "is not a pathspec")?);
        Ok(())
    }

    /// The name of the submodule at `path`; `None` if its directory stays empty, because `.gitmodules` does not list
    /// it, or because `.gitmodules` or the user leaves it out.
    pub(crate) fn wanted_name<'a>(&self, modules: &'a File, path: &BStr) -> Option<&'a BStr> {
        let name = modules.name_by_path(path)?;
        let last_rule = |rules: &[(String, bool)]| {
            rules.iter().rev().find(|(rule, _)| rule.as_bytes() == name).map(|(_, value)| *value)
        };
        let is_active = last_rule(&self.active).unwrap_or_else(|| self.has_active_path(path));
        let is_updated = last_rule(&self.update).unwrap_or_else(|| {
            modules
                .config()
                .string_by("submodule", Some(name), "update")
                .is_none_or(|update| update != "none")
        });
        (is_active && is_updated).then_some(name)
    }

    fn has_active_path(&self, path: &BStr) -> bool {
        if self.active_paths.is_empty() {
            return true;
        }
        let search = pathspec::Search::from_specs(self.active_paths.iter().cloned(), None, Path::new(""));
        search.is_ok_and(|mut search| {
            let found = search.pattern_matching_relative_path(path, Some(true), &mut |_, _, _, _| false);
            found.is_some_and(|found| !found.is_excluded())
        })
    }
}

/// Parse a `.gitmodules`.
pub(crate) fn parse(text: &[u8]) -> gix::Result<File> {
    File::from_bytes(text, None, &gix::config::File::default())
}

/// How deep submodules may be nested. A repository that exceeds this is considered hostile.
pub(crate) const MAX_DEPTH: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_and_gitmodules_decide_which_submodules_are_wanted() {
        let modules = |update: &str| {
            parse(format!("[submodule \"n\"]\n\tpath = libs/p\n\turl = ../x\n{update}").as_bytes()).unwrap()
        };
        let (none, unset) = ("\tupdate = none\n", "");
        for (update, updates, actives, paths, expected) in [
            (unset, &[][..], &[][..], &[][..], true),
            (none, &[], &[], &[], false),
            ("\tupdate = rebase\n", &[], &[], &[], true),
            ("\tupdate = !touch x\n", &[], &[], &[], true),
            (none, &[("n", true)], &[], &[], true),
            (none, &[("other", true)], &[], &[], false),
            (unset, &[("n", false)], &[], &[], false),
            (unset, &[("n", false), ("n", true)], &[], &[], true),
            (unset, &[], &[("n", false)], &[], false),
            (none, &[], &[("n", true)], &[], false),
            (unset, &[], &[], &["libs"], true),
            (unset, &[], &[], &["docs"], false),
            (unset, &[], &[], &["docs", "libs/*"], true),
            (unset, &[], &[], &["libs", ":(exclude)libs/p"], false),
            (unset, &[], &[("n", true)], &["docs"], true),
        ] {
            let owned = |rules: &[(&str, bool)]| -> Vec<_> {
                rules.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
            };
            let mut rules =
                SubmoduleRules { update: owned(updates), active: owned(actives), ..Default::default() };
            paths.iter().for_each(|path| rules.add_active_path(path).unwrap());
            let found = rules.wanted_name(&modules(update), "libs/p".into()).is_some();
            assert_eq!(found, expected, "{update:?} {rules:?}");
        }
        assert!(SubmoduleRules::default().wanted_name(&modules(unset), "elsewhere".into()).is_none());
        assert!(SubmoduleRules::default().add_active_path(":(canary)x").is_err());
    }
}
