//! The network of a sandbox with a node: namespaces of its own, in which all addresses are fixed.
//!
//! Nothing of it is seen from the machine: no interface, no route, no rule, no mount. The few
//! connections between the two sides go through [`Forward`](super::forward::Forward).

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use super::super::{
    error::Result,
    paths,
    process::{Process, Stop, Supervisor},
    wait,
};

const SCRIPT: &str = include_str!("network.sh");

/// Cluster addresses of Services.
pub(in crate::sandbox) const SERVICE_CIDR: &str = "10.96.0.0/16";
/// Addresses of pods: those of the bridge's network.
pub(super) const POD_CIDR: &str = "10.244.0.0/24";
/// Bits of [`POD_CIDR`] that all pods share.
const POD_PREFIX: &str = "24";
/// The bridge's own address: the node's, the API server's, and that of the resolver for pods.
pub(in crate::sandbox) const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
/// What `github.com` means inside.
pub(super) const GIT_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 245, 0, 1);
/// What `registry.k8s.io` means inside.
pub(super) const REGISTRY_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 245, 0, 2);

/// The Git server's name inside.
pub const GIT_HOST: &str = "github.com";
/// The registry's name inside.
pub const REGISTRY_HOST: &str = "registry.k8s.io";
/// The host of the walk's Ingresses.
pub const APPS_HOST: &str = "apps.example.com";

const DEADLINE: Duration = Duration::from_secs(30);

/// Names inside and what they mean there.
pub(super) const NAMES: [(&str, Ipv4Addr); 3] = [
    (GIT_HOST, GIT_ADDRESS),
    (REGISTRY_HOST, REGISTRY_ADDRESS),
    (APPS_HOST, NODE_ADDRESS),
];

/// A network namespace and a mount namespace that live as long as this.
#[derive(Clone, Debug)]
pub struct Network {
    holder: Arc<Process>,
}

impl Network {
    /// Makes the namespaces; what they need is written below `dir`.
    pub(in crate::sandbox) async fn start(dir: &Path, supervisor: &Supervisor) -> Result<Self> {
        paths::create_dir(dir)?;
        let (hosts, ready) = (dir.join("hosts"), dir.join("ready"));
        paths::write(&hosts, &hosts_file())?;
        let mut command = Command::new("unshare");
        command
            .args(["--net", "--mount", "--propagation", "private"])
            .args(["/bin/sh", "-c", SCRIPT, "flux-sandbox-network"])
            .arg(&hosts)
            .arg(&ready)
            .env("GATEWAY", NODE_ADDRESS.to_string())
            .env("NODE_PREFIX", POD_PREFIX)
            .env("SERVICE_CIDR", SERVICE_CIDR)
            .env("ADDRESSES", format!("{GIT_ADDRESS} {REGISTRY_ADDRESS}"))
            .env("PATH", server_path());
        let holder = supervisor.spawn("network", Stop::Kill, &mut command)?;
        wait::until("the node's network", DEADLINE, Some(&holder), async || {
            file_exists(&ready)
        })
        .await?;
        Ok(Self { holder })
    }

    /// The link of the network namespace.
    pub(super) fn link(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.holder.id().pid).into()
    }

    /// A command that runs `program` in the network alone.
    pub(in crate::sandbox) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={}", self.holder.id().pid))
            .arg("--net")
            .arg(program);
        command
    }

    /// The start of a command line that [`Self::inside`] would run, for people to type.
    pub fn enter(&self) -> String {
        format!("nsenter --target={} --net --mount", self.holder.id().pid)
    }

    /// A command that runs `program` as a person would who sits at the node: in its network, with
    /// its names. The working folder is `/`.
    pub fn inside(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={}", self.holder.id().pid))
            .args(["--net", "--mount"])
            .arg(program)
            .env("PATH", server_path());
        command
    }
}

/// A probe for a file that a script makes when it is done.
pub(super) fn file_exists(path: &Path) -> Result<(), String> {
    path.exists()
        .then_some(())
        .ok_or_else(|| "not set up yet".to_owned())
}

/// `PATH` with the folders that a server's tools are in.
pub(super) fn server_path() -> String {
    let inherited = std::env::var("PATH").unwrap_or_default();
    format!("{inherited}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin")
}

fn hosts_file() -> String {
    let names = NAMES.map(|(name, address)| format!("{address} {name}\n"));
    format!("127.0.0.1 localhost\n{}", names.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_walk() {
        assert_eq!(
            hosts_file(),
            "127.0.0.1 localhost\n10.245.0.1 github.com\n10.245.0.2 registry.k8s.io\n\
             10.244.0.1 apps.example.com\n"
        );
    }
}
