//! A node: kube-scheduler, containerd, kubelet and kube-proxy beside the control plane, so that
//! Pods run, Services lead to them and Ingresses are served.
//!
//! It lives in namespaces of its own: network and mounts ([`network`]), and processes, whose first
//! one takes all others with it when it ends. On the machine nothing is left but processes that
//! the sandbox's supervisor knows, and a control group ([`cgroups`]).

pub(super) mod cgroups;
mod config;
pub(super) mod forward;
mod images;
mod ingress;
pub(super) mod network;
mod support;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::{Api, Client};

pub use config::NODE_NAME;
pub use network::{APPS_HOST, GIT_HOST, Network, REGISTRY_HOST};
pub use support::check as check_support;
pub(super) use support::probe;

pub(super) use self::forward::Forward;
pub use self::images::agnhost;
use super::{
    ControlPlane, GitServer, Registry,
    error::{Error, Result},
    kubeconfig, paths,
    pki::Authority,
    process::{Process, ProcessId, Stop, Supervisor},
    programs::{Program, Programs, debian},
    wait,
};

const SCRIPT: &str = include_str!("node.sh");

/// Each program gets this long; on an idle machine the node is ready after ten seconds.
const DEADLINE: Duration = Duration::from_secs(120);

/// What containerd answers before it is there.
const NOT_YET: &str = "server is not initialized yet";

/// A running node.
#[derive(Debug)]
pub struct Node {
    dir: PathBuf,
    network: Network,
    programs: Programs,
    supervisor: Arc<Supervisor>,
    client_of: PathBuf,
    running: Mutex<Vec<Arc<Process>>>,
    _forward: Forward,
    _ingress: ingress::Bridge,
}

/// What a node stands on.
pub(super) struct Surroundings<'a> {
    pub(super) authority: &'a Authority,
    pub(super) control_plane: &'a ControlPlane,
    pub(super) git: &'a GitServer,
    pub(super) registry: &'a Registry,
}

impl Node {
    /// Starts everything below `dir` and returns when the node is Ready and the images of the
    /// walk are in the registry.
    pub(super) async fn start(
        dir: PathBuf,
        network: Network,
        programs: &Programs,
        supervisor: &Arc<Supervisor>,
        around: &Surroundings<'_>,
    ) -> Result<Self> {
        paths::create_dir(&dir)?;
        let forward = forward(&network, around)?;
        around.git.answer_to(GIT_HOST)?;
        let (kubeconfig, names) = (around.control_plane.kubeconfig(), dir.join("hosts"));
        paths::create_dir(&names)?;
        let nginx = dir.join("nginx");
        let ingress =
            ingress::Bridge::start(nginx, names, kubeconfig, &network, supervisor).await?;
        let node = Self {
            client_of: kubeconfig.to_owned(),
            dir,
            network,
            programs: programs.clone(),
            supervisor: supervisor.clone(),
            running: Mutex::default(),
            _forward: forward,
            _ingress: ingress,
        };
        node.write_files(around)?;
        cgroups::create(&supervisor.record().id)?;
        node.start_scheduler(around)?;
        let agnhost = programs.path(Program::Agnhost)?;
        tokio::try_join!(node.boot(), images::push(around.registry, agnhost))?;
        Ok(node)
    }

    /// The network that the node is in.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Resident memory in bytes of the first process found in a pod that runs the program `name`.
    pub fn resident_memory(&self, name: &str) -> Option<u64> {
        cgroups::processes(&self.supervisor.record().id)
            .into_iter()
            .filter_map(ProcessId::of)
            .find(|process| process.program().as_deref() == Some(name))
            .and_then(ProcessId::resident_memory)
    }

