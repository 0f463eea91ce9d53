//! Scenes at a relay in a directory: of a follower, which is shown a relay as it was after each commit, and of a
//! feeder, whose relay lies below the root, so that every write to it is a step.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Env, Syncline, eventually, fsck};

/// What the program under watch does with a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// There is no relay.
    Alone,
    Follower,
    Feeder,
}

impl Part {
    /// Where the relay of this one is.
    fn relay(self, env: &Env) -> PathBuf {
        match self {
            Part::Follower => env.path("relay"),
            Part::Alone | Part::Feeder => env.root().join("relay"),
        }
    }

    /// The program, with the root and the options of this part; the relay is that of `env`.
    pub fn syncline(self, env: &Env, url: String) -> Syncline {
        match self {
            Part::Alone => env.syncline(url),
            Part::Follower => follower(env, "root", &env.path("relay")).arg("--relay-period=10ms"),
            Part::Feeder => feeding(env.syncline(url), &self.relay(env)),
        }
    }

    /// Whether nothing is left to do once the root has the last commit: a feeder has told the relay, too.
    pub fn has_told(self, env: &Env, commit: &str) -> bool {
        self != Part::Feeder || named(&self.relay(env)).as_deref() == Some(commit)
    }

    /// Whether a killed process may leave more files of this name than an undisturbed one: a relay keeps packs that
    /// no tip names for a while.
    pub fn may_be_left(self, name: &str) -> bool {
        self == Part::Feeder && name.starts_with("relay/site/packs/") && name.ends_with(".pack")
    }
}

/// A feeder takes the commit that the upstream shows now to a relay, undisturbed, and the relay as it is then is kept.
pub fn record(env: &Env, url: String, commit: &str) {
    let relay = env.path("recorded");
    let recorder = rooted(env, "recorder").arg(format!("--repo={url}"));
    feed_until(feeding(recorder, &relay), &relay, commit);
    super::scene::restore(&relay, &env.path(&format!("relay-{commit}")), false);
}

/// The followers' relay is as it was after this commit.
pub fn show(env: &Env, commit: &str) {
    let link = env.path("relay-next");
    symlink(env.path(&format!("relay-{commit}")), &link).unwrap();
    fs::rename(link, env.path("relay")).unwrap();
}

/// Run the feeder until it has told its relay of a commit and has nothing left to do.
#[track_caller]
pub fn feed_until(feeder: Syncline, relay: &Path, commit: &str) {
    let mut running = feeder.arg("--period=10ms").arg("--max-failures=-1").arg("-v1").spawn();
    eventually("the tip", || (named(relay).as_deref() == Some(commit)).then_some(()));
    running.wait_for_more("nothing new", 3);
    running.signal(Signal::TERM);
    assert_eq!(running.wait().0, Some(0), "{}", running.log());
}

/// Start the feeder under watch once more, without any help.
#[track_caller]
pub fn recover(feeder: Syncline, env: &Env, commit: &str) {
    feed_until(feeder, &Part::Feeder.relay(env), commit);
}

/// Somebody who has nothing yet gets the commit from the feeder's relay.
#[track_caller]
pub fn assert_followed(env: &Env, commit: &str, case: &str) {
    let finished = follower(env, "fresh-follower", &Part::Feeder.relay(env)).one_time().run();
    assert_eq!(finished.code, Some(0), "{case}: {}", finished.stderr);
    let root = env.path("fresh-follower");
    assert!(fs::read_link(root.join("link")).unwrap().ends_with(commit), "{case}");
    assert_eq!(fsck(&root.join(".git")), (true, String::new()), "{case}");
    fs::remove_dir_all(root).unwrap();
}

fn rooted(env: &Env, root: &str) -> Syncline {
    Syncline::new().arg(format!("--root={}", env.path(root).display())).arg("--link=link")
}

fn follower(env: &Env, root: &str, relay: &Path) -> Syncline {
    at(rooted(env, root), relay)
}

fn feeding(syncline: Syncline, relay: &Path) -> Syncline {
    at(syncline, relay).arg("--relay-role=feed").arg("--submodules=off")
}

fn at(syncline: Syncline, relay: &Path) -> Syncline {
    syncline.arg(format!("--relay-url=file://{}", relay.display())).arg("--relay-name=site")
}

/// The commit that the tip of a relay names.
fn named(relay: &Path) -> Option<String> {
    let record: Value = serde_json::from_slice(&fs::read(relay.join("site/tip.json")).ok()?).unwrap();
    let payload = STANDARD.decode(record["payload"].as_str().unwrap()).unwrap();
    let tip: Value = serde_json::from_slice(&payload).unwrap();
    Some(tip["commit"].as_str().unwrap().to_owned())
}
