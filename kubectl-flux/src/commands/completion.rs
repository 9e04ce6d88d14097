//! `completion`: scripts that make a shell ask this program for candidates.

mod install;

use clap::Subcommand;

use crate::error::Error;
use crate::output;

/// `completion` with the shells below it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Put the script where it is found, instead of printing it; without the name of a shell, for
    /// kubectl and for the shell of the variable SHELL
    #[arg(long, global = true)]
    install: bool,
    #[command(subcommand)]
    shell: Option<Shell>,
}

/// Shells, and kubectl, which completes its plugins itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
enum Shell {
    /// Script for bash: source <(kubectl flux completion bash)
    Bash,
    /// Script for zsh: kubectl flux completion zsh > "${fpath[1]}/_kubectl-flux"
    Zsh,
    /// Script for fish: kubectl flux completion fish | source
    Fish,
    /// Script for PowerShell: kubectl flux completion powershell | Out-String | Invoke-Expression
    Powershell,
    /// Script with which kubectl completes `kubectl flux`; to be put, executable and named
    /// kubectl_complete-flux, into a folder of PATH
    Kubectl,
}

impl Shell {
    fn script(self) -> &'static str {
        match self {
            Self::Bash => include_str!("completion/bash.sh"),
            Self::Zsh => include_str!("completion/zsh.sh"),
            Self::Fish => include_str!("completion/fish.fish"),
            Self::Powershell => include_str!("completion/powershell.ps1"),
            Self::Kubectl => include_str!("completion/kubectl.sh"),
        }
    }
}

/// Prints the script, or installs it.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    match (args.shell, args.install) {
        (Some(shell), false) => output::data(shell.script()),
        (Some(shell), true) => install::one(shell),
        (None, true) => install::usual(),
        (None, false) => Err(Error::input(
            "\"flux completion\" needs one of these commands: bash, zsh, fish, powershell, \
             kubectl; or --install",
        )),
    }
}