    /// Ends every process of the node at once, as when its power fails, and starts it again. The
    /// API server and the other parts of the control plane do not belong to it and stay.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn reboot(&self) -> Result<()> {
        let running =
            std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        for process in running {
            process.stop();
        }
        self.boot().await
    }

    /// Starts the node's own programs and waits until the kubelet reports that it is ready.
    async fn boot(&self) -> Result<()> {
        let started = jiff::Timestamp::now();
        let ready = self.dir.join("ready");
        // Left by the boot before.
        let _ = std::fs::remove_file(&ready);
        let mut command = self.network.inside(Path::new("unshare"));
        command
            .args(["--mount", "--propagation", "private"])
            .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
            .args(["/bin/sh", "-c", SCRIPT, "flux-sandbox-node"])
            .arg(self.dir.join("kernel"))
            .arg(self.supervisor.record().dir)
            .arg(&ready);
        let holder = self.spawn("node", &mut command)?;
        wait::until(
            "the node's namespaces",
            DEADLINE,
            Some(&holder),
            async || network::file_exists(&ready),
        )
        .await?;

        let containerd =
            self.start_inside(&holder, "containerd", &find(debian::CONTAINERD), |c| {
                c.arg("--config").arg(self.dir.join("containerd.toml"))
            })?;
        let dnsmasq = find(debian::DNSMASQ);
        self.start_inside(&holder, "dnsmasq", &dnsmasq, |c| c.args(self.resolver()))?;
        let proxy = self.programs.path(Program::KubeProxy)?;
        self.start_inside(&holder, "kube-proxy", proxy, |c| {
            c.arg("--config").arg(self.dir.join("kube-proxy.yaml"))
        })?;
        // Seen from here through the eyes of a process that is in there.
        let socket = format!(
            "/proc/{}/root{}",
            holder.id().pid,
            config::CONTAINERD_SOCKET
        );
        wait::until("containerd", DEADLINE, Some(&containerd), async || {
            network::file_exists(Path::new(&socket))
        })
        .await?;
        let client = super::control_plane::client(&self.client_of).await?;
        loop {
            let kubelet = self.start_kubelet(&holder)?;
            let ready = wait::until("the node", DEADLINE, Some(&kubelet), async || {
                is_ready(&client, started).await
            });
            match ready.await {
                // containerd listens before it has looked through what ran before; whoever calls
                // meanwhile has to try again, as a kubelet does that systemd starts anew.
                Err(Error::Ended { tail, .. }) if tail.contains(NOT_YET) => {}
                other => return other,
            }
        }
    }

    fn start_kubelet(&self, holder: &Process) -> Result<Arc<Process>> {
        let kubelet = self.programs.path(Program::Kubelet)?;
        let file = |name: &str| self.dir.join(name).display().to_string();
        self.start_inside(holder, "kubelet", kubelet, |c| {
            c.arg(format!("--root-dir={}", file("kubelet")))
                .arg(format!("--config={}", file("kubelet.yaml")))
                .arg(format!(
                    "--kubeconfig={}",
                    self.pki("kubelet.kubeconfig").display()
                ))
                .arg(format!("--hostname-override={NODE_NAME}"))
                .arg(format!("--node-ip={}", network::NODE_ADDRESS))
        })
    }

    fn start_inside(
        &self,
        holder: &Process,
        name: &str,
        program: &Path,
        arguments: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Result<Arc<Process>> {
        let holder = holder.id().pid;
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={holder}"))
            .args(["--net", "--mount"])
            // The holder itself is outside: only its children are in the namespace.
            .arg(format!("--pid=/proc/{holder}/ns/pid_for_children"))
            .arg(program)
            .env("PATH", network::server_path());
        arguments(&mut command);
        self.spawn(name, &mut command)
    }

    fn spawn(&self, name: &str, command: &mut Command) -> Result<Arc<Process>> {
        let process = self.supervisor.spawn(name, Stop::Kill, command)?;
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(process.clone());
        Ok(process)
    }

    fn start_scheduler(&self, around: &Surroundings<'_>) -> Result<()> {
        let kubeconfig = self.pki("scheduler.kubeconfig");
        let credentials = around.authority.client("system:kube-scheduler", None)?;
        kubeconfig::write(
            &kubeconfig,
            around.control_plane.url(),
            around.authority,
            &credentials,
        )?;
        let mut command = Command::new(self.programs.path(Program::KubeScheduler)?);
        command
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .args(["--leader-elect=false", "--secure-port=0"]);
        self.supervisor
            .spawn("kube-scheduler", Stop::Kill, &mut command)?;
        Ok(())
    }

    fn write_files(&self, around: &Surroundings<'_>) -> Result<()> {
        let write = |name: &str, text: &str| paths::write(&self.dir.join(name), text);
        for folder in ["cni", "kernel", "pki"] {
            paths::create_dir(&self.dir.join(folder))?;
        }
        for (name, value) in config::KERNEL_SETTINGS {
            write(&format!("kernel/{name}"), &format!("{value}\n"))?;
        }
        let id = self.supervisor.record().id;
        let pki = self.supervisor.record().dir.join("pki");
        let plugins = find(debian::CNI);
        let plugins = plugins.parent().unwrap_or(Path::new("/usr/lib/cni"));
        let snapshotter = support::snapshotter(&self.dir);
        write(
            "containerd.toml",
            &config::containerd(&self.dir, plugins, snapshotter),
        )?;
        let container = config::container(default_container()?, &pki.join("ca.crt"));
        write(config::CONTAINER_SPEC, &format!("{container:#}\n"))?;
        let registry = self.dir.join("registries").join(REGISTRY_HOST);
        paths::create_dir(&registry)?;
        let hosts = config::registry(REGISTRY_HOST, &pki.join("ca.crt"));
        paths::write(&registry.join("hosts.toml"), &hosts)?;
        write("cni/10-bridge.conflist", &format!("{:#}\n", config::cni()))?;
        let resolver = format!("nameserver {}\n", network::NODE_ADDRESS);
        write("resolv.conf", &resolver)?;
        let kubelet = config::kubelet(&self.dir, &pki, &cgroups::name(&id));
        write("kubelet.yaml", &format!("{kubelet:#}\n"))?;
        let address = network::NODE_ADDRESS.to_string();
        let server = around.authority.server("kubelet", &[NODE_NAME, &address])?;
        paths::write(&pki.join("kubelet.crt"), &server.certificate)?;
        paths::write_secret(&pki.join("kubelet.key"), &server.key)?;
        for (name, user, group) in [
            (
                "kubelet",
                format!("system:node:{NODE_NAME}"),
                Some("system:nodes"),
            ),
            ("kube-proxy", "system:kube-proxy".to_owned(), None),
        ] {
            let credentials = around.authority.client(&user, group)?;
            kubeconfig::write(
                &self.pki(&format!("{name}.kubeconfig")),
                around.control_plane.url(),
                around.authority,
                &credentials,
            )?;
        }
        let proxy = config::kube_proxy(&self.pki("kube-proxy.kubeconfig"));
        write("kube-proxy.yaml", &format!("{proxy:#}\n"))
    }

    fn pki(&self, name: &str) -> PathBuf {
        self.dir.join("pki").join(name)
    }

    /// Arguments of the resolver for pods: the sandbox's names, and nothing of the world.
    fn resolver(&self) -> Vec<String> {
        let fixed = [
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
            "--user=root",
            "--pid-file",
            "--log-facility=-",
        ];
        let names = network::NAMES.map(|(name, ip)| format!("--host-record={name},{ip}"));
        fixed
            .map(str::to_owned)
            .into_iter()
            .chain(names)
            .chain([
                format!("--listen-address={}", network::NODE_ADDRESS),
                format!("--local=/{}/", config::CLUSTER_DOMAIN),
                format!("--hostsdir={}", self.dir.join("hosts").display()),
            ])
            .collect()
    }
}

