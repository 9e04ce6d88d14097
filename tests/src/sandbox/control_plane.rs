//! etcd, kube-apiserver and kube-controller-manager of one sandbox.

use std::{
    fs,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use super::{
    error::{Error, Result},
    kubeconfig,
    node::{
        forward::Forward,
        network::{NODE_ADDRESS, Network, SERVICE_CIDR},
    },
    paths,
    pki::{self, Authority},
    process::{Process, Stop, Supervisor},
    programs::{Program, Programs},
    wait,
};

/// etcd's sockets, files in the working folder of etcd and kube-apiserver. Unix sockets need no
/// port, no certificates, and the folder's permissions guard them. etcd insists on the form
/// `host:port`; names relative to the working folder escape the 108 bytes of a socket's path.
const ETCD_CLIENTS: &str = "etcd:0";
const ETCD_PEERS: &str = "peer:0";

/// Who asked what, without what was in it.
const AUDIT_POLICY: &str = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy",
    "omitStages": ["RequestReceived"], "rules": [{"level": "Metadata"}]}
"#;

/// Each server gets this long. They need 1 to 4 seconds on 2 idle cores.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    url: String,
    kubeconfig: PathBuf,
    api_server: Arc<Process>,
    etcd: Arc<Process>,
    /// What leads to the API server when that is in a network of its own.
    _forward: Option<Forward>,
    audit_log: Option<PathBuf>,
}

impl ControlPlane {
    /// Starts everything below `dir` and returns when the API server is ready and the controller
    /// manager works. `dir` is the sandbox's folder: credentials go to `pki/`, the administrator's
    /// kubeconfig beside it. With a `network` the API server is in there, where pods reach it and
    /// it reaches them; its URL is the same on both sides.
    pub(super) async fn start(
        dir: &Path,
        supervisor: &Supervisor,
        authority: &Authority,
        programs: &Programs,
        network: Option<&Network>,
        audit: bool,
    ) -> Result<Self> {
        let work = dir.join("control-plane");
        let audit_log = audit.then(|| work.join("audit.log"));
        let starter = Starter {
            dir,
            work,
            supervisor,
            programs,
            network,
            audit_log: audit_log.as_deref(),
        };
        paths::create_dir(&starter.work)?;
        starter.write_credentials(authority)?;
        let etcd = starter.start_etcd().await?;
        let (url, api_server, forward) = match network {
            Some(network) => {
                let (forward, port) = Forward::inward(network)?;
                let (url, process) = starter.start_api_server(port, authority).await?;
                (url, process, Some(forward))
            }
            None => {
                let start = async |port| starter.start_api_server(port, authority).await;
                let (url, process) = wait::on_free_port(start).await?;
                (url, process, None)
            }
        };
        let control_plane = Self {
            url,
            kubeconfig: starter.kubeconfig(),
            api_server,
            etcd,
            _forward: forward,
            audit_log: audit_log.clone(),
        };
        starter
            .start_controller_manager(&control_plane, authority)
            .await?;
        Ok(control_plane)
    }

    /// URL of the API server.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// File with the credentials of an administrator.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Where the API server writes down who asked what.
    ///
    /// # Errors
    /// [`Error::NotStarted`] when the options said so.
    pub fn audit_log(&self) -> Result<&Path> {
        self.audit_log
            .as_deref()
            .ok_or(Error::NotStarted("audit log"))
    }

    /// The API server's process, for tests that stop or measure it.
    pub fn api_server(&self) -> &Process {
        &self.api_server
    }

    /// etcd's process, for tests that stop it.
    pub fn etcd(&self) -> &Process {
        &self.etcd
    }

    /// A new client with an administrator's rights. It belongs to the runtime that calls: share
    /// the control plane between tests, not the client.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub async fn client(&self) -> Result<Client> {
        client(&self.kubeconfig).await
    }
}

