//! Whether this machine can run a node at all, tried and not guessed.

use std::process::{Command, Stdio};

use super::{
    super::error::{Error, Result, tail},
    network::server_path,
};

/// Everything that a node asks of the kernel and that machines are known to refuse, one after the
/// other in namespaces that go at once.
const SCRIPT: &str = "set -e
step='a network bridge'; ip link add probe0 type bridge
step='a virtual network cable'; ip link add probe1 type veth peer name probe2
step='address translation'; iptables -t nat -A OUTPUT -d 127.9.9.9 -j DNAT --to 127.0.0.1
step='a mount'; mount -t tmpfs tmpfs /mnt
step='control groups'; for group in /sys/fs/cgroup /sys/fs/cgroup/memory; do
    [ ! -e $group/cgroup.procs ] || { mkdir $group/flux-probe-$$ && rmdir $group/flux-probe-$$; }
done
step=
";

/// Fails with what is missing when this machine cannot run a node.
///
/// # Errors
/// [`Error::NoNode`] with the reason.
pub fn check() -> Result<()> {
    if !cfg!(target_os = "linux") {
        return Err(Error::NoNode("it takes Linux".to_owned()));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NoNode(
            "it takes root, for namespaces and containers".to_owned(),
        ));
    }
    Ok(())
}

/// Tries what a node does to the kernel. The packages must be installed.
pub(in crate::sandbox) fn probe() -> Result<()> {
    check()?;
    let script = format!("trap 'echo \"no $step\" >&2' EXIT\n{SCRIPT}trap - EXIT\n");
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private"])
        .args(["--pid", "--fork", "--mount-proc", "/bin/sh", "-c", &script])
        .env("PATH", server_path())
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Run {
            program: "unshare".to_owned(),
            source,
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = tail(&String::from_utf8_lossy(&output.stderr), 3);
    Err(Error::NoNode(format!("the kernel does not let us: {said}")))
}

/// How containerd keeps the files of containers: in layers, where the file system below the
/// sandbox's folder can be a lower one.
pub(super) fn snapshotter(dir: &std::path::Path) -> &'static str {
    let script = "mkdir -p \"$1/l\" \"$1/u\" \"$1/w\" \"$1/m\" && \
                  mount -t overlay overlay -o \"lowerdir=$1/l,upperdir=$1/u,workdir=$1/w\" \"$1/m\"";
    let probe = dir.join("overlay-probe");
    let works = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "/bin/sh", "-c"])
        .args([script, "sh"])
        .arg(&probe)
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success());
    // What remains goes with the folder.
    let _ = std::fs::remove_dir_all(&probe);
    if works { "overlayfs" } else { "native" }
}