/// Leads the names of the walk, and this machine's own addresses of the servers, to the servers.
fn forward(network: &Network, around: &Surroundings<'_>) -> Result<Forward> {
    let loopback = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let (ssh, https) = (
        loopback(around.git.ssh_port()),
        loopback(around.git.https_port()),
    );
    let registry = loopback(around.registry.port());
    Forward::outward(
        network,
        &[
            ((network::GIT_ADDRESS, 22).into(), ssh),
            ((network::GIT_ADDRESS, 443).into(), https),
            ((network::REGISTRY_ADDRESS, 443).into(), registry),
            (ssh, ssh),
            (https, https),
            (registry, registry),
        ],
    )
}

fn find(package: debian::Package) -> PathBuf {
    debian::find(package).unwrap_or_else(|| package.program().into())
}

/// What containerd gives a container that nothing is said about.
fn default_container() -> Result<serde_json::Value> {
    // The client is part of containerd's package, and writes this without a server.
    let program = find(debian::CONTAINERD).with_file_name("ctr");
    let failed = |reason: String| {
        let program = program.display();
        Error::NoNode(format!("`{program} oci spec` does not work: {reason}"))
    };
    let output = Command::new(&program)
        .args(["oci", "spec"])
        .output()
        .map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))
}

/// Whether the kubelet has said since `started` that it is ready.
async fn is_ready(client: &Client, started: jiff::Timestamp) -> Result<(), String> {
    let nodes: Api<NodeObject> = Api::all(client.clone());
    let node = nodes
        .get_opt(NODE_NAME)
        .await
        .map_err(|error| error.to_string())?
        .ok_or("it has not registered itself yet")?;
    let conditions = node
        .status
        .and_then(|status| status.conditions)
        .unwrap_or_default();
    let ready = conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")
        .ok_or("it says nothing about itself yet")?;
    // Heartbeats are in whole seconds.
    let heard = ready
        .last_heartbeat_time
        .as_ref()
        .is_some_and(|time| time.0.as_second() >= started.as_second());
    if heard && ready.status == "True" {
        return Ok(());
    }
    Err(ready.message.clone().unwrap_or_default())
}
