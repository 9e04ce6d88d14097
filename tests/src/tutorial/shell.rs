//! Runs the commands of the tutorial exactly as they are printed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::sandbox::node::Network;

/// Above the five minutes after which the programs themselves give up: their words say more.
const LIMIT: Duration = Duration::from_secs(360);

/// Output of a command: standard output and standard error in the order a terminal would show
/// them, and whether it succeeded.
#[derive(Debug, Default)]
pub(super) struct Ran {
    /// What it printed.
    pub(super) text: String,
    /// Whether it exited with 0.
    pub(super) ok: bool,
}

/// A person's shell: a folder, an environment.
#[derive(Clone, Debug)]
pub(super) struct Shell {
    /// Where commands run.
    pub(super) folder: PathBuf,
    /// What they find in their environment.
    pub(super) environment: BTreeMap<String, String>,
    /// The node's network, if there is a node: a person sits where its names are known.
    pub(super) network: Option<Network>,
}

impl Shell {
    /// Runs a command line.
    ///
    /// # Errors
    /// When the shell itself cannot be started or the command does not end.
    pub(super) async fn run(&self, command: &str) -> anyhow::Result<Ran> {
        let mut process = match &self.network {
            Some(network) => Command::from(network.inside("sh".as_ref())),
            None => Command::new("sh"),
        };
        process
            .arg("-ec")
            // One stream: the order in which a person sees the lines matters more than their origin.
            // The folder by a variable, because a namespace of mounts is entered at its root.
            .arg(format!("exec 2>&1\ncd \"$TUTORIAL_FOLDER\"\n{command}"))
            .env("TUTORIAL_FOLDER", &self.folder)
            .envs(&self.environment)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(LIMIT, process.output())
            .await
            .map_err(|_| anyhow::anyhow!("`{command}` did not end within {LIMIT:?}"))??;
        Ok(Ran {
            text: String::from_utf8_lossy(&output.stdout).into_owned(),
            ok: output.status.success(),
        })
    }
}
