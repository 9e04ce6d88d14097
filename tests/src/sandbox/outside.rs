//! Git server and registry under an address of this machine, for a cluster that is elsewhere.

use std::net::{IpAddr, SocketAddr};

use super::{GitServer, Registry, error::Result, node::Forward};

/// Where others reach Git server and registry. It ends when dropped.
#[derive(Debug)]
pub struct Outside {
    /// Host and port of the Git server, for ssh.
    git: SocketAddr,
    /// Host and port of the registry.
    registry: SocketAddr,
    _forward: Forward,
}

impl Outside {
    /// Listens on free ports.
    pub(super) fn start(address: IpAddr, git: &GitServer, registry: &Registry) -> Result<Self> {
        let (forward, ports) = Forward::outside(address, [git.ssh_port(), registry.port()])?;
        let [git_at, registry_at] = ports.map(|port| SocketAddr::new(address, port));
        git.answer_to(&format!("[{address}]:{}", git_at.port()))?;
        Ok(Self {
            git: git_at,
            registry: registry_at,
            _forward: forward,
        })
    }

    /// What URLs of repositories begin with, ending in a slash.
    pub fn ssh_prefix(&self, user: &str) -> String {
        format!("ssh://{user}@{}/", self.git)
    }

    /// Host and port as image names begin.
    pub fn registry(&self) -> String {
        self.registry.to_string()
    }
}
