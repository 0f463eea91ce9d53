//! What is on disk when the machine loses power: a file system is copied as its disk has it at some moment, and
//! mounted again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::*;

/// An ext4 file system in a file. Its disk is the file; what only the kernel's memory has is not in there.
struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

impl Disk {
    /// `None` where this process may not mount.
    fn new(env: &Env, name: &str) -> Option<Disk> {
        let image = env.path(&format!("{name}.img"));
        fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
        run("mkfs.ext4", &["-q", "-E", "lazy_itable_init=0", path(&image)]).then_some(())?;
        Disk::mount(env, name)
    }

    fn mount(env: &Env, name: &str) -> Option<Disk> {
        let disk = Disk { image: env.path(&format!("{name}.img")), mount: env.path(name) };
        fs::create_dir(&disk.mount).unwrap();
        run("mount", &["-o", "loop", path(&disk.image), path(&disk.mount)]).then_some(disk)
    }

    /// What would be there after the power went and came back.
    fn after_power_loss(&self, env: &Env, name: &str) -> Disk {
        fs::copy(&self.image, env.path(&format!("{name}.img"))).unwrap();
        Disk::mount(env, name).unwrap()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &[path(&self.mount)]);
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run(program: &str, args: &[&str]) -> bool {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|err| panic!("{program}: {err}"));
    if !output.status.success() {
        eprintln!("{program} {args:?}: {}", text(&output.stderr));
    }
    output.status.success()
}

/// Sync twice, lose power right after the second flip, and return what the link shows then: its name and whether the
/// files are whole. `None` where no file system can be mounted.
fn lose_power(durability: &str) -> Option<(Option<String>, bool, [String; 2])> {
    let env = Env::new();
    let repo = env.repo("up");
    let disk = Disk::new(&env, "disk")?;
    let sync = || {
        env.syncline(repo.url())
            .arg(format!("--root={}/root", path(&disk.mount)))
            .arg(format!("--durability={durability}"))
            .sync()
    };
    let old = repo.commit_incompressible(1 << 20);
    sync();
    rustix::fs::syncfs(fs::File::open(&disk.mount).unwrap()).unwrap();
    fs::write(repo.path.join("noise/0"), noise(2, 64 * 1024)).unwrap();
    let new = repo.commit(&[("file", &"much text\n".repeat(10_000))]);
    sync();
    // Any other program's fsync makes the file system write what it knows of names, but not the files.
    let other = fs::File::create(disk.mount.join("other")).unwrap();
    other.sync_all().unwrap();
    let lost = disk.after_power_loss(&env, "lost");
    let link = lost.mount.join("root/link");
    let shown = fs::read_link(&link).ok().map(|to| to.file_name().unwrap().to_str().unwrap().to_owned());
    let commit = shown.clone().unwrap_or(new.clone());
    let fresh = env.path("fresh");
    repo.git(&["worktree", "add", "--quiet", "--detach", path(&fresh), &commit]);
    let is_whole = link.exists() && listing(&link) == listing(&fresh);
    Some((shown, is_whole, [old, new]))
}

#[test]
fn a_durable_link_shows_a_whole_tree_after_a_loss_of_power() {
    let Some((shown, is_whole, commits)) = lose_power("data") else {
        return skip("no file system can be mounted");
    };
    assert_eq!(shown.as_ref(), Some(&commits[1]));
    assert!(is_whole);
    // The same without: were the tree whole all the same, this would show nothing.
    let (shown, is_whole, commits) = lose_power("none").unwrap();
    assert_eq!(shown.as_ref(), Some(&commits[1]));
    assert!(!is_whole, "the loss of power lost nothing");
}
