//! `sandbox`: a throw-away Kubernetes control plane, Git server and image registry by hand.
//!
//! Only arguments and output are here; the work is done by [`flux_tests::sandbox`].

mod detach;
mod select;
mod status;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A throw-away Kubernetes control plane, with a Git server and an image registry on request.
#[derive(Debug, Parser)]
#[command(name = "sandbox", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a sandbox and keep it until Ctrl-C, or in the background.
    ///
    /// Standard output carries what to export, so that `eval "$(sandbox up --detach)"` works.
    Up(up::Args),
    /// Install and build what sandboxes need, without starting one.
    ///
    /// The same happens at the first start; alone it is for images of machines, and for CI.
    Prepare,
    /// Stop sandboxes and clean up after those whose owner was killed.
    Down(select::DownArgs),
    /// List the sandboxes of this user.
    Status(status::Args),
    /// Print the administrator's kubeconfig of a sandbox.
    Kubeconfig(select::KubeconfigArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Up(args) if args.detach => detach::run(&args).await,
        Command::Up(args) => up::run(&args).await,
        Command::Prepare => up::prepare().await,
        Command::Down(args) => select::down(&args).await,
        Command::Status(args) => status::run(&args),
        Command::Kubeconfig(args) => select::kubeconfig(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sandbox: {error:#}");
            ExitCode::FAILURE
        }
    }
}
