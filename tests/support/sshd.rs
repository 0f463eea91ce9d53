//! OpenSSH's server on loopback, and keys of every kind for it and its users.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use super::servers::{Quiet, await_port, free_port};
use super::{Env, Syncline, isolated_git, text};

/// Serves every repository that its user, who is the one that runs the tests, can read.
pub struct Sshd {
    dir: PathBuf,
    port: u16,
    settings: String,
    child: Option<Child>,
}

impl Sshd {
    /// With an Ed25519 host key, and letting clients choose the protocol's version.
    pub fn start(env: &Env) -> Sshd {
        Sshd::with(env, &["ed25519"], "AcceptEnv GIT_PROTOCOL")
    }

    /// With host keys of these types, the first preferred, and more lines of configuration. `DIR` in them is the
    /// server's directory.
    pub fn with(env: &Env, host_keys: &[&str], settings: &str) -> Sshd {
        let dir = env.path(".sshd");
        fs::create_dir_all(dir.join("home")).unwrap();
        let keys: String = host_keys.iter().map(|kind| format!("HostKey DIR/host_{kind}\n")).collect();
        let mut sshd = Sshd { dir, port: free_port(), settings: format!("{keys}{settings}"), child: None };
        for kind in host_keys {
            sshd.make_host_key(kind);
        }
        fs::write(sshd.path("authorized_keys"), "").unwrap();
        sshd.run();
        sshd
    }

    pub fn make_host_key(&self, kind: &str) {
        let file = self.path(&format!("host_{kind}"));
        let _ = fs::remove_file(&file);
        keygen(&["-q", "-t", kind, "-N", "", "-f", file.to_str().unwrap()]);
    }

    fn run(&mut self) {
        if rustix::process::geteuid().is_root() {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let shell = text(&isolated_git().arg("--exec-path").output().unwrap().stdout);
        let settings = self.settings.replace("DIR", self.dir.to_str().unwrap());
        let config = format!(
            "{settings}\nListenAddress 127.0.0.1:{port}\nPidFile none\nStrictModes no\nLogLevel VERBOSE\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxAuthTries 20\n\
             AuthorizedKeysFile {dir}/authorized_keys\nSetEnv HOME={dir}/home\n\
             ForceCommand cd \"$HOME\" && exec {shell}/git-shell -c \"$SSH_ORIGINAL_COMMAND\"\n",
            port = self.port,
            dir = self.dir.display(),
            shell = shell.trim(),
        );
        let file = self.path("config");
        // Newer servers shut out whom they refused before; older ones do not know the word.
        fs::write(&file, format!("PerSourcePenalties no\n{config}")).unwrap();
        if !Command::new(SSHD).arg("-t").arg("-f").arg(&file).quiet().status().unwrap().success() {
            fs::write(&file, config).unwrap();
        }
        let mut sshd = Command::new(SSHD);
        sshd.arg("-D").arg("-f").arg(&file).arg("-E").arg(self.path("log"));
        self.child = Some(sshd.quiet().spawn().expect("sshd is installed"));
        await_port(self.port);
    }

    /// Go on with what was changed about its keys.
    pub fn restart(&mut self) {
        self.drop_sessions();
        self.stop();
        self.run();
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self, path: impl AsRef<Path>) -> String {
        format!("ssh://{}@127.0.0.1:{}{}", user(), self.port, path.as_ref().display())
    }

    /// A key made by ssh-keygen with these options, not yet authorized.
    pub fn key(&self, name: &str, options: &[&str]) -> PathBuf {
        let file = self.path(name);
        let passphrase = if options.contains(&"-N") { &[][..] } else { &["-N", ""] };
        keygen(&[&["-q", "-C", name, "-f", file.to_str().unwrap()], passphrase, options].concat());
        file
    }

    /// Let in who has the key; nobody else.
    pub fn authorize(&self, key: &Path) {
        fs::copy(with_suffix(key, ".pub"), self.path("authorized_keys")).unwrap();
    }

    /// An Ed25519 key that is authorized.
    pub fn authorized_key(&self) -> PathBuf {
        let key = self.key("key", &["-t", "ed25519"]);
        self.authorize(&key);
        key
    }

    /// How this server is called in known_hosts.
    pub fn name(&self) -> String {
        format!("[127.0.0.1]:{}", self.port)
    }

    /// A line of known_hosts for the host key of this type.
    pub fn host_line(&self, kind: &str) -> String {
        let key = fs::read_to_string(self.path(&format!("host_{kind}.pub"))).unwrap();
        format!("{} {key}", self.name())
    }

    /// A known_hosts file of these lines.
    pub fn known_hosts(&self, lines: &str) -> PathBuf {
        fs::write(self.path("known_hosts"), lines).unwrap();
        self.path("known_hosts")
    }

    /// The program, syncing `url` with the key `key` and the Ed25519 host key known.
    pub fn syncline(&self, env: &Env, url: impl AsRef<str>) -> Syncline {
        self.knowing(env, url, &self.host_line("ed25519")).arg("--ssh-key-file").arg(self.path("key"))
    }

    /// The program with a known_hosts file of these lines, and no key.
    pub fn knowing(&self, env: &Env, url: impl AsRef<str>, lines: &str) -> Syncline {
        env.syncline(url).arg("--ssh-known-hosts-file").arg(self.known_hosts(lines))
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// How many sessions were opened.
    pub fn logins(&self) -> usize {
        self.log().matches("Accepted publickey").count()
    }

    /// End all sessions from this side.
    pub fn drop_sessions(&self) {
        for pid in descendants(self.child.as_ref().unwrap().id()) {
            let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }

    /// How many programs run in sessions.
    pub fn programs(&self) -> usize {
        let name = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let all = descendants(self.child.as_ref().unwrap().id());
        all.iter().map(name).filter(|name| !name.is_empty() && !name.starts_with("sshd")).count()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.drop_sessions();
        }
        self.stop();
    }
}

const SSHD: &str = "/usr/sbin/sshd";

fn descendants(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    children.flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}

pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

/// Run ssh-keygen and return what it printed.
#[track_caller]
pub fn keygen(args: &[&str]) -> String {
    let output = Command::new("ssh-keygen").args(args).output().expect("ssh-keygen is installed");
    assert!(output.status.success(), "ssh-keygen {args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// `SHA256:…`, as stock ssh-keygen sees it.
pub fn fingerprint(key: &Path) -> String {
    keygen(&["-l", "-f", key.to_str().unwrap()]).split(' ').nth(1).unwrap().to_owned()
}

/// The user who runs the tests.
pub fn user() -> String {
    text(&Command::new("id").arg("-un").output().unwrap().stdout).trim().to_owned()
}
