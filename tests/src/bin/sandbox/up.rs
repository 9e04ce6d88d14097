//! `sandbox up` in the foreground.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use flux_tests::sandbox::{
    self, Options, Sandbox,
    programs::{Program, Search},
    state::Endpoints,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Keep everything in this folder instead of a temporary one that goes with the sandbox.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Look for etcd, kube-apiserver and kube-controller-manager here first.
    #[arg(long, value_name = "DIR")]
    pub(crate) programs: Option<PathBuf>,
    /// Run a Git server as well.
    #[arg(long)]
    pub(crate) git: bool,
    /// Make this repository on the Git server; may be given several times and implies --git.
    #[arg(long, value_name = "OWNER/NAME")]
    pub(crate) repository: Vec<String>,
    /// Run an image registry as well, with e2e-test-images/agnhost in it.
    #[arg(long)]
    pub(crate) registry: bool,
    /// Run a node as well, so that Pods run; implies --git and --registry. As root on Linux.
    #[arg(long, conflicts_with = "no_control_plane")]
    pub(crate) node: bool,
    /// Leave the control plane out.
    #[arg(long)]
    pub(crate) no_control_plane: bool,
    /// Return when it is ready and leave it running; `sandbox down` stops it.
    #[arg(long)]
    pub(crate) detach: bool,
}

impl Args {
    pub(crate) fn options(&self) -> Options {
        Options {
            dir: self.dir.clone(),
            programs: self.programs.clone(),
            control_plane: !self.no_control_plane,
            git: self.git || !self.repository.is_empty(),
            registry: self.registry,
            node: self.node,
            ..Options::default()
        }
    }
}

/// Installs and builds everything, for a node too where this machine can run one.
pub(crate) async fn prepare() -> Result<()> {
    sandbox::prepare(&Options::everything()).await?;
    match sandbox::prepare(&Options::with_node()).await {
        Err(error @ sandbox::Error::NoNode(_)) => eprintln!("{error}"),
        outcome => drop(outcome?),
    }
    let tools = [Program::Kubectl, Program::Kustomize];
    tokio::task::spawn_blocking(move || Search::new(None).require(&tools)).await??;
    Ok(())
}

/// Starts a sandbox, says where it is, and stops it on Ctrl-C or SIGTERM, also while it starts.
pub(crate) async fn run(args: &Args) -> Result<()> {
    let mut stop = StopSignals::listen()?;
    let sandbox = tokio::select! {
        started = start(args) => started?,
        () = stop.wait() => return Ok(()),
    };
    let record = sandbox.record();
    eprintln!(
        "ready after {:.1} s in {}",
        sandbox.ready_after().as_secs_f64(),
        record.dir.display()
    );
    print_exports(&record.endpoints);
    eprintln!("Stop with Ctrl-C.");
    stop.wait().await;
    sandbox.stop().await;
    Ok(())
}

async fn start(args: &Args) -> Result<Sandbox> {
    let sandbox = Sandbox::start(args.options()).await?;
    if let Ok(git) = sandbox.git() {
        for repository in &args.repository {
            git.create_repository(repository)?;
        }
        let command = git.ssh_command(&git.person_key()?);
        sandbox.update_endpoints(|endpoints| endpoints.git_ssh_command = Some(command))?;
    }
    if let (Ok(registry), Err(_)) = (sandbox.registry(), sandbox.node()) {
        registry.seed_agnhost().await?;
    }
    sandbox.mark_ready()?;
    Ok(sandbox)
}

/// Shell lines for standard output.
pub(crate) fn print_exports(endpoints: &Endpoints) {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let exports = [
        ("KUBECONFIG", path(&endpoints.kubeconfig)),
        ("GIT_SSH_COMMAND", endpoints.git_ssh_command.clone()),
        ("SANDBOX_GIT", endpoints.git_ssh.clone()),
        ("SANDBOX_REGISTRY", endpoints.registry.clone()),
        ("SANDBOX_CA", path(&endpoints.ca)),
        // `$SANDBOX_ENTER curl http://apps.example.com/` asks as if from the node.
        ("SANDBOX_ENTER", endpoints.enter.clone()),
    ];
    for (name, value) in exports {
        if let Some(value) = value {
            println!("export {name}='{}'", value.replace('\'', r"'\''"));
        }
    }
}

/// Ctrl-C and SIGTERM.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
