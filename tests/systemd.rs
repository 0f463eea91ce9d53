//! The protocol of sd_notify(3), as a service manager meets it.

use std::collections::BTreeSet;
use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::*;

/// A service manager: its socket, and what was said there so far.
struct Manager {
    socket: UnixDatagram,
    name: String,
    heard: Vec<String>,
}

impl Manager {
    fn at_path(env: &Env) -> Manager {
        let path = env.path("notify");
        Manager::new(UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap().into())
    }

    fn at_abstract_name(env: &Env) -> Manager {
        let name = env.path("notify").to_str().unwrap().to_owned();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        Manager::new(UnixDatagram::bind_addr(&address).unwrap(), format!("@{name}"))
    }

    fn new(socket: UnixDatagram, name: String) -> Manager {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Manager { socket, name, heard: Vec::new() }
    }

    fn hear(&mut self) -> std::io::Result<String> {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer)?;
        self.heard.push(text(&buffer[..length]));
        Ok(text(&buffer[..length]))
    }

    #[track_caller]
    fn wait_for(&mut self, what: &str) {
        while !self.hear().unwrap_or_else(|err| panic!("no {what}: {err}: {:?}", self.heard)).contains(what) {
        }
    }

    /// What is under way, without waiting for more.
    fn drain(&mut self) -> usize {
        self.socket.set_nonblocking(true).unwrap();
        let count = std::iter::from_fn(|| self.hear().ok()).count();
        self.socket.set_nonblocking(false).unwrap();
        count
    }
}

#[test]
fn it_is_ready_after_the_first_sync_and_says_what_goes_on_and_when_it_ends() {
    for manager in [Manager::at_path, Manager::at_abstract_name] {
        let env = Env::new();
        let repo = env.repo("up");
        fs::rename(&repo.path, env.path("away")).unwrap();
        let mut manager = manager(&env);
        let running = env.syncline(repo.url()).arg("--max-failures=-1").arg("--period=50ms");
        let mut running = running.env("NOTIFY_SOCKET", &manager.name).spawn();
        manager.wait_for("STATUS=nothing was synced yet; failed syncs in a row: ");
        assert!(!manager.heard.concat().contains("READY"), "{:?}", manager.heard);
        fs::rename(env.path("away"), &repo.path).unwrap();
        manager.wait_for("READY=1");
        assert_eq!(env.published(), Some(repo.head()));
        manager.wait_for(&format!("STATUS={} is published", &repo.head()[..12]));
        running.signal(Signal::TERM);
        manager.wait_for("STOPPING=1");
        assert_eq!(running.wait().0, Some(0));
        manager.drain();
        assert_eq!(manager.heard.last().unwrap(), "STOPPING=1");
        assert_eq!(manager.heard.iter().filter(|text| *text == "READY=1").count(), 1, "{:?}", manager.heard);
    }
}

#[test]
fn a_one_time_sync_is_ready_before_it_ends_and_never_where_it_fails() {
    let env = Env::new();
    let repo = env.repo("up");
    let mut manager = Manager::at_path(&env);
    env.syncline(repo.url()).env("NOTIFY_SOCKET", &manager.name).sync();
    manager.drain();
    assert!(manager.heard.ends_with(&["READY=1".into(), "STOPPING=1".into()]), "{:?}", manager.heard);
    manager.heard.clear();
    env.syncline(repo.url()).arg("--ref=gone").env("NOTIFY_SOCKET", &manager.name).fail();
    manager.drain();
    assert!(!manager.heard.contains(&"READY=1".into()), "{:?}", manager.heard);
}

#[test]
fn the_watchdog_is_fed_while_the_loop_lives() {
    let env = Env::new();
    let repo = env.repo("up");
    let mut manager = Manager::at_path(&env);
    let running = env.syncline(repo.url()).env("NOTIFY_SOCKET", &manager.name);
    let running = running.env("WATCHDOG_USEC", "20000").arg("--period=1h").spawn();
    for _ in 0..5 {
        manager.wait_for("WATCHDOG=1");
    }
    running.signal(Signal::STOP);
    eventually("the stop", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", running.id())).unwrap();
        stat.contains(") T ").then_some(())
    });
    manager.drain();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(manager.drain(), 0, "{:?}", manager.heard);
    running.signal(Signal::CONT);
    manager.wait_for("WATCHDOG=1");
}

#[test]
fn nobody_is_told_of_life_who_did_not_ask() {
    let env = Env::new();
    let repo = env.repo("up");
    for variables in [vec![], vec![("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "1")]] {
        let mut manager = Manager::at_path(&env);
        let syncline = env.syncline(repo.url()).env("NOTIFY_SOCKET", &manager.name);
        variables.into_iter().fold(syncline, |syncline, (name, value)| syncline.env(name, value)).sync();
        assert!(manager.drain() > 0 && !manager.heard.concat().contains("WATCHDOG"), "{:?}", manager.heard);
        fs::remove_file(&manager.name).unwrap();
    }
}

#[test]
fn a_manager_that_cannot_be_told_stops_no_sync() {
    let env = Env::new();
    let repo = env.repo("up");
    for name in ["nonsense", "/nonexistent/notify"] {
        let log = env.syncline(repo.url()).env("NOTIFY_SOCKET", name).sync().stderr;
        assert_eq!(log.matches("NOTIFY_SOCKET").count(), 1, "{log}");
    }
    env.assert_published(&repo, &repo.head());
}

#[test]
fn hooks_do_not_see_the_managers_variables() {
    let env = Env::new();
    let repo = env.repo("up");
    let manager = Manager::at_path(&env);
    let hook = env.path("hook");
    fs::write(&hook, format!("#!/bin/sh\nexport > {}\n", env.path("seen").display())).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let syncline = env.syncline(repo.url()).arg("--exechook-command").arg(&hook).env("OTHER", "x");
    let syncline = syncline.env("NOTIFY_SOCKET", &manager.name).env("WATCHDOG_USEC", "9000000");
    syncline.env("WATCHDOG_PID", "1").sync();
    let seen = fs::read_to_string(env.path("seen")).unwrap();
    assert!(seen.contains("OTHER"), "{seen}");
    assert!(!seen.contains("NOTIFY_SOCKET") && !seen.contains("WATCHDOG"), "{seen}");
}

const UNIT: &str = include_str!("../deploy/systemd/syncline@.service");
const UNIT_OF_MANY: &str = include_str!("../deploy/systemd/syncline.service");

/// What the unit gives a setting, line by line.
fn settings(name: &str) -> impl Iterator<Item = &'static str> {
    UNIT.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix('='))
}

