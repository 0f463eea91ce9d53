//! A signal to the processes of a name. Names are unique, since tests run side by side.

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::*;

/// At most 15 bytes, which the kernel keeps.
pub fn unique_name() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("eater-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst))
}

/// A consumer that starts another of its name; both write down the signals that they get, and end with it.
pub struct Consumer {
    pub name: String,
    process: Child,
}

impl Consumer {
    pub fn start(env: &Env, name: String) -> Consumer {
        let note = |who: &str, signal: &str| {
            format!("trap 'echo {who} {signal} >> {}' {signal}\n", env.path("told").display())
        };
        let notes = |who: &str| note(who, "HUP") + &note(who, "USR1");
        // The parent has its name only when it is ready for signals: one before would be its end. A shell cannot catch what
        // was ignored before it, as under nohup.
        let script = format!(
            "{}printf {name} > /proc/$$/comm\n({}echo > {}; while :; do sleep 0.02; done) &\nwhile :; do sleep 0.02; done\n",
            notes("parent"),
            notes("child"),
            env.path("started").display()
        );
        let process = Command::new("env")
            .args(["--default-signal", "sh", "-c", &script])
            .process_group(0)
            .spawn()
            .unwrap();
        eventually("the consumer", || env.path("started").exists().then_some(()));
        Consumer { name, process }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        let _ = self.process.wait();
    }
}

pub fn told(env: &Env) -> String {
    fs::read_to_string(env.path("told")).unwrap_or_default()
}

#[test]
fn the_topmost_process_of_the_name_gets_the_signal_at_the_first_pass_and_every_change() {
    let env = Env::new();
    let repo = env.repo("up");
    let consumer = Consumer::start(&env, unique_name());
    let notifying = || env.syncline(repo.url()).arg(format!("--notify-process={}", consumer.name));
    notifying().sync();
    eventually("the signal", || (told(&env) == "parent HUP\n").then_some(()));
    let running = notifying().arg("--notify-signal=SIGUSR1").arg("--period=20ms").spawn();
    eventually("the first pass", || (told(&env) == "parent HUP\nparent USR1\n").then_some(()));
    repo.commit(&[("file", "two")]);
    eventually("the change", || (told(&env) == "parent HUP\nparent USR1\nparent USR1\n").then_some(()));
    assert!(running.log().contains("\"hook\":\"notify\""), "{}", running.log());
}

#[test]
fn a_process_is_found_by_what_it_was_started_as() {
    let env = Env::new();
    let repo = env.repo("up");
    let name = format!("{}-with-a-long-name", unique_name());
    let mut process = Command::new("sleep").arg0(format!("/opt/bin/{name}")).arg("300").spawn().unwrap();
    env.syncline(repo.url()).arg("--notify-process").arg(&name).arg("--notify-signal=TERM").sync();
    let end = eventually("its end", || process.try_wait().unwrap());
    assert_eq!(end.signal(), Some(15));
}

#[test]
fn a_process_that_is_not_there_yet_is_looked_for_again() {
    let env = Env::new();
    let repo = env.repo("up");
    let (name, port) = (unique_name(), free_port());
    let running = env
        .syncline(repo.url())
        .arg(format!("--notify-process={name}"))
        .arg(format!("--http-bind=127.0.0.1:{port}"))
        .arg("--http-metrics")
        .spawn();
    running.wait_for("delivery failed");
    let log = running.log();
    assert!(log.contains(&name) && log.contains("set shareProcessNamespace: true"), "{log}");
    let _consumer = Consumer::start(&env, name);
    running.wait_for("\"delivered\"");
    eventually("the signal", || (told(&env) == "parent HUP\n").then_some(()));
    let (_, page) = get(port, "/metrics");
    for status in ["error", "success"] {
        let sample = format!("git_sync_hook_run_count_total{{name=\"notify\",status=\"{status}\"}} ");
        assert!(page.contains(&sample), "{page}");
    }
}

#[test]
fn it_never_signals_itself() {
    let env = Env::new();
    let repo = env.repo("up");
    let name = unique_name();
    fs::copy(binary(), env.path(&name)).unwrap();
    let output = Command::new(env.path(&name))
        .args([format!("--repo={}", repo.url()), format!("--root={}", env.root().display())])
        .args(["--link=link", "--one-time", "--notify-process", &name])
        .output()
        .unwrap();
    let log = text(&output.stderr);
    assert!(output.status.code() == Some(1) && log.contains("no process is named"), "{log}");
    env.assert_published(&repo, &repo.head());
}

#[test]
fn one_that_has_ended_is_not_told() {
    let env = Env::new();
    let (repo, name) = (env.repo("up"), unique_name());
    let script = format!("printf {name} > /proc/$$/comm");
    let mut ended = Command::new("sh").args(["-c", &script]).spawn().unwrap();
    let state = format!("/proc/{}/stat", ended.id());
    eventually("its end", || fs::read_to_string(&state).unwrap().contains(") Z ").then_some(()));
    let sync = env.syncline(repo.url()).arg(format!("--notify-process={name}")).one_time().run();
    assert!(sync.code == Some(1) && sync.stderr.contains("no process is named"), "{}", sync.stderr);
    ended.wait().unwrap();
}
