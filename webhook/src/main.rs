//! The admission webhook's program: arguments, TLS provider, logs, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use flux_admission_webhook::{Args, run, termination};

#[tokio::main]
async fn main() -> ExitCode {
    // Only fails if there is one already, which is then as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let args = Args::parse();
    tracing_subscriber::fmt()
        .json()
        .with_writer(std::io::stderr)
        .with_env_filter(args.log_filter())
        .init();
    match run(args, termination()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
