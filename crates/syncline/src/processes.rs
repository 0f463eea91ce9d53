//! Processes, as `/proc` describes them.

use std::fmt::Display;

/// A process at one moment.
pub struct Process {
    pub id: u32,
    pub parent: u32,
    /// It has ended, and its parent has not taken notice.
    pub is_zombie: bool,
}

/// Every process that can be seen; those that end meanwhile are left out.
pub fn all() -> impl Iterator<Item = Process> {
    let entries = fs_err::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()));
    ids.filter_map(|id: u32| {
        let stat = Stat::read(id)?;
        Some(Process { id, parent: stat.field(4)?.parse().ok()?, is_zombie: stat.field(3)? == "Z" })
    })
}

/// What proc(5) calls `/proc/PID/stat`.
pub struct Stat(Vec<String>);

impl Stat {
    /// Of a process by its id or as `self`.
    pub fn read(id: impl Display) -> Option<Stat> {
        let stat = fs_err::read(format!("/proc/{id}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        // The name, which is the second field, may contain anything, even brackets.
        let fields = stat.rsplit(") ").next()?.split_whitespace();
        Some(Stat(fields.map(ToOwned::to_owned).collect()))
    }

    /// A field by its number in proc(5), which is 3 or more.
    pub fn field(&self, number: usize) -> Option<&str> {
        self.0.get(number.checked_sub(3)?).map(String::as_str)
    }
}
