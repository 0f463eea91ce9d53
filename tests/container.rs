//! As in a container: process 1, an empty root file system that is read-only, any user, no capabilities.
//! Namespaces need root, and the empty root needs the static binary (`SYNCLINE_BINARY`).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::pods::can_isolate;
use crate::support::*;

#[test]
fn it_works_in_an_empty_read_only_root_as_any_user() {
    if std::env::var_os("SYNCLINE_BINARY").is_none() {
        return skip("SYNCLINE_BINARY names no static binary");
    }
    if !can_isolate() {
        return skip("no namespaces can be made without root");
    }
    let env = Env::new();
    let _repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let sshd = Sshd::start(&env);
    let key = sshd.authorized_key();
    let known_hosts = sshd.known_hosts(&sshd.host_line("ed25519"));
    // Neither user has an entry in a passwd file, nor is there one; the secret is its group's to read.
    let places = [nginx.url("up/.git"), sshd.url(env.path("up"))];
    for (user, url) in places.iter().flat_map(|url| [(65533, url), (1_234_567, url)]) {
        let image = env.path(&format!("image-{user}-{}", url.split(':').next().unwrap()));
        fs::create_dir_all(image.join("git")).unwrap();
        let secrets = image.join("etc/git-secret");
        fs::create_dir_all(&secrets).unwrap();
        fs::copy(&key, secrets.join("ssh")).unwrap();
        fs::copy(&known_hosts, secrets.join("known_hosts")).unwrap();
        std::os::unix::fs::chown(secrets.join("ssh"), None, Some(user)).unwrap();
        fs::set_permissions(secrets.join("ssh"), PermissionsExt::from_mode(0o440)).unwrap();
        fs::copy(binary(), image.join("syncline")).unwrap();
        // What a container runtime does: the volume is the only place that can be written.
        let script = format!(
            "set -e; mount --make-rprivate /; mount --bind {image} {image}; mount -t tmpfs -o mode=0777 none {image}/git
             mount -o remount,bind,ro {image}
             ! touch {image}/x 2>/dev/null
             env -i $(command -v chroot) --userspec={user}:{user} {image} /syncline --root=/git --repo={url} \
                 --link=link --one-time
             cat {image}/git/link/file; stat -c %u {image}/git/link",
            image = image.display(),
        );
        // Changing the user drops all capabilities.
        let output = Command::new("unshare")
            .args(["--pid", "--mount", "--fork", "sh", "-c", &script])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), format!("one\n{user}\n"), "{}", text(&output.stderr));
    }
}

#[test]
fn process_1_reaps_what_hooks_leave_behind() {
    if !can_isolate() {
        return skip("no namespaces can be made without root");
    }
    let env = Env::new();
    let repo = env.repo("up");
    let hook = env.path("hook");
    // Twelve orphans that end by themselves after the hook.
    write_program(&hook, "#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8 9 10 11 12; do (sleep 0.2 &) ; done\n");
    let mut command = Command::new("unshare");
    command.args(["--pid", "--mount-proc", "--fork", "--kill-child"]).arg(binary());
    command.args([format!("--repo={}", repo.url()), format!("--root={}", env.root().display())]);
    command.args(["--link=link", "--period=1h"]).arg(format!("--exechook-command={}", hook.display()));
    let mut child =
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    eventually("publication", || env.published());
    let init = eventually("process 1", || {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).ok()?;
        children.trim().parse::<u32>().ok()
    });
    let children = || {
        let children = fs::read_to_string(format!("/proc/{init}/task/{init}/children")).unwrap_or_default();
        children.split_whitespace().count()
    };
    eventually("the orphans", || (children() >= 12).then_some(()));
    eventually("their end", || (children() == 0).then_some(()));
    // And the signal that ends a container is heard.
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(init as i32).unwrap(),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    let status = eventually("the end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}
