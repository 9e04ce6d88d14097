//! Runs kubectl as a person would, plugin included.

use std::{
    fmt,
    process::{ExitStatus, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use tokio::{io::AsyncWriteExt, process::Command};

use super::Env;
use crate::sandbox::programs::Program;

/// What a command printed and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// The command as a person would type it.
    pub command: String,
    /// Its exit status.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output of a command that must succeed.
    ///
    /// # Errors
    /// When it failed, with all it printed.
    pub fn success(self) -> Result<String> {
        ensure!(self.status.success(), "{self}");
        Ok(self.stdout)
    }

    /// Standard error of a command that must fail.
    ///
    /// # Errors
    /// When it succeeded, with all it printed.
    pub fn failure(self) -> Result<String> {
        ensure!(!self.status.success(), "{self}");
        Ok(self.stderr)
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "`{}` ended with {}", self.command, self.status)?;
        write!(f, "{}{}", self.stdout, self.stderr)
    }
}

impl Env {
    /// Runs kubectl with an administrator's rights. Once the product is built
    /// ([`Env::build_binaries`]), `kubectl flux` is our plugin.
    ///
    /// # Errors
    /// When kubectl cannot be executed; that it fails is in the output.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<Output> {
        self.kubectl_with_input(arguments, "").await
    }

    /// The same with text on standard input.
    ///
    /// # Errors
    /// When kubectl cannot be executed.
    pub async fn kubectl_with_input(&self, arguments: &[&str], input: &str) -> Result<Output> {
        let kubectl = self.programs.path(Program::Kubectl)?;
        let command = match self.sandbox.node() {
            // Where the names of the walk mean the sandbox's servers.
            Ok(node) => node.network().inside(kubectl),
            Err(_) => std::process::Command::new(kubectl),
        };
        let mut child = Command::from(command)
            .args(arguments)
            .envs(self.variables()?)
            .current_dir(self.sandbox.dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot run kubectl")?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read its input may be gone already.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        let output = child
            .wait_with_output()
            .await
            .context("cannot run kubectl")?;
        Ok(Output {
            command: format!("kubectl {}", arguments.join(" ")),
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}
