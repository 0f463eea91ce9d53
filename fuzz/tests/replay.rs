//! The short run: every target over its corpus, and over changes of it that are the same every time. `FUZZ_SEED`
//! makes others, `FUZZ_ROUNDS` more. Git judges the corpus and the first changes, and with `FUZZ_GIT` all of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

const ROUNDS: usize = 1000;

/// How many of them git judges, which takes time.
const ROUNDS_BESIDE_GIT: usize = 100;

macro_rules! targets {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() { replay(stringify!($name)); })*
    };
}

targets! {
    allowed_signers attributes capabilities config config_file cookies credential delta errors form git_config known_hosts
    lfs_answer lfs_config lfs_pointer names netrc openpgp_keys openpgp_signature pack proxy push range recipe redirect
    relay_tip relay_url retry_after signed sparse ssh_key sshsig status submodule url
}

#[test]
fn every_target_is_replayed_and_has_a_corpus() {
    let targets: Vec<&str> = syncline_fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(NAMES, targets);
    let mut corpora: Vec<_> =
        std::fs::read_dir(corpus("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    corpora.sort();
    assert_eq!(corpora, targets);
}

#[test]
fn the_commit_that_others_cannot_have_signed_is_signed() {
    let (certificate, commit) =
        (include_bytes!("../src/openpgp_keys.bin"), include_bytes!("../src/openpgp_commit.txt"));
    let signer = sync_core::fuzzing::openpgp_signer(certificate, commit);
    assert_eq!(signer, Ok(Some("AEBEBB88D0FF19C536FA49D7D702A8E57E83AFF9".to_owned())));
}

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn replay(name: &str) {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(corpus(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    for (file, seed) in files.iter().zip(&seeds) {
        check(syncline_fuzz::target(name, true), seed, &file.display().to_string());
    }
    let start = setting("FUZZ_SEED", 1);
    let mut random = fastrand::Rng::with_seed(start as u64);
    for round in 0..setting("FUZZ_ROUNDS", ROUNDS) {
        let changed = change(&seeds, &mut random);
        let beside_git = round < ROUNDS_BESIDE_GIT || syncline_fuzz::git_is_wanted();
        check(
            syncline_fuzz::target(name, beside_git),
            &changed,
            &format!("{name}, seed {start}, round {round}"),
        );
    }
}

fn check(run: syncline_fuzz::Target, data: &[u8], origin: &str) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(data))) {
        eprintln!("{origin} does not hold for \"{}\"", data.escape_ascii());
        std::panic::resume_unwind(panic);
    }
}

/// One of the seeds with one to four changes.
fn change(seeds: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut data = random.choice(seeds).cloned().unwrap_or_default();
    for _ in 0..random.usize(1..5) {
        let at = random.usize(0..=data.len());
        let end = random.usize(at..=data.len().min(at + 16));
        match random.u8(0..6) {
            0 if at < data.len() => data[at] ^= 1 << random.u8(0..8),
            1 if at < data.len() => data[at] = random.u8(..),
            2 => data.insert(at, *random.choice(b"\0\n\t :/@%*!.,;\"\\-_0129~\x7f\xff").unwrap_or(&0)),
            3 => drop(data.drain(at..end)),
            4 => drop(data.splice(at..at, data[at..end].to_vec())),
            _ => {
                // A piece of another seed.
                let other = random.choice(seeds).cloned().unwrap_or_default();
                let from = random.usize(0..=other.len());
                let to = random.usize(from..=other.len().min(from + 40));
                drop(data.splice(at..end, other[from..to].iter().copied()));
            }
        }
    }
    data
}
