//! `completion`: scripts that make a shell ask this program for candidates.

use clap::Subcommand;

use crate::error::Error;
use crate::output;

/// `completion` with the shells below it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    shell: Shell,
}

/// Shells, and kubectl, which completes its plugins itself.
#[derive(Debug, Subcommand)]
enum Shell {
    /// Script for bash: source <(kubectl flux completion bash)
    Bash(Nothing),
    /// Script for zsh: kubectl flux completion zsh > "${fpath[1]}/_kubectl-flux"
    Zsh(Nothing),
    /// Script for fish: kubectl flux completion fish | source
    Fish(Nothing),
    /// Script for PowerShell: kubectl flux completion powershell | Out-String | Invoke-Expression
    Powershell(Nothing),
    /// Script with which kubectl completes `kubectl flux`; to be put, executable and named
    /// kubectl_complete-flux, into a folder of PATH
    Kubectl(Nothing),
}

/// No arguments of its own.
#[derive(Debug, clap::Args)]
struct Nothing {}

/// Prints the script.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    output::data(match args.shell {
        Shell::Bash(_) => include_str!("completion/bash.sh"),
        Shell::Zsh(_) => include_str!("completion/zsh.sh"),
        Shell::Fish(_) => include_str!("completion/fish.fish"),
        Shell::Powershell(_) => include_str!("completion/powershell.ps1"),
        Shell::Kubectl(_) => include_str!("completion/kubectl.sh"),
    })
}
