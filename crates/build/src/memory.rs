//! A bound on the memory of a program that works on what strangers wrote.

use tokio::process::Child;

/// Most memory of its own that kustomize gets, in MiB. Builds of thousands of objects take 300; what
/// is larger would cost the operator its life in a pod with Flux's limit of 1 GiB.
pub(crate) const MAX_MIB: u64 = 1024;

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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[tokio::test]
    async fn a_program_gets_no_more_than_its_bound() {
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
