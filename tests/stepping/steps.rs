//! The program under ptrace: every system call by which it deals with a directory, the network or its log is
//! shown to somebody before it is made, who may let it be, refuse it, or end the program there and then.
//!
//! Calls are seen in the order in which all threads make them. The moment after one call is the moment before the
//! next, so a kill before each call covers every state that can be left behind, but for a write that was cut
//! short: [`Deed::Tear`].

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};

use nix::errno::Errno;
use nix::libc::{self, c_long, user_regs_struct};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::support::{PATIENCE, text};

/// A system call that is about to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub name: &'static str,
    pub effect: Effect,
    /// The path below the watched directory, or the text of a log line.
    pub object: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Changes,
    Reads,
    Network,
    Logs,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Allow,
    /// It is not made and gives this error.
    Refuse(Errno),
    /// The program is killed before it.
    Kill,
    /// A write stores half of its bytes, and the program is killed.
    Tear,
    /// It is made, and the program hears SIGTERM.
    Terminate,
}

/// Run a program and put its every dealing with `dir`, the network and its log to `decide`. Gives the exit code;
/// `None` if it was killed.
pub fn step_through(command: &Command, dir: &Path, decide: impl FnMut(&Call) -> Deed + Send) -> Option<i32> {
    let ((started, start), (ended, end)) = (channel(), channel::<()>());
    std::thread::scope(|scope| {
        // On a thread of its own, whose only child is the program.
        let stepping = scope.spawn(move || {
            let _ended = ended;
            let leader = launch(command);
            started.send(leader).unwrap();
            Steps { leader, dir, decide, inside: HashMap::new() }.follow()
        });
        if let (Ok(leader), Err(RecvTimeoutError::Timeout)) = (start.recv(), end.recv_timeout(PATIENCE)) {
            kill(leader, Signal::SIGKILL).unwrap();
            panic!("the program hangs");
        }
        stepping.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Started by a shell that waits until it is watched.
#[expect(clippy::zombie_processes, reason = "`follow` waits for all threads")]
fn launch(command: &Command) -> Pid {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", r#"read -r _; exec "$0" "$@""#]).arg(command.get_program()).args(command.get_args());
    shell.env_clear().stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = shell.spawn().unwrap();
    let leader = Pid::from_raw(child.id() as i32);
    let options = Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL;
    ptrace::seize(leader, options).expect("tracing is permitted");
    ptrace::interrupt(leader).unwrap();
    waitpid(leader, None).unwrap();
    ptrace::syscall(leader, None).unwrap();
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    leader
}

struct Steps<'a, D> {
    leader: Pid,
    dir: &'a Path,
    decide: D,
    /// The threads that are in a call, and what becomes of it.
    inside: HashMap<Pid, Deed>,
}

impl<D: FnMut(&Call) -> Deed> Steps<'_, D> {
    fn follow(&mut self) -> Option<i32> {
        let mut code = None;
        loop {
            let (thread, signal) = match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)) {
                Err(Errno::ECHILD) => return code,
                Ok(WaitStatus::Exited(thread, status)) => {
                    code = code.or((thread == self.leader).then_some(status));
                    continue;
                }
                Ok(WaitStatus::PtraceSyscall(thread)) => {
                    // A killed thread is gone by now.
                    let _ = self.enter_or_leave(thread);
                    (thread, None)
                }
                Ok(WaitStatus::PtraceEvent(thread, ..)) => (thread, None),
                Ok(WaitStatus::Stopped(thread, signal)) => (thread, Some(signal)),
                Ok(_) => continue,
                Err(err) => panic!("{err}"),
            };
            let _ = ptrace::syscall(thread, signal);
        }
    }

    fn enter_or_leave(&mut self, thread: Pid) -> nix::Result<()> {
        if let Some(deed) = self.inside.remove(&thread) {
            return self.leave(thread, deed);
        }
        let mut regs = ptrace::getregs(thread)?;
        let deed = describe(thread, &regs, self.dir).map_or(Deed::Allow, |call| (self.decide)(&call));
        match deed {
            Deed::Allow => {}
            Deed::Refuse(_) => {
                regs.orig_rax = u64::MAX; // no such call
                ptrace::setregs(thread, regs)?;
            }
            Deed::Kill => kill(self.leader, Signal::SIGKILL)?,
            Deed::Tear => {
                regs.rdx /= 2;
                ptrace::setregs(thread, regs)?;
            }
            Deed::Terminate => kill(self.leader, Signal::SIGTERM)?,
        }
        self.inside.insert(thread, deed);
        Ok(())
    }

    fn leave(&self, thread: Pid, deed: Deed) -> nix::Result<()> {
        match deed {
            Deed::Refuse(errno) => {
                let mut regs = ptrace::getregs(thread)?;
                regs.rax = -(errno as i64) as u64;
                ptrace::setregs(thread, regs)
            }
            Deed::Tear => kill(self.leader, Signal::SIGKILL),
            _ => Ok(()),
        }
    }
}

