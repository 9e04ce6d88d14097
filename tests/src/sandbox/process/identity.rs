//! Who a process is: its id together with the time it started, so that a reused id is never
//! taken for the process that had it before.

use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

/// A process, told apart from any later one with the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The process id.
    pub pid: i32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub started: u64,
}

impl ProcessId {
    /// The process that has this id now; `None` when there is none, or only its remains.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (state, started) = parse_stat(&stat)?;
        (state != 'Z' && state != 'X').then_some(Self { pid, started })
    }

    /// This process.
    pub fn current() -> Option<Self> {
        Self::of(rustix::process::getpid().as_raw_nonzero().get())
    }

    /// Whether this very process still runs.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Sends a signal to the process, if it still runs.
    pub fn signal(self, signal: Signal) {
        if let (true, Some(pid)) = (self.is_alive(), Pid::from_raw(self.pid)) {
            // It may end between the look and the signal: nothing is left to do then.
            let _ = kill_process(pid, signal);
        }
    }

    /// Sends a signal to the process and all others of the group it leads, if it still runs.
    pub fn signal_group(self, signal: Signal) {
        if let (true, Some(pid)) = (self.is_alive(), Pid::from_raw(self.pid)) {
            let _ = kill_process_group(pid, signal);
        }
    }

    /// Waits until the process is gone, at most until `deadline`; says whether it is.
    pub fn wait_gone(self, deadline: Instant) -> bool {
        while self.is_alive() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// Name of its executable file.
    pub fn program(self) -> Option<String> {
        let path = fs::read_link(format!("/proc/{}/exe", self.pid)).ok()?;
        Some(path.file_name()?.to_string_lossy().into_owned())
    }

    /// Resident memory in bytes, as `VmRSS` of `/proc/PID/status` says.
    pub fn resident_memory(self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim()
            .strip_suffix(" kB")?
            .parse::<u64>()
            .ok()
            .map(|kib| kib * 1024)
    }
}

/// State and start time of a `/proc/PID/stat` line. The name in parentheses may itself hold
/// spaces and parentheses, hence the search from the end.
fn parse_stat(stat: &str) -> Option<(char, u64)> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    // The state is field 3, the start time field 22: 18 more lie between them.
    let started = fields.nth(18)?.parse().ok()?;
    Some((state, started))
}

/// Identity of the running system: start times of different boots must not be compared.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_itself() {
        let me = ProcessId::current().unwrap();
        assert!(me.is_alive());
        assert!(me.resident_memory().unwrap() > 0);
        let other = ProcessId {
            started: me.started + 1,
            ..me
        };
        assert!(!other.is_alive());
    }

    #[test]
    fn reads_names_with_parentheses() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 99 20 21";
        assert_eq!(parse_stat(stat), Some(('S', 99)));
    }
}
