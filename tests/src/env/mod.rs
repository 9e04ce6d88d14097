//! The product in its surroundings: a sandbox with everything, the CRDs applied, and the
//! product's programs built from this tree and started in it.
//!
//! Errors are for people who read a test's output, hence `anyhow`.

mod binaries;
pub(crate) mod images;
mod kubectl;

use std::{
    ffi::OsString,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use k8s_openapi::{
    api::core::v1::Namespace,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use tokio::sync::OnceCell;

pub use binaries::Binaries;
pub(crate) use binaries::cargo;
pub use kubectl::Output;

use crate::sandbox::{
    Error, GitServer, Node, Options, Registry, Sandbox,
    process::{Process, Stop},
    programs::{Program, Programs},
    wait,
};

/// How long the API server gets to serve new kinds.
const CRDS_SERVED: Duration = Duration::from_secs(30);

/// How long the product's programs get to end by themselves.
const GRACE: Duration = Duration::from_secs(5);

/// A sandbox for the product's programs.
#[derive(Debug)]
pub struct Env {
    sandbox: Sandbox,
    programs: Programs,
    binaries: OnceCell<Binaries>,
    namespaces: AtomicU32,
}

impl Env {
    /// Starts a sandbox with everything in a temporary folder and applies the CRDs.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start() -> Result<Self> {
        Self::with(Options::everything()).await
    }

    /// The same with options of one's own, which must include the control plane.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn with(options: Options) -> Result<Self> {
        let env = Self::empty(options).await?;
        apply_crds(&env.client().await?).await?;
        Ok(env)
    }

    /// The same without the CRDs, for those who install the product.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn empty(options: Options) -> Result<Self> {
        let sandbox = Sandbox::start(options).await?;
        let programs = sandbox.programs(&[Program::Kubectl, Program::Kustomize])?;
        sandbox.mark_ready()?;
        let (binaries, namespaces) = (OnceCell::new(), AtomicU32::new(0));
        Ok(Self {
            sandbox,
            programs,
            binaries,
            namespaces,
        })
    }

    /// The environment that all tests of this process share, started by the first. It ends with
    /// the process: statics are not dropped, but the sandbox's watchdog sees to it. Tests keep
    /// to namespaces of their own, see [`Self::namespace`].
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Env> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// The environment with a node that all tests of this process share, started by the first;
    /// nothing is installed in it. `None`, after a word on why, where no node can run.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn shared_with_node() -> Result<Option<&'static Self>> {
        static SHARED: OnceCell<Option<Env>> = OnceCell::const_new();
        let start = async || match Self::empty(Options::with_node()).await {
            Ok(env) => Ok(Some(env)),
            Err(error) => match error.downcast_ref::<Error>() {
                Some(Error::NoNode(_)) => {
                    eprintln!("skipped: {error}");
                    Ok(None)
                }
                _ => Err(error),
            },
        };
        Ok(SHARED.get_or_try_init(start).await?.as_ref())
    }

    /// The sandbox below.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The Git server.
    ///
    /// # Errors
    /// When the options left it out.
    pub fn git(&self) -> Result<&GitServer> {
        Ok(self.sandbox.git()?)
    }

    /// The image registry.
    ///
    /// # Errors
    /// When the options left it out.
    pub fn registry(&self) -> Result<&Registry> {
        Ok(self.sandbox.registry()?)
    }

    /// The node.
    ///
    /// # Errors
    /// When the options left it out.
    pub fn node(&self) -> Result<&Node> {
        Ok(self.sandbox.node()?)
    }

    /// A new client with an administrator's rights, for the runtime that calls.
    ///
    /// # Errors
    /// When the kubeconfig is gone.
    pub async fn client(&self) -> Result<Client> {
        Ok(self.sandbox.client().await?)
    }

    /// Makes a namespace that no other test uses; its name begins with `prefix`.
    ///
    /// # Errors
    /// When the API server refuses the name.
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        let number = self.namespaces.fetch_add(1, Ordering::Relaxed);
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(format!("{prefix}-{number}"));
        let api: Api<Namespace> = Api::all(self.client().await?);
        Ok(api
            .create(&PostParams::default(), &namespace)
            .await?
            .name_any())
    }

    /// The product's programs, built on the first call.
    ///
    /// # Errors
    /// When they do not compile.
    pub async fn build_binaries(&self) -> Result<&Binaries> {
        self.binaries
            .get_or_try_init(|| async { tokio::task::spawn_blocking(Binaries::build).await? })
            .await
    }

    /// Starts the operator with these arguments, with the administrator's kubeconfig; where
    /// requests are written down, as the user `operator`.
    ///
    /// # Errors
    /// When it cannot be built or executed.
    pub async fn start_operator(&self, arguments: &[&str]) -> Result<Arc<Process>> {
        let program = &self.build_binaries().await?.operator;
        self.spawn("operator", program.clone(), arguments, &[])
    }

    /// The same with more in its environment, such as another kubeconfig, that leads through a proxy.
    ///
    /// # Errors
    /// When it cannot be built or executed.
    pub async fn start_operator_with(
        &self,
        variables: &[(&str, OsString)],
        arguments: &[&str],
    ) -> Result<Arc<Process>> {
        let program = &self.build_binaries().await?.operator;
        self.spawn("operator", program.clone(), arguments, variables)
    }

    /// Starts the webhook with these arguments, with the administrator's kubeconfig; where
    /// requests are written down, as the user `webhook`.
    ///
    /// # Errors
    /// When it cannot be built or executed.
    pub async fn start_webhook(&self, arguments: &[&str]) -> Result<Arc<Process>> {
        let program = &self.build_binaries().await?.webhook;
        self.spawn("webhook", program.clone(), arguments, &[])
    }

    fn spawn(
        &self,
        name: &str,
        program: PathBuf,
        arguments: &[&str],
        variables: &[(&str, OsString)],
    ) -> Result<Arc<Process>> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(self.variables()?)
            // Git server and registry have certificates of the sandbox's own authority.
            .env("SSL_CERT_FILE", self.sandbox.ca_file())
            // As manifests/operator.yaml has it.
            .env("MALLOC_ARENA_MAX", "2")
            .current_dir(self.sandbox.dir());
        if self.sandbox.control_plane()?.audit_log().is_ok() {
            // So that its requests can be told from others' (`measure::Requests::of`).
            command.env("KUBECONFIG", self.sandbox.kubeconfig_of(name)?);
        }
        command.envs(variables.iter().cloned());
        Ok(self
            .sandbox
            .supervisor()
            .spawn(name, Stop::Terminate(GRACE), &mut command)?)
    }

    /// What programs need in their environment to work in the sandbox and to leave the user's
    /// own files alone.
    ///
    /// # Errors
    /// When there is no control plane.
    pub fn variables(&self) -> Result<Vec<(&'static str, OsString)>> {
        let home = self.sandbox.dir().join("home");
        let authority = self.sandbox.node().map(|_| self.sandbox.ca_file());
        let trusted = authority.map(|file| ("SSL_CERT_FILE", file.into()));
        Ok(Vec::from_iter(trusted.into_iter().chain([
            ("PATH", self.search_path()?),
            ("HOME", home.clone().into()),
            // The keys of whoever runs the tests are no part of them.
            ("SSH_AUTH_SOCK", OsString::new()),
            ("XDG_CACHE_HOME", home.join(".cache").into()),
            ("XDG_CONFIG_HOME", home.join(".config").into()),
            ("XDG_STATE_HOME", home.join(".local/state").into()),
            (
                "KUBECONFIG",
                self.sandbox.control_plane()?.kubeconfig().into(),
            ),
        ])))
    }

    /// `PATH` with kubectl, kustomize and, once it is built, the plugin before all else.
    ///
    /// # Errors
    /// When a folder's name contains a colon.
    pub(crate) fn search_path(&self) -> Result<OsString> {
        let plugin = self
            .binaries
            .get()
            .map(|binaries| binaries.plugin.as_path());
        let tools = [Program::Kubectl, Program::Kustomize];
        let tools = tools.map(|program| self.programs.path(program));
        let folders = tools
            .into_iter()
            .flatten()
            .map(PathBuf::as_path)
            .chain(plugin)
            .filter_map(|program| program.parent().map(PathBuf::from));
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        std::env::join_paths(folders.chain(std::env::split_paths(&inherited)))
            .context("a folder's name contains a colon")
    }

    /// Polls until `condition` holds; its error says what is still missing.
    ///
    /// # Errors
    /// When it does not hold before the deadline, with the last thing that was missing.
    pub async fn wait_for<T>(
        &self,
        what: &str,
        deadline: Duration,
        condition: impl AsyncFnMut() -> Result<T, String>,
    ) -> Result<T> {
        Ok(wait::until(what, deadline, None, condition).await?)
    }

    /// Stops everything.
    pub async fn stop(self) {
        self.sandbox.stop().await;
    }
}

/// Applies the CRDs and waits until every version is served and can be discovered.
async fn apply_crds(client: &Client) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let crds = flux_api::crd::all();
    for crd in &crds {
        let name = crd.name_any();
        api.patch(
            &name,
            &PatchParams::apply("flux-tests").force(),
            &Patch::Apply(crd),
        )
        .await
        .with_context(|| format!("cannot apply CustomResourceDefinition {name}"))?;
    }
    for crd in &crds {
        for version in &crd.spec.versions {
            let group_version = format!("{}/{}", crd.spec.group, version.name);
            let plural = &crd.spec.names.plural;
            wait::until(
                &format!("{plural}.{group_version}"),
                CRDS_SERVED,
                None,
                async || {
                    let resources = client.list_api_group_resources(&group_version).await;
                    let resources = resources.map_err(|error| error.to_string())?.resources;
                    let served = resources.iter().any(|resource| &resource.name == plural);
                    served
                        .then_some(())
                        .ok_or_else(|| "not served yet".to_owned())
                },
            )
            .await?;
        }
    }
    Ok(())
}
