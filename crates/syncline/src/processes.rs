//! Who else runs here, as `/proc` tells it.

/// A process at one moment.
pub struct Process {
    pub id: u32,
    pub parent: u32,
    /// It has ended, and nobody has taken notice.
    pub is_zombie: bool,
}

/// Every process that can be seen; those that end meanwhile are left out.
pub fn all() -> impl Iterator<Item = Process> {
    let entries = fs_err::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()));
    ids.filter_map(process)
}

fn process(id: u32) -> Option<Process> {
    let stat = fs_err::read(format!("/proc/{id}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name before it may hold anything, brackets too.
    let mut fields = stat.rsplit(") ").next()?.split(' ');
    let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
    Some(Process { id, parent, is_zombie: state == "Z" })
}