/// A client with the credentials of a file.
pub(super) async fn client(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    Ok(Client::try_from(config)?)
}

/// What the steps of the start have in common.
struct Starter<'a> {
    dir: &'a Path,
    work: PathBuf,
    supervisor: &'a Supervisor,
    programs: &'a Programs,
    network: Option<&'a Network>,
    audit_log: Option<&'a Path>,
}

impl Starter<'_> {
    fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    fn pki(&self, name: &str) -> PathBuf {
        self.dir.join("pki").join(name)
    }

    /// `--flag=FILE` for a file of `pki/`.
    fn pki_flag(&self, flag: &str, name: &str) -> String {
        format!("--{flag}={}", self.pki(name).display())
    }

    fn command(&self, program: Program) -> Result<Command> {
        let mut command = Command::new(self.programs.path(program)?);
        command.current_dir(&self.work);
        Ok(command)
    }

    fn write_credentials(&self, authority: &Authority) -> Result<()> {
        let server = authority.server(
            "kube-apiserver",
            &[
                "127.0.0.1",
                "localhost",
                "10.96.0.1",
                "kubernetes",
                "kubernetes.default.svc",
                &NODE_ADDRESS.to_string(),
            ],
        )?;
        paths::write(&self.pki("apiserver.crt"), &server.certificate)?;
        paths::write_secret(&self.pki("apiserver.key"), &server.key)?;
        let (private, public) = pki::signing_key()?;
        let kubelets = authority.client("sandbox-kubelet-client", Some("system:masters"))?;
        paths::write(&self.pki("kubelet-client.crt"), &kubelets.certificate)?;
        paths::write_secret(&self.pki("kubelet-client.key"), &kubelets.key)?;
        paths::write_secret(&self.pki("service-account.key"), &private)?;
        paths::write(&self.pki("service-account.pub"), &public)
    }

    async fn start_etcd(&self) -> Result<Arc<Process>> {
        let mut command = self.command(Program::Etcd)?;
        command.args([
            "--data-dir=etcd-data",
            "--unsafe-no-fsync",
            // A cluster of one elects itself; the default second of waiting is for networks.
            "--heartbeat-interval=10",
            "--election-timeout=100",
            "--log-level=warn",
        ]);
        for flag in ["listen-client-urls", "advertise-client-urls"] {
            command.arg(format!("--{flag}=unix://{ETCD_CLIENTS}"));
        }
        for flag in ["listen-peer-urls", "initial-advertise-peer-urls"] {
            command.arg(format!("--{flag}=unix://{ETCD_PEERS}"));
        }
        command.arg(format!("--initial-cluster=default=unix://{ETCD_PEERS}"));
        let process = self.supervisor.spawn("etcd", Stop::Kill, &mut command)?;
        // kube-apiserver waits a whole second before it tries again, so let the first try count.
        let work = fs::File::open(&self.work).map_err(Error::file("open", &self.work))?;
        // By way of the open folder, because a socket's path may have 108 bytes at most.
        let socket = format!("/proc/self/fd/{}/{ETCD_CLIENTS}", work.as_raw_fd());
        wait::until(
            "etcd",
            DEADLINE,
            Some(&process),
            async || match etcd_health(&socket).await {
                Ok(answer) if answer.contains("\"health\":\"true\"") => Ok(()),
                Ok(answer) => Err(answer),
                Err(error) => Err(error.to_string()),
            },
        )
        .await?;
        Ok(process)
    }

    async fn start_api_server(
        &self,
        port: u16,
        authority: &Authority,
    ) -> Result<(String, Arc<Process>)> {
        let program = self.programs.path(Program::KubeApiserver)?;
        let mut command = match self.network {
            Some(network) => network.command(program),
            None => Command::new(program),
        };
        match self.network {
            Some(_) => command
                .arg("--bind-address=0.0.0.0")
                .arg(format!("--advertise-address={NODE_ADDRESS}"))
                .arg("--kubelet-preferred-address-types=InternalIP")
                .arg(self.pki_flag("kubelet-certificate-authority", "ca.crt"))
                .arg(self.pki_flag("kubelet-client-certificate", "kubelet-client.crt"))
                .arg(self.pki_flag("kubelet-client-key", "kubelet-client.key")),
            None => command
                .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
                // No pod reaches it through its Service, and Endpoints refuse a loopback address.
                .arg("--endpoint-reconciler-type=none"),
        };
        command
            .current_dir(&self.work)
            .arg(format!("--etcd-servers=unix://{ETCD_CLIENTS}"))
            .arg(format!("--secure-port={port}"))
            .arg(self.pki_flag("tls-cert-file", "apiserver.crt"))
            .arg(self.pki_flag("tls-private-key-file", "apiserver.key"))
            .arg(self.pki_flag("client-ca-file", "ca.crt"))
            .arg("--authorization-mode=Node,RBAC")
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(self.pki_flag("service-account-key-file", "service-account.pub"))
            .arg(self.pki_flag("service-account-signing-key-file", "service-account.key"))
            .arg(format!("--service-cluster-ip-range={SERVICE_CIDR}"))
            .args(["--allow-privileged=true", "--profiling=false"]);
        if let Some(log) = self.audit_log {
            let policy = self.work.join("audit-policy.json");
            paths::write(&policy, AUDIT_POLICY)?;
            command
                .arg(format!("--audit-policy-file={}", policy.display()))
                .arg(format!("--audit-log-path={}", log.display()));
        }
        let process = self
            .supervisor
            .spawn("kube-apiserver", Stop::Kill, &mut command)?;

        let url = format!("https://127.0.0.1:{port}");
        let administrator = authority.client("sandbox-administrator", Some("system:masters"))?;
        kubeconfig::write(&self.kubeconfig(), &url, authority, &administrator)?;
        let client = client(&self.kubeconfig()).await?;
        wait::until("the API server", DEADLINE, Some(&process), async || {
            let request = http_get("/readyz")?;
            match client.request_text(request).await {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("/readyz: {error}")),
            }
        })
        .await?;
        Ok((url, process))
    }

    async fn start_controller_manager(
        &self,
        control_plane: &ControlPlane,
        authority: &Authority,
    ) -> Result<()> {
        let credentials = authority.client("system:kube-controller-manager", None)?;
        let kubeconfig = self.pki("controller-manager.kubeconfig");
        kubeconfig::write(&kubeconfig, control_plane.url(), authority, &credentials)?;
        let mut command = self.command(Program::KubeControllerManager)?;
        command
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .args([
                "--leader-elect=false",
                "--use-service-account-credentials=true",
            ])
            // Without the defaults' brakes, which are for clusters that others use as well.
            .args(["--kube-api-qps=200", "--kube-api-burst=400"])
            .arg("--secure-port=0")
            .arg(self.pki_flag("root-ca-file", "ca.crt"))
            .arg(self.pki_flag("service-account-private-key-file", "service-account.key"));
        let process = self
            .supervisor
            .spawn("kube-controller-manager", Stop::Kill, &mut command)?;

        let accounts: Api<ServiceAccount> =
            Api::namespaced(control_plane.client().await?, "default");
        wait::until(
            "the controller manager",
            DEADLINE,
            Some(&process),
            async || match accounts.get_opt("default").await {
                Ok(Some(_)) => Ok(()),
                Ok(None) => Err("it has not made the default service account yet".to_owned()),
                Err(error) => Err(error.to_string()),
            },
        )
        .await
    }
}

/// Asks etcd over its socket whether it can serve; HTTP/1.0, so that the answer ends by itself.
async fn etcd_health(socket: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

fn http_get(path: &str) -> Result<http::Request<Vec<u8>>, String> {
    http::Request::get(path)
        .body(Vec::new())
        .map_err(|error| error.to_string())
}
