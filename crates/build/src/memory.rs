//! A bound on the memory of a program that works on what strangers wrote.
//!
//! It runs in the container of the operator, whose limit counts for both: a container that is out of
//! memory loses the operator, too, and the next one begins with the same build.

use std::path::Path;
use std::sync::LazyLock;

use tokio::process::Child;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Most memory of its own that a run of kustomize gets, in MiB. Builds of 5,000 objects take 300.
const MOST_MIB: u64 = 1024;

/// And least: below, the runtime of Go does not even begin.
const LEAST_MIB: u64 = 128;

/// Runs at once, in the whole process.
const AT_ONCE: u64 = 2;

/// What a run gets where the memory of all is limited: half of that is for kustomize.
static MIB: LazyLock<u64> = LazyLock::new(|| share(limit()));

static ROOM: Semaphore = Semaphore::const_new(AT_ONCE as usize);

/// The right to run, and with how much memory.
pub(crate) struct Share {
    /// Of the run's own, in MiB.
    pub(crate) mib: u64,
    _room: Option<SemaphorePermit<'static>>,
}

/// Waits until there is memory for a run.
pub(crate) async fn next() -> Share {
    Share {
        mib: *MIB,
        // An error means that the semaphore is closed, which nobody does.
        _room: ROOM.acquire().await.ok(),
    }
}

/// The share of a run, in MiB, of a limit in bytes.
fn share(limit: Option<u64>) -> u64 {
    limit.map_or(MOST_MIB, |bytes| {
        ((bytes >> 20) / 2 / AT_ONCE).clamp(LEAST_MIB, MOST_MIB)
    })
}

/// The memory that this process and those it starts may have together.
fn limit() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let files = limit_files(&groups).into_iter();
    let limits = files.filter_map(|file| std::fs::read_to_string(file).ok());
    // "max" is no limit.
    limits
        .filter_map(|text| text.trim().parse::<u64>().ok())
        .min()
}

/// Where the limits of these control groups and those above are, in both versions. In a container the
/// path may be that of the host, and only the root is there.
fn limit_files(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|one| one == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let levels = Path::new(path).ancestors().filter_map(Path::to_str);
        files.extend(levels.map(|level| {
            let level = level.trim_end_matches('/');
            format!("{root}{level}/{name}")
        }));
    }
    files
}

/// Bounds the memory of a program that has just been started. Data is counted, not addresses: Go
/// reserves far more of those than it uses.
#[cfg(target_os = "linux")]
pub(crate) fn bound(child: &Child, mib: u64) {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    let bytes = Some(mib << 20);
    let limit = Rlimit {
        current: bytes,
        maximum: bytes,
    };
    if let Some(pid) = pid.and_then(Pid::from_raw)
        && let Err(error) = prlimit(Some(pid), Resource::Data, limit)
    {
        // It has ended already, or the system forbids it.
        tracing::debug!(%error, "the memory of kustomize is not bounded");
    }
}

/// Elsewhere there is no bound that can be set from outside.
#[cfg(not(target_os = "linux"))]
pub(crate) fn bound(_: &Child, _: u64) {}

/// Whether a program's complaint is that it got no more memory: the words of Go and of libc.
pub(crate) fn is_exhausted(complaint: &str) -> bool {
    let words = [
        "out of memory",
        "cannot allocate memory",
        "memory exhausted",
    ];
    words.iter().any(|words| complaint.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_runs_together_get_half_of_the_limit() {
        for (limit, mib) in [
            (None, 1024),
            (Some(64 << 30), 1024),
            // What version 1 says where there is no limit.
            (Some(9_223_372_036_854_771_712), 1024),
            (Some(2 << 30), 512),
            (Some(1 << 30), 256),
            (Some(512 << 20), 128),
        ] {
            assert_eq!(share(limit), mib, "{limit:?}");
            let together = AT_ONCE * (share(limit) << 20);
            assert!(limit.is_none_or(|limit| together <= limit / 2));
        }
        assert_eq!(share(Some(1)), LEAST_MIB);
    }

    #[test]
    fn limits_are_those_of_all_groups_above() {
        for (groups, files) in [
            ("0::/\n", vec!["/sys/fs/cgroup/memory.max"]),
            (
                "0::/a.slice/b\n",
                vec![
                    "/sys/fs/cgroup/a.slice/b/memory.max",
                    "/sys/fs/cgroup/a.slice/memory.max",
                    "/sys/fs/cgroup/memory.max",
                ],
            ),
            (
                "9:name=systemd:/\n4:cpu,memory:/pod\n1:cpu:/x\n",
                vec![
                    "/sys/fs/cgroup/memory/pod/memory.limit_in_bytes",
                    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                ],
            ),
            ("nonsense", vec![]),
        ] {
            assert_eq!(limit_files(groups), files, "{groups}");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_program_gets_no_more_than_its_bound() {
        use std::process::Stdio;

        // It waits for a line, so that it is bounded before it begins.
        let script = "read -r line; exec tail /dev/zero";
        let mut child = tokio::process::Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        bound(&child, 64);
        drop(child.stdin.take());
        let output = child.wait_with_output().await.unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(is_exhausted(&complaint), "{complaint}");
    }
}
