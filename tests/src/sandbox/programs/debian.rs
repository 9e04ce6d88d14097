//! Programs that come as Debian packages: the SSH server, Git, the image registry, the container
//! runtime.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::super::{
    error::{Error, Result, tail},
    paths,
    progress::Step,
};

/// A program and the package that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package {
    program: &'static str,
    package: &'static str,
}

impl Package {
    /// Name of the program.
    pub fn program(self) -> &'static str {
        self.program
    }
}

/// OpenSSH's server.
pub const SSHD: Package = Package {
    program: "sshd",
    package: "openssh-server",
};
/// OpenSSH's key generator.
pub const SSH_KEYGEN: Package = Package {
    program: "ssh-keygen",
    package: "openssh-client",
};
/// Git, which brings `git http-backend` along.
pub const GIT: Package = Package {
    program: "git",
    package: "git",
};
/// The CNCF's image registry.
pub const REGISTRY: Package = Package {
    program: "docker-registry",
    package: "docker-registry",
};

/// What a node takes besides Kubernetes' own programs.
pub const NODE: [Package; 10] = [
    CONTAINERD, RUNC, CNI, IPTABLES, CONNTRACK, DNSMASQ, NGINX, IP, UNSHARE, CURL,
];
/// Runs containers for the kubelet.
pub const CONTAINERD: Package = Package {
    program: "containerd",
    package: "containerd",
};
/// What containerd starts a container with.
pub const RUNC: Package = Package {
    program: "runc",
    package: "runc",
};
/// The network plugins; `host-local` is the one whose name no other program has.
pub const CNI: Package = Package {
    program: "host-local",
    package: "containernetworking-plugins",
};
/// What kube-proxy writes its rules with.
pub const IPTABLES: Package = Package {
    program: "iptables",
    package: "iptables",
};
/// What kube-proxy forgets old connections with.
pub const CONNTRACK: Package = Package {
    program: "conntrack",
    package: "conntrack",
};
/// Names inside pods.
pub const DNSMASQ: Package = Package {
    program: "dnsmasq",
    package: "dnsmasq-base",
};
/// Serves Ingresses.
pub const NGINX: Package = Package {
    program: "nginx",
    package: "nginx",
};
/// What a person asks the apps with.
pub const CURL: Package = Package {
    program: "curl",
    package: "curl",
};
/// Makes network devices.
pub const IP: Package = Package {
    program: "ip",
    package: "iproute2",
};
/// Makes namespaces; `nsenter` comes along.
pub const UNSHARE: Package = Package {
    program: "unshare",
    package: "util-linux",
};

/// Folders for servers, which are often missing in the `PATH` of people, and for CNI plugins.
const SERVER_FOLDERS: [&str; 4] = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/lib/cni"];

/// What Debian asks before a package starts the service it brings.
const SERVICE_POLICY: &str = "/usr/sbin/policy-rc.d";

/// Path of a package's program, if it is installed.
pub fn find(package: Package) -> Option<PathBuf> {
    let folders = paths::search_path()
        .into_iter()
        .chain(SERVER_FOLDERS.map(PathBuf::from));
    paths::find_executable(package.program, folders)
}

/// Paths of the programs of `packages`, in that order. Missing packages are installed when this
/// is Debian (or a derivative) and the user is root. Blocks.
///
/// # Errors
/// [`Error::Packages`] with the command to type when they cannot be installed from here.
pub fn require<const N: usize>(packages: [Package; N]) -> Result<[PathBuf; N]> {
    let missing: Vec<Package> = packages
        .into_iter()
        .filter(|p| find(*p).is_none())
        .collect();
    if !missing.is_empty() {
        install(&missing)?;
    }
    Ok(packages.map(|package| find(package).unwrap_or_else(|| package.program.into())))
}

fn install(missing: &[Package]) -> Result<()> {
    let names: Vec<&str> = missing.iter().map(|package| package.package).collect();
    let names = names.join(" ");
    let root = rustix::process::geteuid().is_root();
    let debian = Path::new("/etc/debian_version").exists();
    if !(root && debian) {
        let programs: Vec<&str> = missing.iter().map(|package| package.program).collect();
        let sudo = if root { "" } else { "sudo " };
        let command = format!("{sudo}apt-get install --no-install-recommends {names}");
        return Err(Error::Packages {
            missing: programs.join(", "),
            command,
        });
    }
    let step = Step::start(format!("installing {names}"));
    let _quiet = NoServices::begin();
    // The package lists of a fresh machine are often empty or old: refresh them only then.
    if apt_get(missing).is_err() {
        run(Command::new("apt-get").arg("update"))?;
        apt_get(missing)?;
    }
    step.done();
    Ok(())
}

fn apt_get(packages: &[Package]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["install", "--yes", "--no-install-recommends"])
        .args(packages.iter().map(|package| package.package));
    run(&mut command)
}

fn run(command: &mut Command) -> Result<()> {
    let text = format!("{command:?}");
    let output = command.output().map_err(|source| Error::Run {
        program: "apt-get".to_owned(),
        source,
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::Failed {
        command: text,
        status: output.status,
        output: tail(&said, 10),
    })
}

/// Keeps packages from starting their services while they are installed: the sandbox runs its
/// own, and the machine shall stay as it was.
struct NoServices(bool);

impl NoServices {
    fn begin() -> Self {
        let path = Path::new(SERVICE_POLICY);
        // A policy that is there already is the machine's own business.
        let ours = !path.exists() && paths::write_script(path, "#!/bin/sh\nexit 101\n").is_ok();
        Self(ours)
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.0 {
            let _ = fs::remove_file(SERVICE_POLICY);
        }
    }
}
