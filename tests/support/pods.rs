//! Containers made by podman, in a storage and namespaces of their own: nothing of them is left when they are dropped,
//! and all that they can reach is each other and the ports that are let through.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::{Env, Quiet, eventually, skip, text};

/// The image that ships, and one with a shell and nginx, as they are called here.
pub const SYNCLINE: &str = "localhost/syncline";
pub const CONSUMER: &str = "localhost/consumer";

/// crun wants newer control groups, and podman's limits would be refused where the machine's cannot be raised. Locks
/// in shared memory would be the machine's own, of which a new storage lets go.
const CONFIGURATION: &str = "
[engine]
runtime = \"runc\"
lock_type = \"file\"
[containers]
default_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]
";

pub struct Pods {
    dir: PathBuf,
    /// The first process of the namespaces, and who watches over it.
    init: u32,
    unshare: Child,
    forwarders: Vec<Child>,
}

impl Pods {
    /// None where there is no image (`SYNCLINE_IMAGE`), or namespaces are not for us to make.
    #[track_caller]
    pub fn start(env: &Env) -> Option<Pods> {
        let Some(image) = std::env::var_os("SYNCLINE_IMAGE") else {
            skip("SYNCLINE_IMAGE names no image");
            return None;
        };
        if !can_isolate() {
            skip("no namespaces can be made without root");
            return None;
        }
        let dir = env.path(".pods");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("containers.conf"), CONFIGURATION).unwrap();
        // Some machine's first process does not bury what podman leaves to it; this one does.
        let mut unshare = Command::new("unshare");
        unshare.args(["--pid", "--mount", "--net", "--fork", "--kill-child", "--mount-proc"]);
        let unshare = unshare.args(["catatonit", "--", "sleep", "infinity"]).quiet().spawn().unwrap();
        let init = eventually("the namespaces' first process", || {
            let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", unshare.id())).ok()?;
            let child: u32 = children.trim().parse().ok()?;
            // It is catatonit when everything is mounted.
            fs::read_to_string(format!("/proc/{child}/comm")).ok()?.starts_with("catatonit").then_some(child)
        });
        let pods = Pods { dir, init, unshare, forwarders: Vec::new() };
        pods.inside("ip").args(["link", "set", "lo", "up"]).done();
        let loaded = pods.podman(&["load", "--quiet", "--input", image.to_str().unwrap()]);
        pods.podman(&["tag", loaded.rsplit_once(": ").unwrap().1, SYNCLINE]);
        pods.import_consumer();
        Some(pods)
    }

    /// A program inside the namespaces.
    fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.init)).args(["--pid", "--mount", "--net", program]);
        command.env("CONTAINERS_CONF", self.dir.join("containers.conf"));
        command
    }

    pub fn podman_command(&self, args: &[&str]) -> Command {
        let mut podman = self.inside("podman");
        for (option, dir) in
            [("root", "root"), ("runroot", "run"), ("tmpdir", "tmp"), ("network-config-dir", "networks")]
        {
            podman.arg(format!("--{option}")).arg(self.dir.join(dir));
        }
        podman.args(args);
        podman
    }

    /// Run podman and return what it printed, without its last newline.
    #[track_caller]
    pub fn podman(&self, args: &[&str]) -> String {
        self.podman_command(args).done()
    }

    /// Let what is inside reach a port of this machine, under the same address.
    pub fn let_through(&mut self, port: u16) {
        let socket = self.dir.join(format!("{port}.socket"));
        let mut outside = Command::new("socat");
        outside.arg(format!("UNIX-LISTEN:{},fork", socket.display())).arg(format!("TCP:127.0.0.1:{port}"));
        self.forwarders.push(outside.process_group(0).quiet().spawn().unwrap());
        eventually("the way out", || socket.exists().then_some(()));
        let mut inside = self.inside("socat");
        inside.arg(format!("TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr"));
        inside.arg(format!("UNIX-CONNECT:{}", socket.display()));
        self.forwarders.push(inside.process_group(0).quiet().spawn().unwrap());
        eventually("the way in", || {
            let mut try_it = self.inside("socat");
            try_it.args(["/dev/null", &format!("TCP:127.0.0.1:{port}")]);
            try_it.quiet().status().unwrap().success().then_some(())
        });
    }

    /// Create the pods of a manifest, without starting them.
    #[track_caller]
    pub fn create(&self, manifest: &str) {
        let file = self.dir.join("manifest.yaml");
        fs::write(&file, manifest).unwrap();
        self.podman(&["kube", "play", "--network=host", "--start=false", file.to_str().unwrap()]);
        // The kubelet's emptyDir is open to all.
        for volume in self.podman(&["volume", "ls", "--quiet"]).lines() {
            let data = self.dir.join("root/volumes").join(volume).join("_data");
            fs::set_permissions(data, fs::Permissions::from_mode(0o777)).unwrap();
        }
    }

    /// The full name of the container that a manifest calls so.
    #[track_caller]
    pub fn container(&self, name: &str) -> String {
        let names = self.podman(&["ps", "--all", "--format={{.Names}}"]);
        let found = names.lines().find(|known| known.ends_with(&format!("-{name}")));
        found.unwrap_or_else(|| panic!("no container {name} among {names:?}")).to_owned()
    }

    /// What a container printed so far.
    #[track_caller]
    pub fn logs(&self, container: &str) -> String {
        let output = self.podman_command(&["logs", container]).output().unwrap();
        format!("{}{}", text(&output.stdout), text(&output.stderr))
    }

    /// Run a program in a container.
    pub fn exec(&self, container: &str, command: &[&str]) -> Output {
        self.podman_command(&[&["exec", container], command].concat()).output().unwrap()
    }

    /// busybox with all its names, and nginx with what it needs, from this machine.
    fn import_consumer(&self) {
        let tree = self.dir.join("consumer");
        for dir in ["bin", "usr/sbin", "var/log/nginx", "var/lib/nginx", "etc/nginx"] {
            fs::create_dir_all(tree.join(dir)).unwrap();
        }
        let busybox = found_in_path("busybox");
        fs::copy(&busybox, tree.join("bin/busybox")).unwrap();
        for name in Command::new(&busybox).arg("--list").done().lines().filter(|name| *name != "busybox") {
            std::os::unix::fs::symlink("busybox", tree.join("bin").join(name)).unwrap();
        }
        let nginx = found_in_path("nginx");
        fs::copy(&nginx, tree.join("usr/sbin/nginx")).unwrap();
        fs::copy("/etc/nginx/mime.types", tree.join("etc/nginx/mime.types")).unwrap();
        // Lines of the forms `libz.so.1 => /lib/libz.so.1 (0x…)` and `/lib64/ld-linux.so.2 (0x…)`.
        for line in Command::new("ldd").arg(&nginx).done().lines() {
            let Some(library) = line.split_whitespace().find(|word| word.starts_with('/')) else { continue };
            let place = tree.join(library.trim_start_matches('/'));
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::copy(library, place).unwrap();
        }
        let archive = self.dir.join("consumer.tar");
        Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(&tree).arg(".").done();
        self.podman(&[
            "import",
            "--quiet",
            "--change=ENV PATH=/bin:/usr/sbin",
            archive.to_str().unwrap(),
            CONSUMER,
        ]);
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        // In order first, for what the kernel would keep: control groups.
        let _ = self.podman_command(&["pod", "rm", "--force", "--time=0", "--all"]).output();
        let _ = self.podman_command(&["rm", "--force", "--time=0", "--all"]).output();
        for child in &mut self.forwarders {
            let group = rustix::process::Pid::from_child(child);
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            let _ = child.wait();
        }
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

/// Whether this machine lets tests make namespaces.
pub fn can_isolate() -> bool {
    let tried = Command::new("unshare").args(["--pid", "--mount", "--fork", "true"]).status();
    rustix::process::geteuid().is_root() && tried.is_ok_and(|status| status.success())
}

fn found_in_path(program: &str) -> PathBuf {
    let path = Command::new("sh").arg("-c").arg(format!("command -v {program}")).done();
    fs::canonicalize(Path::new(&path)).unwrap()
}

/// Commands that must succeed.
pub trait Done {
    fn done(&mut self) -> String;
}

impl Done for Command {
    #[track_caller]
    fn done(&mut self) -> String {
        let output = self.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{self:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout).trim_end().to_owned()
    }
}
