//! A throw-away Kubernetes control plane, with a Git server and an image registry on request.
//!
//! Everything runs as plain processes of the current user on 127.0.0.1, has its files in one
//! folder, and goes away with its [`Sandbox`]: on drop, when the owning process is killed, at the
//! latest at the next start. Any number run side by side. Without a node, Deployments and Pods can
//! be made, but nothing runs in them; with one ([`node`], on Linux as root) they run.

mod control_plane;
mod error;
pub mod git;
pub mod github;
mod kubeconfig;
pub mod node;
mod outside;
mod paths;
pub mod pki;
pub mod process;
pub mod programs;
pub mod progress;
pub mod registry;
pub mod state;
mod tls;
pub mod wait;

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use kube::Client;

pub use control_plane::ControlPlane;
pub use error::{Error, Result};
pub use git::GitServer;
pub use node::Node;
pub use outside::Outside;
pub(crate) use paths::write_secret;
pub use registry::Registry;

use self::{
    node::{Network, Surroundings},
    pki::Authority,
    process::Supervisor,
    programs::{Program, Programs, Search, debian},
    state::{Record, State},
};

/// What a sandbox consists of and where it lives.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder for everything; a temporary one that goes with the sandbox when `None`. It may
    /// be absent, empty or that of an earlier sandbox.
    pub dir: Option<PathBuf>,
    /// A folder to look for programs in before anywhere else.
    pub programs: Option<PathBuf>,
    /// Run etcd, kube-apiserver and kube-controller-manager.
    pub control_plane: bool,
    /// Run the Git server.
    pub git: bool,
    /// Run the image registry.
    pub registry: bool,
    /// Run a node, with all of the above.
    pub node: bool,
    /// Let others reach Git server and registry under this address of the machine.
    pub address: Option<IpAddr>,
    /// Let the API server write down every request, for [`crate::measure::RequestLog`].
    pub audit: bool,
}

impl Default for Options {
    /// A control plane in a temporary folder.
    fn default() -> Self {
        Self {
            dir: None,
            programs: None,
            control_plane: true,
            git: false,
            registry: false,
            node: false,
            address: None,
            audit: false,
        }
    }
}

impl Options {
    /// Everything but a node, in a temporary folder.
    pub fn everything() -> Self {
        Self {
            git: true,
            registry: true,
            ..Self::default()
        }
    }

    /// Everything and a node, in a temporary folder.
    pub fn with_node() -> Self {
        Self {
            node: true,
            ..Self::everything()
        }
    }
}

/// A running sandbox. Dropping it stops everything, which takes a moment and blocks.
#[derive(Debug)]
pub struct Sandbox {
    dir: PathBuf,
    search: Search,
    authority: Authority,
    control_plane: Option<ControlPlane>,
    git: Option<GitServer>,
    registry: Option<Registry>,
    node: Option<Node>,
    outside: Option<Outside>,
    ready_after: Duration,
    supervisor: Arc<Supervisor>,
}

impl Sandbox {
    /// Starts a sandbox and returns when all its parts are ready. First cleans up after
    /// sandboxes of this user whose owner was killed. Programs that are missing are built or
    /// installed, which takes minutes the first time.
    ///
    /// # Errors
    /// When the folder is taken, a program is missing and cannot be had, or a server does not
    /// become ready; the error shows the last lines of its log. Nothing is left running.
    pub async fn start(mut options: Options) -> Result<Self> {
        if options.node {
            (options.control_plane, options.git, options.registry) = (true, true, true);
        }
        // Whoever got here first may have chosen the same provider: that is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let programs = prepare(&options).await?;
        let search = Search::new(options.programs);

        let start = Instant::now();
        let supervisor = Arc::new(reserve(options.dir.as_deref())?);
        let dir = supervisor.record().dir;
        let authority = Authority::new("flux sandbox")?;
        let pki = dir.join("pki");
        paths::create_dir(&pki)?;
        paths::write(&pki.join("ca.crt"), &authority.certificate())?;

        let network = when(options.node, async || {
            Network::start(&dir.join("network"), &supervisor).await
        })
        .await?;
        // Each starts while the others do: all of them mostly wait.
        let (control_plane, git, registry) = tokio::try_join!(
            when(options.control_plane, async || {
                let network = network.as_ref();
                let audit = options.audit;
                ControlPlane::start(&dir, &supervisor, &authority, &programs, network, audit).await
            }),
            when(options.git, async || {
                GitServer::start(dir.join("git"), &supervisor, &authority).await
            }),
            when(options.registry, async || {
                Registry::start(
                    dir.join("registry"),
                    &supervisor,
                    &authority,
                    options.address,
                )
                .await
            }),
        )?;
        let node = match (network, &control_plane, &git, &registry) {
            (Some(network), Some(control_plane), Some(git), Some(registry)) => {
                let around = Surroundings {
                    authority: &authority,
                    control_plane,
                    git,
                    registry,
                };
                let dir = dir.join("node");
                Some(Node::start(dir, network, &programs, &supervisor, &around).await?)
            }
            _ => None,
        };
        let outside = match (options.address, &git, &registry) {
            (Some(address), Some(git), Some(registry)) => {
                Some(Outside::start(address, git, registry)?)
            }
            _ => None,
        };
        let ready_after = start.elapsed();
        let sandbox = Self {
            dir,
            search,
            authority,
            control_plane,
            git,
            registry,
            node,
            outside,
            ready_after,
            supervisor,
        };
        sandbox.publish()?;
        Ok(sandbox)
    }

