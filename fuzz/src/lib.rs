//! Everything that syncline parses itself, and what has to hold whatever it is given. A target takes bytes and
//! panics where something does not hold. `tests/replay.rs` runs them over the corpus and small changes of it;
//! `fuzz_targets/one.rs` hands them to libFuzzer.

mod lfs;
mod library;
mod pack;
mod program;
mod push;
mod recipe;
mod relay;
mod signatures;
mod stock_git;

/// What is run with an input.
pub type Target = fn(&[u8]);

/// Names, which are those of the directories of the corpus, and what is run.
pub const TARGETS: [(&str, Target); 35] = [
    ("allowed_signers", signatures::allowed_signers),
    ("attributes", library::attributes),
    ("capabilities", library::capabilities),
    ("config", program::config),
    ("config_file", program::config_file),
    ("cookies", program::cookies),
    ("credential", program::credential),
    ("delta", pack::delta::<false>),
    ("errors", library::errors),
    ("form", push::form),
    ("git_config", program::git_config),
    ("known_hosts", library::known_hosts),
    ("lfs_answer", lfs::answer),
    ("lfs_config", lfs::config),
    ("lfs_pointer", lfs::pointer),
    ("names", library::names),
    ("netrc", program::netrc),
    ("openpgp_keys", signatures::openpgp_keys),
    ("openpgp_signature", signatures::openpgp_signature),
    ("pack", pack::pack::<false>),
    ("proxy", library::proxy),
    ("push", push::push),
    ("range", library::range),
    ("recipe", pack::recipe::<false>),
    ("redirect", library::redirect),
    ("relay_tip", relay::tip),
    ("relay_url", relay::url),
    ("retry_after", library::retry_after),
    ("signed", signatures::signed),
    ("sparse", library::sparse),
    ("ssh_key", library::ssh_key),
    ("sshsig", signatures::sshsig),
    ("status", program::status),
    ("submodule", library::submodule),
    ("url", library::url),
];

/// Those that can compare what they find with stock git's judgement.
const BESIDE_GIT: [(&str, Target); 3] =
    [("delta", pack::delta::<true>), ("pack", pack::pack::<true>), ("recipe", pack::recipe::<true>)];

/// The target of a name, beside git where that is possible.
pub fn target(name: &str, beside_git: bool) -> Target {
    let beside_git = BESIDE_GIT.iter().filter(|_| beside_git);
    let found = beside_git.chain(&TARGETS).find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("there is no target {name:?}; see fuzz/src/lib.rs")).1
}

/// Whether git is to judge every input. It takes far longer than a target alone.
pub fn git_is_wanted() -> bool {
    std::env::var_os("FUZZ_GIT").is_some()
}

/// A text, or what is nearest to it.
fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

/// The first lines of a text, empty where there are fewer, and all the rest.
fn lines<const N: usize>(text: &str) -> ([&str; N], &str) {
    let (mut first, mut rest) = ([""; N], text);
    for line in &mut first {
        (*line, rest) = rest.split_once('\n').unwrap_or((rest, ""));
    }
    (first, rest)
}
