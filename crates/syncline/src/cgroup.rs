//! How much memory the control groups of this process allow, which is less than the machine has in a container.

use std::path::{Path, PathBuf};

use sync_core::Resources;

/// The limits of this process, control groups included. The number of processors already respects quotas and affinity.
pub fn resources() -> Resources {
    let mut resources = Resources::default();
    resources.memory = memory_limit(&|path| fs_err::read_to_string(path).ok());
    resources
}

/// The smallest memory limit of the process's control group and those above it, as far as they are visible.
fn memory_limit(read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    let groups = read(Path::new("/proc/self/cgroup"))?;
    let mounts = read(Path::new("/proc/self/mountinfo"))?;
    let limits = Hierarchy::ALL.iter().filter_map(|hierarchy| hierarchy.limit(&groups, &mounts, read));
    limits.min()
}

/// One of the two kinds of control groups; a machine may have both.
struct Hierarchy {
    kind: &'static str,
    /// Found in the options of its mount; version 2 has all controllers in one hierarchy.
    controller: &'static str,
    file: &'static str,
}

impl Hierarchy {
    const ALL: [Hierarchy; 2] = [
        Hierarchy { kind: "cgroup2", controller: "", file: "memory.max" },
        Hierarchy { kind: "cgroup", controller: "memory", file: "memory.limit_in_bytes" },
    ];

    fn limit(&self, groups: &str, mounts: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
        let group = groups.lines().find_map(|line| self.group(line))?;
        let (root, mount) = mounts.lines().find_map(|line| self.mount(line))?;
        // In a container, only a part of the hierarchy may be mounted.
        let below = Path::new(group).strip_prefix(root).unwrap_or(Path::new(""));
        let steps = below.ancestors().map(|step| mount.join(step).join(self.file));
        steps.filter_map(|file| number(&read(&file)?)).min()
    }

    /// The path of the process's group, from a line of proc(5)'s `cgroup`.
    fn group<'a>(&self, line: &'a str) -> Option<&'a str> {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|controller| controller == self.controller).then_some(path)
    }

    /// What is mounted, and where, from a line of proc(5)'s `mountinfo`.
    fn mount<'a>(&self, line: &'a str) -> Option<(&'a str, PathBuf)> {
        let (place, what) = line.split_once(" - ")?;
        let (mut place, mut what) = (place.split(' ').skip(3), what.split(' '));
        let (root, mount) = (place.next()?, place.next()?);
        let (kind, options) = (what.next()?, what.nth(1)?);
        let is_ours =
            self.controller.is_empty() || options.split(',').any(|option| option == self.controller);
        (kind == self.kind && is_ours).then(|| (root, PathBuf::from(mount)))
    }
}

/// No limit is `max` in version 2, and in version 1 a number larger than any machine's memory.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|limit| *limit < 1 << 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1: &str = "31 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                      32 24 0:28 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n";

    #[track_caller]
    fn check(groups: &str, mounts: &str, files: &[(&str, &str)], expected: Option<u64>) {
        let read = |path: &Path| match path.to_str()? {
            "/proc/self/cgroup" => Some(groups.to_owned()),
            "/proc/self/mountinfo" => Some(format!("22 1 254:0 / / rw - ext4 /dev/root rw\n{mounts}")),
            path => files.iter().find(|(name, _)| *name == path).map(|(_, text)| format!("{text}\n")),
        };
        assert_eq!(memory_limit(&read), expected);
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        let (own, above) = ("/sys/fs/cgroup/a/b/memory.max", "/sys/fs/cgroup/a/memory.max");
        check("0::/a/b\n", V2, &[(own, "67108864"), (above, "max")], Some(64 << 20));
        check("0::/a/b\n", V2, &[(own, "max"), (above, "67108864")], Some(64 << 20));
        check("0::/a/b\n", V2, &[(own, "2000"), (above, "1000")], Some(1000));
        check("0::/a/b\n", V2, &[(own, "max"), (above, "max")], None);
        check("0::/a/b\n", V2, &[], None);
    }

    #[test]
    fn a_container_sees_its_own_group_as_the_root() {
        check("0::/\n", V2, &[("/sys/fs/cgroup/memory.max", "1000")], Some(1000));
        // Without a namespace of its own, the path is the machine's.
        let bound = "29 23 0:26 /docker/x /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n";
        check("0::/docker/x\n", bound, &[("/sys/fs/cgroup/memory.max", "1000")], Some(1000));
        check("0::/elsewhere\n", bound, &[("/sys/fs/cgroup/memory.max", "1000")], Some(1000));
    }

    #[test]
    fn the_older_version_is_read_too() {
        let groups = "3:cpu,cpuacct:/\n4:memory:/a\n0::/\n";
        let (own, top) =
            ("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.limit_in_bytes");
        let unlimited = "9223372036854771712";
        check(groups, V1, &[(own, "1000"), (top, unlimited)], Some(1000));
        check(groups, V1, &[(own, unlimited), (top, unlimited)], None);
        let both = format!("{V1}33 24 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
        let newer = "/sys/fs/cgroup/unified/memory.max";
        check(groups, &both, &[(own, "1000"), (newer, "max")], Some(1000));
        check(groups, &both, &[(own, "1000"), (newer, "500")], Some(500));
    }

    #[test]
    fn a_machine_without_control_groups_has_no_limit() {
        check("", "", &[], None);
        check("0::/\n", "", &[("/sys/fs/cgroup/memory.max", "1000")], None);
        check("nonsense", "more nonsense - \n", &[], None);
        assert_eq!(memory_limit(&|_| None), None);
    }
}
