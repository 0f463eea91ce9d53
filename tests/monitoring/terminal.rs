//! What a person at a terminal sees.

use std::process::Command;

use crate::support::*;

/// Run the program on a terminal, and return what it shows there.
fn on_terminal(program: &Syncline) -> (Option<i32>, String) {
    let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().unwrap());
    let words: Vec<String> = std::iter::once(program.command.get_program())
        .chain(program.command.get_args())
        .map(quoted)
        .collect();
    let mut script = Command::new("script");
    let output =
        script.args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"]).output().unwrap();
    (output.status.code(), text(&output.stdout))
}

#[test]
fn a_first_sync_says_what_it_did_where_it_is_and_what_comes_next() {
    let env = Env::new();
    let repo = env.repo("up");
    let (code, shown) = on_terminal(&env.syncline(repo.url()).one_time());
    let link = env.link();
    for text in [
        &format!("Published {} in ", &repo.head()[..10]),
        &format!("the files     {}", link.display()),
        &format!("git -C {} log", link.display()),
        "The same command without --one-time",
    ] {
        assert!(code == Some(0) && shown.contains(text), "{text}: {shown}");
    }
    let (_, again) = on_terminal(&env.syncline(repo.url()).one_time());
    assert!(again.contains(&format!("Nothing new: {} is published", &repo.head()[..10])), "{again}");
    let quiet = env.syncline(repo.url()).sync();
    assert!(!quiet.stderr.contains("The same command"), "{}", quiet.stderr);
}

#[test]
fn long_work_shows_its_stage_how_much_is_done_and_how_fast() {
    let env = Env::new();
    let repo = env.repo("up");
    let mut random = fastrand::Rng::with_seed(1);
    let content: String = std::iter::repeat_with(|| random.alphanumeric()).take(600_000).collect();
    repo.commit(&[("large", &content)]);
    let nginx = Nginx::start(&env.path(""));
    // Buffered answers can be slowed down.
    let directives =
        format!("location ^~ /slow/ {{ proxy_pass http://127.0.0.1:{}/; limit_rate 200k; }}", nginx.port());
    let front = Nginx::with(&env.path("front"), 2, &directives);
    let (code, shown) = on_terminal(&env.syncline(front.url("slow/up/.git")).one_time());
    assert_eq!(code, Some(0), "{shown}");
    let lines: Vec<&str> =
        shown.split("\r\x1b[K").filter(|line| line.starts_with("receiving objects")).collect();
    assert!(lines.len() >= 3 && lines.iter().any(|line| line.contains("KiB/s")), "{shown}");
    let failed = on_terminal(&env.syncline(env.path("none").display().to_string()).one_time());
    assert!(failed.0 == Some(1) && !failed.1.contains("The same command"), "{}", failed.1);
}