    /// Says in the record that the sandbox is ready, for `sandbox status` and those who wait for
    /// it. Left to whoever started it, who may have more to prepare.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn mark_ready(&self) -> Result<()> {
        self.supervisor.mark_ready()
    }

    /// Tells the record where everything is.
    fn publish(&self) -> Result<()> {
        self.supervisor.publish(|endpoints| {
            endpoints.ca = Some(self.ca_file());
            if let Some(control_plane) = &self.control_plane {
                endpoints.kubeconfig = Some(control_plane.kubeconfig().to_owned());
                endpoints.api_server = Some(control_plane.url().to_owned());
            }
            if let Some(git) = &self.git {
                endpoints.git_ssh = Some(git.ssh_prefix());
                endpoints.git_https = Some(git.https_prefix());
            }
            endpoints.enter = self.node.as_ref().map(|node| node.network().enter());
            endpoints.registry = self
                .registry
                .as_ref()
                .map(|registry| registry.host().to_owned());
        })
    }

    /// The folder that holds everything.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// How long the start took, from an empty folder until everything was ready.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// The control plane.
    ///
    /// # Errors
    /// [`Error::NotStarted`] when the options said so.
    pub fn control_plane(&self) -> Result<&ControlPlane> {
        self.control_plane
            .as_ref()
            .ok_or(Error::NotStarted("control plane"))
    }

    /// The Git server.
    ///
    /// # Errors
    /// [`Error::NotStarted`] when the options said so.
    pub fn git(&self) -> Result<&GitServer> {
        self.git.as_ref().ok_or(Error::NotStarted("Git server"))
    }

    /// The image registry.
    ///
    /// # Errors
    /// [`Error::NotStarted`] when the options said so.
    pub fn registry(&self) -> Result<&Registry> {
        self.registry
            .as_ref()
            .ok_or(Error::NotStarted("image registry"))
    }

    /// The node.
    ///
    /// # Errors
    /// [`Error::NotStarted`] when the options said so.
    pub fn node(&self) -> Result<&Node> {
        self.node.as_ref().ok_or(Error::NotStarted("node"))
    }

    /// Where others reach Git server and registry.
    ///
    /// # Errors
    /// [`Error::NotStarted`] when the options name no address.
    pub fn outside(&self) -> Result<&Outside> {
        self.outside
            .as_ref()
            .ok_or(Error::NotStarted("address for others"))
    }

    /// A new client with an administrator's rights, for the runtime that calls.
    ///
    /// # Errors
    /// When there is no control plane.
    pub async fn client(&self) -> Result<Client> {
        self.control_plane()?.client().await
    }

    /// The authority of everything here that speaks TLS; tests make certificates with it.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// File with the authority's certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.dir.join("pki/ca.crt")
    }

    /// A kubeconfig with an administrator's rights under a name of its own, by which audit logs
    /// tell its user from others.
    ///
    /// # Errors
    /// When there is no control plane, or the file cannot be written.
    pub fn kubeconfig_of(&self, user: &str) -> Result<PathBuf> {
        let path = self.dir.join(format!("pki/{user}.kubeconfig"));
        let credentials = self.authority.client(user, Some("system:masters"))?;
        let url = self.control_plane()?.url();
        kubeconfig::write(&path, url, &self.authority, &credentials)?;
        Ok(path)
    }

    /// Starts and stops further programs that shall not outlive the sandbox.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// What `sandbox status` knows about this one.
    pub fn record(&self) -> Record {
        self.supervisor.record()
    }

    /// Changes what the record says about where things are, for those who add to a sandbox.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn update_endpoints(&self, change: impl FnOnce(&mut state::Endpoints)) -> Result<()> {
        self.supervisor.publish(change)
    }

    /// Programs beyond the control plane's, found or built in the same way.
    ///
    /// # Errors
    /// When one is nowhere and cannot be built.
    pub fn programs(&self, programs: &[Program]) -> Result<Programs> {
        self.search.require(programs)
    }

    /// Stops everything and waits for it; the same as dropping, without blocking the runtime.
    pub async fn stop(self) {
        // It cannot fail, and a runtime that ends at this moment drops the sandbox as well.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

/// Finds all programs that a sandbox with these options needs, and builds or installs those that
/// are missing. [`Sandbox::start`] does it too; alone it is for those who want to see progress
/// before something else begins.
///
/// # Errors
/// When a program is missing and cannot be had; the error says what to do.
pub async fn prepare(options: &Options) -> Result<Programs> {
    let options = options.clone();
    let find = move || {
        if options.node {
            node::check_support()?;
            debian::require(debian::NODE)?;
            node::probe()?;
        }
        if options.git || options.node {
            debian::require(GitServer::PACKAGES)?;
        }
        if options.registry || options.node {
            debian::require(Registry::PACKAGES)?;
        }
        let mut needed = Vec::new();
        if options.control_plane || options.node {
            needed.extend(Program::CONTROL_PLANE);
        }
        if options.node {
            needed.extend(Program::NODE);
        }
        Search::new(options.programs).require(&needed)
    };
    // It blocks for minutes when something must be built.
    tokio::task::spawn_blocking(find)
        .await
        .unwrap_or_else(|_| Err(Error::NotStarted("preparation")))
}

/// Reserves a folder and begins to supervise it.
fn reserve(dir: Option<&Path>) -> Result<Supervisor> {
    let state = State::open()?;
    let record = match dir {
        Some(dir) => state.register(dir, false)?,
        None => {
            let root = std::env::temp_dir();
            let dir = tempfile::Builder::new()
                .prefix("flux-sandbox-")
                .tempdir_in(&root)
                .map_err(Error::file("create a folder in", &root))?;
            state.register(&dir.keep(), true)?
        }
    };
    Supervisor::new(state, record)
}

/// Starts a part when it is wanted.
async fn when<T>(wanted: bool, start: impl AsyncFnOnce() -> Result<T>) -> Result<Option<T>> {
    match wanted {
        true => start().await.map(Some),
        false => Ok(None),
    }
}