/// What a name of system calls stands for; those of sets begin with @.
fn system_calls(name: &str) -> BTreeSet<String> {
    if !name.starts_with('@') {
        return BTreeSet::from([name.to_owned()]);
    }
    let output = Command::new("systemd-analyze").args(["--no-pager", "syscall-filter", name]).output();
    let shown = text(&output.expect("systemd-analyze is installed").stdout);
    let names =
        shown.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    names.flat_map(system_calls).collect()
}

/// Lines that begin with ~ take away, but never what every program needs.
fn allowed_system_calls() -> BTreeSet<String> {
    let (taken, given): (Vec<&str>, Vec<&str>) =
        settings("SystemCallFilter").partition(|line| line.starts_with('~'));
    let all = |lines: Vec<&str>| -> BTreeSet<String> {
        let names = lines.iter().flat_map(|line| line.trim_start_matches('~').split_whitespace());
        names.flat_map(system_calls).collect()
    };
    let (given, taken, needed) = (all(given), all(taken), system_calls("@default"));
    given.into_iter().filter(|call| !taken.contains(call) || needed.contains(call)).collect()
}

/// They differ in what they sync, not in what they may do.
#[test]
fn the_unit_of_many_repositories_is_confined_like_that_of_one() {
    let own = ["Environment", "EnvironmentFile", "ExecReload", "StateDirectory"];
    let confinement = |unit: &'static str| -> Vec<&str> {
        let service = unit.split("[Service]").nth(1).unwrap();
        let lines = service.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.filter(|line| !own.contains(&line.split('=').next().unwrap())).collect()
    };
    assert!(confinement(UNIT).len() > 30);
    assert_eq!(confinement(UNIT), confinement(UNIT_OF_MANY));
}

#[test]
fn the_example_of_the_unit_of_many_repositories_has_no_fault() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/systemd/config.yaml");
    let output = Command::new(binary())
        .args(["--root=/var/lib/syncline", "--config-check", "--config"])
        .arg(example)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn the_unit_allows_what_the_program_asks_of_the_system() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let sshd = Sshd::start(&env);
    let (key, known_hosts) = (sshd.authorized_key(), sshd.known_hosts(&sshd.host_line("ed25519")));
    let manager = Manager::at_path(&env);
    let mut trace = String::new();
    for (number, url) in [nginx.url("up/.git"), sshd.url(&repo.path)].iter().enumerate() {
        let (port, file) = (free_port(), env.path(&format!("trace-{number}")));
        let mut strace = Command::new("strace")
            .args(["-f", "-qq", "-e", "signal=none", "-o"])
            .arg(&file)
            .arg(binary())
            .args([format!("--repo={url}"), format!("--root={}", env.root().display())])
            .args([
                "--link=link",
                "--period=50ms",
                "--touch-file=touched",
                "--http-metrics",
                "--git-gc=aggressive",
            ])
            .args([format!("--http-bind=127.0.0.1:{port}"), "--notify-process=nobody-has-this-name".into()])
            .arg(format!("--ssh-key-file={}", key.display()))
            .arg(format!("--ssh-known-hosts-file={}", known_hosts.display()))
            .env("NOTIFY_SOCKET", &manager.name)
            .stderr(Stdio::null())
            .spawn()
            .expect("strace is installed");
        for content in ["2", "3"] {
            let commit = repo.commit(&[("file", &format!("{number} {content}"))]);
            eventually("publication", || (env.published()? == commit).then_some(()));
        }
        assert_eq!(get(port, "/metrics").0, 200);
        let children = format!("/proc/{0}/task/{0}/children", strace.id());
        let program = fs::read_to_string(children).unwrap().trim().parse().unwrap();
        kill_process(Pid::from_raw(program).unwrap(), Signal::TERM).unwrap();
        assert!(strace.wait().unwrap().success());
        trace += &fs::read_to_string(file).unwrap();
    }
    let calls = trace.lines().filter_map(|line| line.split_whitespace().nth(1)?.split_once('('));
    // A thread that was gone before its call could be read has none.
    let calls: BTreeSet<String> =
        calls.map(|(name, _)| name.to_owned()).filter(|name| name != "???").collect();
    assert!(calls.contains("connect") && calls.contains("execve"), "{calls:?}");
    let allowed = allowed_system_calls();
    let refused: Vec<_> = calls.difference(&allowed).collect();
    assert!(refused.is_empty(), "{refused:?}");
    let families = trace.split("socket(").skip(1).filter_map(|rest| rest.split(',').next());
    let known: Vec<&str> = settings("RestrictAddressFamilies").flat_map(str::split_whitespace).collect();
    let foreign: BTreeSet<&str> = families.filter(|family| !known.contains(family)).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}
