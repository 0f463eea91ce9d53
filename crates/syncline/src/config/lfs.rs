//! Whether files of Git LFS get their content.

use sync_core::LfsSelection;

use crate::options::{LFS, LFS_CONFIG, LFS_EXCLUDE, LFS_INCLUDE, LFS_MISSING, LFS_TRANSFERS, LFS_URL, Row};
use crate::reader::OptionReader;

/// `None` if they stay pointers.
pub fn lfs(r: &mut OptionReader) -> Option<LfsSelection> {
    let mut lfs = LfsSelection::default();
    lfs.url = r.find(&LFS_URL);
    if lfs.url.as_ref().is_some_and(|url| !matches!(url.protocol(), "http" | "https")) {
        r.error(&LFS_URL, "must be an http or https URL");
    }
    lfs.include = r.find(&LFS_INCLUDE).unwrap_or_default();
    lfs.exclude = r.find(&LFS_EXCLUDE).unwrap_or_default();
    (lfs.config, lfs.missing, lfs.transfers) =
        (r.get(&LFS_CONFIG), r.get(&LFS_MISSING), r.get(&LFS_TRANSFERS));
    if !r.get(&LFS) {
        let others: [&Row; 6] =
            [&LFS_URL, &LFS_INCLUDE, &LFS_EXCLUDE, &LFS_CONFIG, &LFS_MISSING, &LFS_TRANSFERS];
        r.error_each(&others, "has no effect without --lfs=on");
        return None;
    }
    Some(lfs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::tests::read;

    #[test]
    fn what_is_wrong_with_options_of_lfs_is_reported() {
        let selection = |argv: &[&str]| read(argv, &[], lfs);
        assert_eq!(selection(&[]), Ok(None));
        assert_eq!(selection(&["--lfs=on"]), Ok(Some(LfsSelection::default())));
        for (argv, fault) in [
            (&["--lfs-url=https://h/lfs"][..], "has no effect without --lfs=on"),
            (&["--lfs-transfers=3"], "has no effect without --lfs=on"),
            (&["--lfs=yes"], "must be on or off"),
            (&["--lfs=on", "--lfs-url=/srv/x"], "must be an http or https URL"),
            (&["--lfs=on", "--lfs-include=!a"], "begins with"),
            (&["--lfs=on", "--lfs-config=any"], "must be same-origin or ignore"),
            (&["--lfs=on", "--lfs-missing=skip"], "must be refuse or pointer"),
            (&["--lfs=on", "--lfs-transfers=0"], "must be a number from 1 to 64"),
            (&["--lfs=on", "--lfs-transfers=65"], "must be a number from 1 to 64"),
        ] {
            let errors = selection(argv).unwrap_err();
            assert!(errors.iter().any(|error| error.contains(fault)), "{argv:?}: {errors:?}");
        }
    }
}