/// Which argument of a call says what it deals with.
#[derive(Clone, Copy)]
enum Argument {
    Path(usize),
    /// The number of a directory, and a path from there.
    At(usize),
    /// The number of an open file.
    Fd(usize),
}

use Argument::{At, Fd, Path as Named};
use Effect::{Changes, Network, Reads};

/// The calls that deal with files and connections.
const CALLS: [(c_long, &str, Effect, Argument); 57] = [
    (libc::SYS_open, "open", Reads, Named(0)),
    (libc::SYS_openat, "openat", Reads, At(0)),
    (libc::SYS_creat, "creat", Changes, Named(0)),
    (libc::SYS_read, "read", Reads, Fd(0)),
    (libc::SYS_readv, "readv", Reads, Fd(0)),
    (libc::SYS_pread64, "pread64", Reads, Fd(0)),
    (libc::SYS_mmap, "mmap", Reads, Fd(4)),
    (libc::SYS_getdents64, "getdents64", Reads, Fd(0)),
    (libc::SYS_stat, "stat", Reads, Named(0)),
    (libc::SYS_lstat, "lstat", Reads, Named(0)),
    (libc::SYS_statx, "statx", Reads, At(0)),
    (libc::SYS_newfstatat, "newfstatat", Reads, At(0)),
    (libc::SYS_readlink, "readlink", Reads, Named(0)),
    (libc::SYS_readlinkat, "readlinkat", Reads, At(0)),
    (libc::SYS_write, "write", Changes, Fd(0)),
    (libc::SYS_writev, "writev", Changes, Fd(0)),
    (libc::SYS_pwrite64, "pwrite64", Changes, Fd(0)),
    (libc::SYS_pwritev, "pwritev", Changes, Fd(0)),
    (libc::SYS_copy_file_range, "copy_file_range", Changes, Fd(2)),
    (libc::SYS_sendfile, "sendfile", Changes, Fd(0)),
    (libc::SYS_fallocate, "fallocate", Changes, Fd(0)),
    (libc::SYS_truncate, "truncate", Changes, Named(0)),
    (libc::SYS_ftruncate, "ftruncate", Changes, Fd(0)),
    (libc::SYS_mkdir, "mkdir", Changes, Named(0)),
    (libc::SYS_mkdirat, "mkdirat", Changes, At(0)),
    (libc::SYS_rmdir, "rmdir", Changes, Named(0)),
    (libc::SYS_unlink, "unlink", Changes, Named(0)),
    (libc::SYS_unlinkat, "unlinkat", Changes, At(0)),
    (libc::SYS_rename, "rename", Changes, Named(0)),
    (libc::SYS_renameat, "renameat", Changes, At(0)),
    (libc::SYS_renameat2, "renameat2", Changes, At(0)),
    (libc::SYS_link, "link", Changes, Named(1)),
    (libc::SYS_linkat, "linkat", Changes, At(2)),
    (libc::SYS_symlink, "symlink", Changes, Named(1)),
    (libc::SYS_symlinkat, "symlinkat", Changes, At(1)),
    (libc::SYS_mknod, "mknod", Changes, Named(0)),
    (libc::SYS_mknodat, "mknodat", Changes, At(0)),
    (libc::SYS_chmod, "chmod", Changes, Named(0)),
    (libc::SYS_fchmod, "fchmod", Changes, Fd(0)),
    (libc::SYS_fchmodat, "fchmodat", Changes, At(0)),
    (libc::SYS_chown, "chown", Changes, Named(0)),
    (libc::SYS_fchown, "fchown", Changes, Fd(0)),
    (libc::SYS_fchownat, "fchownat", Changes, At(0)),
    (libc::SYS_utimensat, "utimensat", Changes, At(0)),
    (libc::SYS_flock, "flock", Changes, Fd(0)),
    (libc::SYS_fsync, "fsync", Changes, Fd(0)),
    (libc::SYS_fdatasync, "fdatasync", Changes, Fd(0)),
    (libc::SYS_sync_file_range, "sync_file_range", Changes, Fd(0)),
    (libc::SYS_syncfs, "syncfs", Changes, Fd(0)),
    (libc::SYS_setxattr, "setxattr", Changes, Named(0)),
    (libc::SYS_fsetxattr, "fsetxattr", Changes, Fd(0)),
    (libc::SYS_connect, "connect", Network, Fd(0)),
    (libc::SYS_sendto, "sendto", Network, Fd(0)),
    (libc::SYS_sendmsg, "sendmsg", Network, Fd(0)),
    (libc::SYS_recvfrom, "recvfrom", Network, Fd(0)),
    (libc::SYS_recvmsg, "recvmsg", Network, Fd(0)),
    (libc::SYS_shutdown, "shutdown", Network, Fd(0)),
];

