//! What programs cost, for benchmarks: time, CPU and memory of a process, and the requests that
//! the API server answered it. Prints tables of Markdown, as docs/performance.md has them.
//!
//! Judges nothing: figures of a shared machine say more by their proportion than by themselves.

mod requests;
mod table;

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::sandbox::process::ProcessId;

pub use self::{
    requests::{Kind, RequestLog, Requests},
    table::Table,
};

/// Clock ticks a second in `/proc` (`USER_HZ`): 100 on every architecture of Linux.
const TICKS: f64 = 100.0;

/// What a process has used since it was first looked at.
#[derive(Debug)]
pub struct Meter {
    process: ProcessId,
    started: Instant,
    cpu: Duration,
}

/// Figures of a [`Meter`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// By the clock.
    pub wall: Duration,
    /// User and system time, with that of children that have ended.
    pub cpu: Duration,
    /// Resident memory now, in bytes.
    pub resident: u64,
    /// The most that was resident in between, in bytes.
    pub peak: u64,
}

impl Meter {
    /// Begins to measure, from now on.
    pub fn start(process: ProcessId) -> Self {
        // Sets the peak to what is resident now (proc(5), `clear_refs`); where it may not be
        // written the peak is that of the whole life.
        let _ = fs::write(format!("/proc/{}/clear_refs", process.pid), "5");
        Self {
            process,
            started: Instant::now(),
            cpu: cpu(process).unwrap_or_default(),
        }
    }

    /// What was used until now; `None` when the process is gone.
    pub fn usage(&self) -> Option<Usage> {
        let wall = self.started.elapsed();
        Some(Usage {
            wall,
            cpu: cpu(self.process)?.saturating_sub(self.cpu),
            resident: memory(self.process, "VmRSS:")?,
            peak: memory(self.process, "VmHWM:")?,
        })
    }
}

/// User and system time of a process since it started.
pub fn cpu(process: ProcessId) -> Option<Duration> {
    parse_cpu(&fs::read_to_string(format!("/proc/{}/stat", process.pid)).ok()?)
}

/// Fields 14 to 17 of `/proc/PID/stat`: of the process, and of its children that have ended. The
/// second field, a name, may hold spaces and parentheses.
fn parse_cpu(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<u64> = rest
        .split(' ')
        .skip(11)
        .take(4)
        .map_while(|field| field.parse().ok())
        .collect();
    let all = (fields.len() == 4).then(|| fields.iter().sum::<u64>())?;
    Some(Duration::from_secs_f64(all as f64 / TICKS))
}

/// A line of `/proc/PID/status`, in bytes.
fn memory(process: ProcessId, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid)).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// Bytes as people read them.
pub fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// A duration as people read it: `2.3 ms`, `1.03 s`.
pub fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        0.1.. => format!("{seconds:.2} s"),
        _ => format!("{:.1} ms", seconds * 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_itself() {
        let meter = Meter::start(ProcessId::current().unwrap());
        let usage = meter.usage().unwrap();
        assert!(usage.resident > 0 && usage.peak >= usage.resident / 2);
    }

    #[test]
    fn reads_names_with_parentheses() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 13 14";
        assert_eq!(parse_cpu(stat), Some(Duration::from_millis(2270)));
    }

    #[test]
    fn figures_as_people_read_them() {
        assert_eq!(mib(3 << 19), "1.5 MiB");
        assert_eq!(seconds(Duration::from_micros(2_300)), "2.3 ms");
        assert_eq!(seconds(Duration::from_millis(1_034)), "1.03 s");
    }
}
