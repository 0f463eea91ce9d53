//! The examples of sync-core against a real repository.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::*;

/// An example that runs; killed when dropped.
struct Example {
    child: Child,
    output: PathBuf,
    errors: PathBuf,
}

impl Example {
    fn start(env: &Env, name: &str, arguments: &[&str]) -> Example {
        let (output, errors) = (env.path("output"), env.path("errors"));
        let mut command = Command::new(example(name));
        command.args(arguments).stdin(Stdio::piped());
        command.stdout(File::create(&output).unwrap()).stderr(File::create(&errors).unwrap());
        Example { child: command.spawn().unwrap(), output, errors }
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.output).unwrap().lines().map(str::to_owned).collect()
    }

    fn errors(&self) -> String {
        fs::read_to_string(&self.errors).unwrap()
    }

    #[track_caller]
    fn wait_for(&self, line: &str) {
        eventually(line, || self.lines().iter().any(|found| found == line).then_some(()));
    }

    /// Its exit code.
    #[track_caller]
    fn wait(&mut self) -> Option<i32> {
        eventually("the example's end", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn config_reloader_reloads_when_its_file_changes() {
    let env = Env::new();
    let repo = env.repo("up");
    let root = env.root();
    let arguments = [repo.url(), "main", root.to_str().unwrap(), "file"];
    let example = Example::start(&env, "config_reloader", &arguments);
    example.wait_for("reloaded: one");
    let other = repo.commit(&[("dir/other", "changed\n")]);
    eventually("the other change", || root.join(".worktrees").join(&other).exists().then_some(()));
    repo.commit(&[("file", "two\n")]);
    example.wait_for("reloaded: two");
    assert_eq!(example.lines(), ["reloaded: one", "reloaded: two"]);
    assert_eq!(example.errors(), "");

    let away = env.path("away");
    fs::rename(&repo.path, &away).unwrap();
    eventually("an error", || example.errors().contains("No such file").then_some(()));
    fs::rename(&away, &repo.path).unwrap();
    repo.commit(&[("file", "three\n")]);
    example.wait_for("reloaded: three");
    drop(example);

    fs::rename(&repo.path, &away).unwrap();
    let example = Example::start(&env, "config_reloader", &arguments);
    example.wait_for("reloaded: three");
    assert_eq!(example.lines().len(), 1, "the last configuration is there without the repository");
}

#[test]
fn many_mirrors_follow_their_repositories_whatever_happens_to_one() {
    let env = Env::new();
    let repos = ["a", "b", "c"].map(|name| env.repo(name));
    let root = env.root();
    let mut arguments = vec!["main", root.to_str().unwrap()];
    arguments.extend(repos.iter().map(|repo| repo.url()));
    let example = Example::start(&env, "many_mirrors", &arguments);
    let line = |number: usize, repo: &Repo| {
        let tree = root.join(number.to_string()).join(".worktrees").join(repo.head());
        format!("{} is in {}", repo.head(), tree.display())
    };
    for (number, repo) in (1..).zip(&repos) {
        example.wait_for(&line(number, repo));
    }
    assert_eq!(example.errors(), "");
    fs::rename(&repos[1].path, env.path("away")).unwrap();
    eventually("an error", || example.errors().contains("No such file").then_some(()));
    repos[2].commit(&[("file", "two\n")]);
    example.wait_for(&line(3, &repos[2]));
    assert_eq!(example.lines().len(), 4);
}

#[test]
fn docs_builder_follows_several_branches() {
    let env = Env::new();
    let repo = env.repo("up");
    repo.git(&["checkout", "--quiet", "-b", "release/1"]);
    repo.commit(&[("notes", "first\n")]);
    repo.git(&["checkout", "--quiet", "main"]);
    let (root, out) = (env.root(), env.path("out"));
    let paths = [&root, &out].map(|path| path.to_str().unwrap());
    let arguments = [repo.url(), paths[0], paths[1], "main", "release/1"];
    let mut example = Example::start(&env, "docs_builder", &arguments);
    let pages = ["main.html", "release-1.html"].map(|name| out.join(name));
    let built = pages.each_ref().map(|page| format!("built {} from change", page.display()));
    built.iter().for_each(|line| example.wait_for(line));
    let [main, release] = pages.each_ref().map(|page| fs::read_to_string(page).unwrap());
    assert!(main.contains(&repo.head()) && main.ends_with("<li>dir\n<li>file\n"), "{main}");
    assert!(release.ends_with("<li>dir\n<li>file\n<li>notes\n"), "{release}");

    repo.commit(&[("news", "more\n")]);
    eventually("the next page", || fs::read_to_string(&pages[0]).unwrap().contains("<li>news").then_some(()));
    assert_eq!(fs::read_to_string(&pages[1]).unwrap(), release);
    kill_process(Pid::from_child(&example.child), Signal::INT).unwrap();
    assert_eq!(example.wait(), Some(0));
    assert_eq!(example.lines().iter().filter(|line| **line == built[1]).count(), 1, "{:?}", example.lines());
    assert_eq!(example.errors(), "");
}

#[test]
fn ci_checkout_takes_branches_and_commits() {
    let env = Env::new();
    let repo = env.repo("up");
    let old = repo.head();
    repo.commit(&[("new", "file\n")]);
    repo.git(&["update-ref", "refs/pull/1/merge", "HEAD"]);
    let (root, nginx) = (env.root(), Nginx::start(&env.path("")));
    let url = nginx.url("up/.git");
    let mut example = Example::start(&env, "ci_checkout", &[&url, root.to_str().unwrap()]);
    let jobs = ["main", &old, "no-such-branch", "a..b", "refs/pull/1/merge"];
    example.child.stdin.take().unwrap().write_all(jobs.join("\n").as_bytes()).unwrap();
    assert_eq!(example.wait(), Some(0), "{}", example.errors());
    let built =
        ["main: 3 files".to_owned(), format!("{old}: 2 files"), "refs/pull/1/merge: 3 files".to_owned()];
    assert_eq!(example.lines(), built);
    let errors = example.errors();
    let lines: Vec<_> = errors.lines().collect();
    assert_eq!(lines.len(), 2, "{errors}");
    assert!(lines[0].starts_with("not there: ") && lines[0].contains("no-such-branch"), "{errors}");
    assert!(lines[1].contains("not a valid reference name"), "{errors}");
    let tree = root.join(".worktrees").join(repo.head());
    assert_eq!(fs::read_to_string(tree.join("build.log")).unwrap(), "built\n");
    assert_eq!(fs::read_dir(root.join(".worktrees")).unwrap().count(), 1);
}

#[test]
fn signed_policies_takes_over_what_somebody_signed_who_may() {
    let env = Env::new();
    let (repo, root, key) = (env.repo("up"), env.root(), env.path("key"));
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.unwrap().success());
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    let signers = env.path("signers");
    fs::write(&signers, format!("dev@x {public}")).unwrap();
    let sign = |message: &str| {
        let setting = format!("user.signingkey={}", key.display());
        let signed =
            ["-c", "gpg.format=ssh", "-c", &setting, "commit", "--quiet", "--allow-empty", "-S", "-m"];
        repo.git(&[&signed[..], &[message]].concat());
        repo.head()
    };
    let good = sign("one");
    let arguments = [repo.url(), "main", signers.to_str().unwrap(), root.to_str().unwrap()];
    let example = Example::start(&env, "signed_policies", &arguments);
    let is_signed = |commit: &str| {
        let found =
            example.lines().iter().any(|line| line.starts_with(&format!("{commit} is signed by SSH ")));
        found.then_some(())
    };
    eventually("the signed commit", || is_signed(&good));
    repo.commit(&[("file", "not signed\n")]);
    eventually("a refusal", || example.errors().contains("it is not signed").then_some(()));
    let next = sign("two");
    eventually("the next one", || is_signed(&next));
    assert_eq!(example.lines().len(), 2);
}

#[test]
fn release_follower_never_goes_back() {
    let env = Env::new();
    let repo = env.repo("up");
    repo.git(&["tag", "v1.9.0"]);
    let (old, root) = (repo.head(), env.root());
    let tree = |commit: &str| root.join(".worktrees").join(commit).display().to_string();
    let example = Example::start(&env, "release_follower", &[repo.url(), "^1", root.to_str().unwrap()]);
    example.wait_for(&format!("1.9.0 is in {}", tree(&old)));
    let new = repo.commit(&[("file", "two\n")]);
    repo.git(&["tag", "v2.0.0"]);
    repo.git(&["tag", "v1.10.0"]);
    example.wait_for(&format!("1.10.0 is in {}", tree(&new)));
    repo.git(&["tag", "--delete", "v1.10.0"]);
    eventually("a refusal", || example.errors().contains("it comes before").then_some(()));
    assert_eq!(example.lines().len(), 2);
    assert!(root.join(".worktrees").join(&new).exists());
}
