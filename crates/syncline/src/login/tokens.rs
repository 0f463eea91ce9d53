//! The tokens of all sources of a process.

use std::sync::{Arc, Mutex, PoisonError};

use super::source::TokenSource;
use super::token::Token;

/// The token that a source gave last.
pub(super) type Kept = Arc<Mutex<Option<Token>>>;

/// The tokens of all sources of the process: repositories with the same source use the same token. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Arc<Mutex<Vec<Used>>>);

/// A source, and its token.
type Used = (Arc<dyn TokenSource>, Kept);

impl Tokens {
    /// The token of a source, and of all that are the same.
    pub(super) fn of(&self, source: &Arc<dyn TokenSource>) -> Kept {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, kept)) = all.iter().find(|(known, _)| known.is_same(&**source)) {
            return kept.clone();
        }
        all.retain(|(_, kept)| Arc::strong_count(kept) > 1); // the others are not used any more
        let kept = Kept::default();
        all.push((source.clone(), kept.clone()));
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::SOURCES;
    use crate::reader::tests::read;

    /// The source that these options ask for.
    fn source(options: &[&str]) -> Arc<dyn TokenSource> {
        read(options, &[], |r| SOURCES.iter().find_map(|kind| (kind.read)(r))).unwrap().unwrap()
    }

    #[test]
    fn repositories_with_the_same_source_use_one_token() {
        let app = ["--github-app-client-id=x", "--github-app-private-key-file=/k"];
        let app = |installation: &str| source(&[&app[..], &[installation]].concat());
        let oauth = ["--oauth-token-url=https://h/", "--oauth-client-id=x", "--oauth-client-secret-file=/s"];
        let askpass = ["--askpass-url=https://h/"];
        let tokens = Tokens::default();
        let kept = [app("--github-app-installation-id=1"), source(&oauth)].map(|source| tokens.of(&source));
        let same = |kept: &Kept, source: Arc<dyn TokenSource>| Arc::ptr_eq(kept, &tokens.of(&source));
        assert!(same(&kept[0], app("--github-app-installation-id=1")));
        assert!(!same(&kept[0], app("--github-app-installation-id=2")));
        assert!(same(&kept[1], source(&oauth)));
        assert!(!same(&kept[1], source(&[&oauth[..], &["--oauth-scope=y"]].concat())));
        let asked = tokens.of(&source(&askpass));
        assert!(!same(&asked, source(&askpass)), "it is asked before every sync");
    }
}
