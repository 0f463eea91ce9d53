//! What the kernel knows of this process, under the names that client_golang gave it.

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::family::{Head, head};
use crate::processes::Stat;

/// The process at one moment; what cannot be told is left out.
pub(super) struct Process {
    cpu_seconds: Option<f64>,
    open_files: Option<f64>,
    most_files: f64,
    virtual_bytes: Option<f64>,
    most_virtual_bytes: f64,
    resident_bytes: Option<f64>,
    started: Option<f64>,
}

impl Process {
    pub(super) fn now() -> Process {
        let stat = Stat::read("self");
        let field = |at: usize| stat.as_ref()?.field(at).map(number);
        let ticks = clock_ticks_per_second() as f64;
        let open_files = fs_err::read_dir("/proc/self/fd").map(Iterator::count);
        Process {
            cpu_seconds: field(14).zip(field(15)).map(|(user, system)| (user + system) / ticks),
            open_files: open_files.ok().map(|count| count as f64),
            most_files: limit(Resource::Nofile),
            virtual_bytes: field(23),
            most_virtual_bytes: limit(Resource::As),
            resident_bytes: field(24).map(|pages| pages * page_size() as f64),
            started: boot_time().zip(field(22)).map(|(boot, after)| boot + after / ticks),
        }
    }

    pub(super) fn samples(&self) -> [(Head, Option<f64>); 7] {
        let cpu = "Total user and system CPU time spent in seconds.";
        let most = "Maximum amount of virtual memory available in bytes.";
        let start = "Start time of the process since unix epoch in seconds.";
        [
            (head("process_cpu_seconds_total", "counter", cpu), self.cpu_seconds),
            (head("process_open_fds", "gauge", "Number of open file descriptors."), self.open_files),
            (
                head("process_max_fds", "gauge", "Maximum number of open file descriptors."),
                Some(self.most_files),
            ),
            (
                head("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes."),
                self.virtual_bytes,
            ),
            (head("process_virtual_memory_max_bytes", "gauge", most), Some(self.most_virtual_bytes)),
            (
                head("process_resident_memory_bytes", "gauge", "Resident memory size in bytes."),
                self.resident_bytes,
            ),
            (head("process_start_time_seconds", "gauge", start), self.started),
        ]
    }
}

/// No limit is the largest number of the kernel's, as in client_golang.
fn limit(resource: Resource) -> f64 {
    getrlimit(resource).current.unwrap_or(u64::MAX) as f64
}

/// Seconds since 1970.
fn boot_time() -> Option<f64> {
    let stat = fs_err::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime ")).map(number)
}

fn number(text: &str) -> f64 {
    text.trim().parse().unwrap_or_default()
}
