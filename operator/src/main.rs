//! Entry point of the operator: arguments, logs, runtime, exit code.

use std::process::ExitCode;

use clap::Parser;
use flux_sync_operator::args::Args;
use flux_sync_operator::workers::ASIDE;

/// For work on disks and libgit2; two kinds have runs that hold one while a server is silent.
const THREADS: usize = 16 + 2 * ASIDE as usize;

fn main() -> ExitCode {
    let args = Args::parse();
    // Every TLS client of the process uses ring; without an installed provider rustls panics.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        eprintln!("flux-sync-operator: another TLS provider is installed already");
        return ExitCode::FAILURE;
    }
    flux_sync_operator::logging::init(&args);
    // A container that was out of memory left them, maybe with decrypted files.
    flux_build::remove_leftovers();
    // One worker: runs wait for servers most of the time, and waking another thread for an answer costs
    // more than what is to be done with it. Builds, Git and disks have threads of their own.
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(THREADS)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("flux-sync-operator: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(flux_sync_operator::run(args));
    // Whatever still runs must not go on: another process may lead by now.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flux-sync-operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}