/// What a call does, if it deals with anything below `dir`, a connection or the log.
fn describe(thread: Pid, regs: &user_regs_struct, dir: &Path) -> Option<Call> {
    let (_, name, effect, argument) = *CALLS.iter().find(|(number, ..)| *number as u64 == regs.orig_rax)?;
    let args = [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9];
    if name == "write" && args[0] == 2 {
        let line = memory(thread, args[1], args[2] as usize)?;
        return Some(Call { name, effect: Effect::Logs, object: text(&line) });
    }
    let target = match argument {
        Fd(at) => open_file(thread, args[at])?,
        Named(at) => below(thread, libc::AT_FDCWD as u64, args[at])?,
        At(at) => below(thread, args[at], args[at + 1])?,
    };
    if target.to_string_lossy().starts_with("socket:") {
        return Some(Call { name, effect: Network, object: "network".into() });
    }
    let flags = match (name, argument) {
        ("open", _) => args[1],
        ("openat", _) => args[2],
        _ => 0,
    };
    let is_made = flags & (libc::O_CREAT | libc::O_TRUNC) as u64 != 0;
    let object = target.strip_prefix(dir).ok()?.to_string_lossy().into_owned();
    Some(Call { name, effect: if is_made { Changes } else { effect }, object })
}

/// Where a path leads from an open directory.
fn below(thread: Pid, fd: u64, path: u64) -> Option<PathBuf> {
    let path = PathBuf::from(text(&c_string(thread, path)?));
    match path.components().next() {
        Some(Component::RootDir) => Some(path),
        Some(_) => Some(open_file(thread, fd)?.join(path)),
        None => open_file(thread, fd),
    }
}

fn open_file(thread: Pid, fd: u64) -> Option<PathBuf> {
    let link = match fd as i32 {
        libc::AT_FDCWD => format!("/proc/{thread}/cwd"),
        fd => format!("/proc/{thread}/fd/{fd}"),
    };
    fs::read_link(link).ok()
}

/// No path at all is the file itself.
fn c_string(thread: Pid, address: u64) -> Option<Vec<u8>> {
    if address == 0 {
        return Some(Vec::new());
    }
    let mut bytes = memory(thread, address, libc::PATH_MAX as usize)?;
    bytes.truncate(bytes.iter().position(|byte| *byte == 0)?);
    Some(bytes)
}

fn memory(thread: Pid, address: u64, size: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; size];
    let read = File::open(format!("/proc/{thread}/mem")).ok()?.read_at(&mut bytes, address).ok()?;
    bytes.truncate(read);
    Some(bytes)
}

impl Call {
    /// The same without what differs between runs.
    pub fn masked(&self) -> Call {
        Call { object: masked(&self.object), ..*self }
    }
}

/// A path without what differs between runs: ids, random names and process ids.
pub fn masked(path: &str) -> String {
    let mut plain = String::new();
    for word in path.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let name = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_id = name.len() >= 16 && name.chars().all(|c| c.is_ascii_hexdigit());
        let is_random = plain.ends_with('.') && name.len() == 9 && name.starts_with("tmp");
        let is_numbered = ["tmp_pack_", "tmp_object_"].iter().any(|kind| plain.ends_with(kind));
        let is_pid = is_numbered && name.chars().all(|c| c.is_ascii_digit());
        plain.push_str(if is_id || is_random || is_pid { "*" } else { name });
        plain.push_str(&word[name.len()..]);
    }
    plain
}
