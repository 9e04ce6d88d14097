//! The control group below which all pods of one node live.
//!
//! Two kubelets that shared a group would remove each other's pods as orphans, so each sandbox has
//! one named after it. Groups outlive processes: they are removed with the sandbox, or by the
//! sweep of the next start.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::super::{
    error::{Error, Result},
    paths,
};

const ROOT: &str = "/sys/fs/cgroup";
const PREFIX: &str = "flux-sandbox-";

/// How long the last processes of a group get to be gone.
const GRACE: Duration = Duration::from_secs(5);

/// Name of the group of a sandbox.
pub(super) fn name(id: &str) -> String {
    format!("{PREFIX}{id}")
}

/// Makes the group in every hierarchy.
pub(super) fn create(id: &str) -> Result<()> {
    for hierarchy in hierarchies() {
        let group = hierarchy.join(name(id));
        paths::create_dir(&group)?;
        // A new group of the old cpuset hierarchy may use nothing, and would take no process.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let (from, to) = (hierarchy.join(file), group.join(file));
            if from.exists() && to.exists() {
                let allowed = fs::read(&from).map_err(Error::file("read", &from))?;
                fs::write(&to, allowed).map_err(Error::file("write", &to))?;
            }
        }
    }
    if is_unified() {
        delegate(Path::new(ROOT));
        delegate(&Path::new(ROOT).join(name(id)));
    }
    Ok(())
}

/// Removes the group of a sandbox and all below it, once its processes are gone. There is no
/// group when the sandbox had no node.
pub(in crate::sandbox) fn remove(id: &str) {
    let groups: Vec<PathBuf> = hierarchies()
        .into_iter()
        .map(|hierarchy| hierarchy.join(name(id)))
        .collect();
    let deadline = Instant::now() + GRACE;
    while groups
        .iter()
        .any(|group| group.exists() && !remove_tree(group))
    {
        if Instant::now() >= deadline {
            // The sweep of the next start finds it.
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Ids of all processes in pods of a sandbox.
pub(super) fn processes(id: &str) -> Vec<i32> {
    let group = name(id);
    let ids = fs::read_dir("/proc").into_iter().flatten().flatten();
    ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            fs::read_to_string(format!("/proc/{pid}/cgroup"))
                .is_ok_and(|groups| groups.contains(&format!("/{group}/")))
        })
        .collect()
}

/// Removes the groups of sandboxes that are no more; `alive` are the ids of those that are.
pub(in crate::sandbox) fn sweep(alive: &[String]) {
    for hierarchy in hierarchies() {
        for entry in fs::read_dir(&hierarchy).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
            if id.is_some_and(|id| !alive.iter().any(|alive| alive == id)) {
                // One with processes in it stays: it is not ours to say what they are.
                remove_tree(&entry.path());
            }
        }
    }
}

/// Lets groups below `group` use what it may use itself. Controllers that it lacks are missing on
/// the whole machine: the kubelet says which one it cannot do without.
fn delegate(group: &Path) {
    let controllers = fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
    for controller in controllers.split_whitespace() {
        let _ = fs::write(
            group.join("cgroup.subtree_control"),
            format!("+{controller}"),
        );
    }
}

fn is_unified() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

/// The mount points of all hierarchies: one, or on older systems one for each controller.
fn hierarchies() -> Vec<PathBuf> {
    if is_unified() {
        return vec![ROOT.into()];
    }
    let entries = fs::read_dir(ROOT).into_iter().flatten().flatten();
    entries
        // Not the links that stand for several names of one hierarchy.
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Removes a group after those below it; whether it is gone.
fn remove_tree(group: &Path) -> bool {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    fs::remove_dir(group).is_ok()
}
