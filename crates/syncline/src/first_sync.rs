//! What a person at a terminal is told after `--one-time`: what was done, where it is, and what comes next.

use std::fmt::Write;
use std::path::PathBuf;

use crate::config::Config;
use crate::progress_line::is_watched;
use crate::serve::plain;
use crate::status::{Facts, Outcome};

/// What is known before the sync.
pub struct FirstSync {
    place: PathBuf,
    root: PathBuf,
}

impl FirstSync {
    /// `None` if nobody watches, or if it is not the only sync.
    pub fn of(config: &Config) -> Option<FirstSync> {
        let (root, link) = (&config.publishing.root, &config.publishing.link);
        let is_wanted = config.timing.policy.one_time && is_watched(config.log.format);
        is_wanted.then(|| FirstSync { place: root.join(link), root: root.clone() })
    }

    /// A few lines, if it succeeded.
    pub fn describe(&self, facts: &Facts) -> Option<String> {
        let (published, attempt) = (facts.published.as_ref()?, facts.attempts.front()?);
        let (place, reference) = (self.place.display(), plain(facts.published_reference()));
        let (commit, subject) = (&published.info.id.to_string()[..10], plain(&published.info.subject));
        let done = match (attempt.outcome, facts.received_objects) {
            (Outcome::Error, _) => return None,
            (_, 0) => format!("Nothing new: {commit} is published"),
            _ => format!("Published {commit} in {:.1} s", attempt.seconds),
        };
        let mut text = String::new();
        let _ = writeln!(text, "\n{done}: {subject:?}, the newest commit of {reference}.");
        let _ = writeln!(text, "  the files     {place}");
        let _ = writeln!(text, "  its history   git -C {place} log");
        let _ = writeln!(text, "  the store     {}", self.root.join(".git").display());
        let _ = writeln!(
            text,
            "The same command without --one-time keeps it in step; --http-bind=:8080 shows how it does."
        );
        Some(text)
    }
}
