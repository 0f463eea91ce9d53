//! Syncs in a control group, which bounds their memory, page cache included.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::memory::{MIB, commit_many};
use crate::support::*;

/// A control group of this process's own; gone when dropped.
struct Group(PathBuf);

impl Group {
    /// With so much memory, page cache included; where this machine lets tests make one.
    fn of(memory: usize) -> Option<Group> {
        let name = format!("syncline-test-{}-{memory}", std::process::id());
        for (hierarchy, limit) in [("memory", "memory.limit_in_bytes"), (".", "memory.max")] {
            let group = Group(Path::new("/sys/fs/cgroup").join(hierarchy).join(&name));
            if fs::create_dir(&group.0).is_ok()
                && fs::write(group.0.join(limit), memory.to_string()).is_ok()
                && group.0.join("cgroup.procs").exists()
            {
                return Some(group);
            }
        }
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// What is on a file system in memory counts as the group's.
fn is_on_disk(dir: &Path) -> bool {
    const TMPFS: i64 = 0x0102_1994;
    rustix::fs::statfs(dir).unwrap().f_type as i64 != TMPFS
}

/// A sync in a control group of its own, where this machine lets tests make one.
fn sync_in(group: Option<&Group>, env: &Env, url: &str, options: &[String]) -> Output {
    let mut command = Command::new("sh");
    let enter = "if [ -n \"$0\" ]; then echo $$ >\"$0\"/cgroup.procs || exit 9; fi; exec \"$@\"";
    command.args(["-c", enter]).arg(group.map_or(Path::new(""), |group| &group.0)).arg(binary());
    command.arg(format!("--repo={url}")).arg("--root").arg(env.root()).args(["--link=link", "--one-time"]);
    command.args(options).output().unwrap()
}

#[test]
fn a_container_of_32_mib_is_enough() {
    let env = Env::new();
    let Some(group) = Group::of(32 * MIB).filter(|_| is_on_disk(&env.path(""))) else {
        return skip("no control group can be made, or the files would be in memory");
    };
    let repo = env.repo("up");
    commit_many(&repo);
    let nginx = Nginx::start(&env.path(""));
    let output = sync_in(Some(&group), &env, &nginx.url("up/.git"), &[]);
    let log = text(&output.stderr);
    assert!(output.status.success(), "{}: {log}", output.status);
    assert!(log.contains(&format!("\"memory_limit\":{}", 32 * MIB)), "{log}");
    assert_eq!(env.published(), Some(repo.head()));
}

/// What is read as a whole is read into several times its size: all of it is bounded before that.
#[test]
fn files_that_are_read_as_a_whole_fit_into_64_mib_or_are_refused() {
    let lines = |line: &str, bytes: usize| line.repeat(bytes / line.len());
    let modules = |bytes: usize| {
        let section = |number| format!("[submodule \"m{number}\"]\n\tpath = p{number}\n\turl = ../m\n");
        let mut text = String::new();
        (0..)
            .map(section)
            .take_while(|section| {
                text.push_str(section);
                text.len() < bytes
            })
            .for_each(drop);
        text
    };
    let (attributes, gitmodules) = (".gitattributes", ".gitmodules");
    // The name, its content, patterns, and what is said where it is refused.
    let rows: [(&str, String, Option<String>, Option<&str>); 8] = [
        // git ignores an attribute file of more than 100 MiB, and so do we; below, it reads all of it.
        (attributes, lines("*.txt text eol=crlf\n", 110_000_000), None, None),
        (attributes, lines("*.txt text eol=crlf\n", 100_000_000), None, Some("read the attributes of")),
        (attributes, lines("a b\n", 600 << 10), None, Some("the attribute files before it, of")),
        (attributes, lines("a b\n", 500 << 10), None, None),
        (gitmodules, modules(500 << 10), None, None),
        (gitmodules, modules(600 << 10), None, Some("a .gitmodules of")),
        ("file", "one\n".into(), Some(lines("/*\n", 500 << 10)), None),
        (
            "file",
            "one\n".into(),
            Some(lines("/*\n", 600 << 10)),
            Some("larger than the limit of 524288 bytes"),
        ),
    ];
    let group = Group::of(64 * MIB);
    if group.is_none() {
        skip("no control group can be made: memory is not limited");
    }
    each_row(rows, |(name, content, patterns, refusal)| {
        let env = Env::new();
        let repo = env.repo("up");
        repo.git(&["config", "core.compression", "1"]);
        repo.write("a.txt", "line\n");
        repo.write(name, &content);
        repo.commit(&[]);
        let nginx = Nginx::start(&env.path(""));
        let mut options = Vec::new();
        if let Some(patterns) = &patterns {
            fs::write(env.path("patterns"), patterns).unwrap();
            options.push(format!("--sparse-checkout-file={}", env.path("patterns").display()));
        }
        let case = format!("{name} of {} bytes", patterns.as_ref().map_or(content.len(), String::len));
        let output = sync_in(group.as_ref(), &env, &nginx.url("up/.git"), &options);
        let log = text(&output.stderr);
        match refusal {
            None => {
                assert_eq!(output.status.code(), Some(0), "{case}: {log}");
                assert_eq!(env.published(), Some(repo.head()), "{case}");
                assert_eq!(env.read(name).len(), content.len(), "{case}");
                assert_eq!(env.read("a.txt"), "line\n", "{case}");
            }
            // Without a group the limits are those of a machine.
            Some(_) if group.is_none() && content.len() < MIB => {}
            Some(refusal) => {
                assert_eq!(output.status.code(), Some(1), "{case}: {log}");
                assert!(log.contains(refusal), "{case}: {log}");
            }
        }
    });
}
