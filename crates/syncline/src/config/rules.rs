//! Which new commits to publish, and when.

use sync_core::{MinAge, Reference, Rules, WatchPaths};

use crate::clock::CLOCK;
use crate::options::{FORWARD_FROM, FORWARD_ONLY, MIN_AGE, REF_ON, WATCH_PATHS, WATCH_PATHS_EXCEPT};
use crate::reader::OptionReader;

pub fn rules(r: &mut OptionReader) -> Rules {
    let mut rules = Rules::default();
    rules.forward_only = r.get(&FORWARD_ONLY);
    rules.forward_from = r.find(&FORWARD_FROM);
    if rules.forward_from.is_some() && !rules.forward_only {
        r.error(&FORWARD_FROM, "has no effect without --forward-only");
    }
    rules.on_branch = r.find(&REF_ON).and_then(|name| match full_branch_name(&name) {
        Ok(name) => Some(name),
        Err(error) => {
            r.error(&REF_ON, error);
            None
        }
    });
    let age = r.get(&MIN_AGE);
    rules.min_age = (!age.is_zero()).then_some(MinAge { age, clock: CLOCK });
    rules.watch_paths = watch_paths(r);
    rules
}

fn full_branch_name(name: &str) -> Result<String, String> {
    match name.parse::<Reference>() {
        Ok(Reference::Name(name)) if name.starts_with("refs/") => Ok(name),
        Ok(Reference::Name(name)) if name != "HEAD" => Ok(format!("refs/heads/{name}")),
        Ok(_) => Err(format!("must be the name of a branch, not {name:?}")),
        Err(error) => Err(error.into()),
    }
}

fn watch_paths(r: &mut OptionReader) -> Option<WatchPaths> {
    let (watched, except) = (r.find(&WATCH_PATHS), r.find(&WATCH_PATHS_EXCEPT));
    let Some(watched) = watched else {
        r.error_each(&[&WATCH_PATHS_EXCEPT], "has no effect without --watch-paths");
        return None;
    };
    let except = except.unwrap_or_default();
    if let Err(error) = WatchPaths::new([], except.iter().map(String::as_str)) {
        r.error(&WATCH_PATHS_EXCEPT, error);
        return None;
    }
    let (watched, except) = (watched.iter().map(String::as_str), except.iter().map(String::as_str));
    WatchPaths::new(watched, except).map_err(|error| r.error(&WATCH_PATHS, error)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::tests::read;

    #[test]
    fn a_branch_has_its_full_name() {
        for (given, name) in [
            ("main", "refs/heads/main"),
            ("refs/heads/x", "refs/heads/x"),
            ("refs/pull/1/head", "refs/pull/1/head"),
        ] {
            let rules = read(&[&format!("--ref-on={given}")], &[], rules).unwrap();
            assert_eq!(rules.on_branch.as_deref(), Some(name));
        }
        for given in ["HEAD", "a..b", &"1".repeat(40)] {
            assert!(read(&[&format!("--ref-on={given}")], &[], rules).is_err(), "{given}");
        }
    }

    #[test]
    fn all_that_is_wrong_with_the_rules_is_reported() {
        let wrong = ["--forward-from=1234", "--min-age=soon", "--watch-paths-except=docs", "--ref-on=-x"];
        let errors = read(&wrong, &[], rules).unwrap_err();
        assert_eq!(errors.len(), 4, "{errors:?}");
        let id = "1".repeat(40);
        assert!(read(&[&format!("--forward-from={id}")], &[], rules).is_err());
        assert!(read(&["--forward-only", &format!("--forward-from={id}")], &[], rules).is_ok());
        assert!(read(&["--watch-paths=docs,!x"], &[], rules).is_err());
        assert!(read(&["--watch-paths=docs", "--watch-paths-except=!x"], &[], rules).is_err());
    }
}
