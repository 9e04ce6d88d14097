//! Plays the walk of `docs/tutorial.md` on a throw-away cluster and checks every step.

use std::process::ExitCode;

use clap::Parser;
use flux_tests::tutorial::{self, Args};

fn main() -> ExitCode {
    let args = Args::parse();
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        eprintln!("tutorial: another TLS provider is installed already");
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("tutorial: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(tutorial::run(&args)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tutorial: {error:#}");
            ExitCode::FAILURE
        }
    }
}
