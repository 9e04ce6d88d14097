//! Structured logs on standard error.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;

use crate::args::{Args, LogEncoding};

/// Installs the log subscriber. `RUST_LOG` refines what `--log-level` sets.
pub fn init(args: &Args) {
    // The level is for this program; its libraries speak up from warnings on.
    let level = args.log_level.as_str().to_lowercase();
    let default = format!("warn,flux_sync_operator={level},flux_git={level},flux_apply={level}");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(stderr().is_terminal())
        .with_writer(stderr);
    match args.log_encoding {
        LogEncoding::Json => builder.json().flatten_event(true).init(),
        LogEncoding::Console => builder.init(),
    }
}
