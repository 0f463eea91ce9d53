//! A disk of so many operations a second: an image behind two loop devices. The first has a limit, which counts what
//! arrives there; the second has the file system, and puts neighbours together before they arrive, as the queue of a
//! real disk does. Without it each block of a journal would count alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A new ext4, mounted; gone when dropped.
pub struct SlowDisk {
    /// Where it is mounted.
    pub path: PathBuf,
    /// The loop devices, the one with the limit first.
    devices: Vec<PathBuf>,
}

/// How often a disk was asked, and told, something. A flush counts as a write.
#[derive(Clone, Copy, Default)]
pub struct Operations {
    pub reads: u64,
    pub writes: u64,
}

/// The limits of everything that is in no group, as the kernel's own threads are, which write most.
const LIMITS: [&str; 2] = ["read", "write"];

impl SlowDisk {
    /// Of so many reads and as many writes a second, with room for so many bytes; or why there can be none.
    pub fn new(base: &Path, per_second: usize, bytes: u64) -> Result<SlowDisk, String> {
        let groups = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        if !groups.lines().any(|line| line.ends_with(":blkio:/")) {
            return Err("it needs the blkio controller of cgroup v1, and to be in its root group".into());
        }
        let path = base.join("slow-disk");
        let image = path.with_extension("image");
        fs::create_dir_all(&path).map_err(|error| error.to_string())?;
        // Nothing of the last one is left in it.
        let _ = fs::remove_file(&image);
        fs::File::create(&image).and_then(|file| file.set_len(bytes)).map_err(|error| error.to_string())?;
        let mut disk = SlowDisk { path, devices: Vec::new() };
        disk.add_device(&[], &image)?;
        // Not through the page cache once more.
        disk.add_device(&["--direct-io=on"], &disk.devices[0].clone())?;
        // Whatever would be initialized in the background would be counted.
        let options = ["-q", "-N", &(bytes / (16 << 10)).to_string(), "-E"].map(String::from);
        let outer = disk.devices[1].to_str().unwrap();
        run(Command::new("mkfs.ext4")
            .args(options)
            .args(["lazy_itable_init=0,lazy_journal_init=0,nodiscard", outer]))?;
        run(Command::new("mount").arg(outer).arg(&disk.path))?;
        disk.limit(per_second)?;
        Ok(disk)
    }

    fn add_device(&mut self, options: &[&str], backing: &Path) -> Result<(), String> {
        let device = run(Command::new("losetup").args(["--find", "--show"]).args(options).arg(backing))?;
        self.devices.push(device.into());
        Ok(())
    }

    /// Zero is none.
    fn limit(&self, per_second: usize) -> Result<(), String> {
        let number = fs::read_to_string(self.statistics("dev")).map_err(|error| error.to_string())?;
        for kind in LIMITS {
            let file = format!("/sys/fs/cgroup/blkio/blkio.throttle.{kind}_iops_device");
            fs::write(&file, format!("{} {per_second}", number.trim()))
                .map_err(|error| format!("{file}: {error}"))?;
        }
        Ok(())
    }

    fn statistics(&self, file: &str) -> PathBuf {
        Path::new("/sys/block").join(self.devices[0].file_name().unwrap()).join(file)
    }

    /// So far.
    pub fn operations(&self) -> Operations {
        let text = fs::read_to_string(self.statistics("stat")).unwrap();
        let fields: Vec<u64> = text.split_whitespace().map(|field| field.parse().unwrap()).collect();
        Operations { reads: fields[0], writes: fields[4] }
    }

    /// Put all that was written on the disk. How long that took.
    pub fn sync(&self) -> Duration {
        let started = Instant::now();
        rustix::fs::syncfs(fs::File::open(&self.path).unwrap()).unwrap();
        started.elapsed()
    }

    /// Forget all that was read from it.
    pub fn cool(&self) {
        self.sync();
        // What was used lately is only marked at first.
        for _ in 0..5 {
            fs::write("/proc/sys/vm/drop_caches", "3").unwrap();
        }
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        if !self.devices.is_empty() {
            let _ = self.limit(0);
        }
        let _ = run(Command::new("umount").arg(&self.path));
        for device in self.devices.iter().rev() {
            let _ = run(Command::new("losetup").arg("--detach").arg(device));
        }
        let _ = fs::remove_file(self.path.with_extension("image"));
    }
}

/// Run a command to its end. What it said, or what it complained about.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
