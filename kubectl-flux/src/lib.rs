//! `kubectl flux`: authors, inspects and drives Flux resources from a terminal.
//!
//! Commands, flags, texts, streams and exit codes are those of the Flux CLI, so that scripts and
//! habits carry over. Layout: [`cli`] holds the command tree and turns arguments into values,
//! `commands` has one file per verb and kind, `cluster` is the only module that talks to the API
//! server, `github` the only one that talks to GitHub, `output` the only one that writes to the
//! terminal.
//!
//! Nothing here reconciles anything: controllers do, and this program asks them to and waits.

use std::ffi::OsString;
use std::process::ExitCode;

pub mod cli;
mod cluster;
mod commands;
mod complete;
mod context;
mod disk;
pub mod docs;
mod error;
mod github;
mod kind;
mod output;
mod unified;
mod wait;

use error::Error;

/// Version of this program, with the `v` that Flux puts before it.
const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));

/// Runs the program with the given arguments, the first being the name it was called by.
///
/// Data goes to standard output, everything said to the person to standard error. The code is 0
/// on success and 1 on any failure, as with Flux; `diff`, `lint` and `preview` keep 1 for their
/// answers and end with 2 when they have none.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let outcome = match complete::words(&args) {
        Some(words) => complete::run(&words),
        None => match cli::parse(&args) {
            Ok(cli) => commands::run(cli),
            Err(stop) => return stop.report(&args),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of a pipe has seen enough: that is no failure of ours.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(Error::Answer) => ExitCode::FAILURE,
        Err(error) => {
            output::failure(&error);
            cli::no_answer(&args)
        }
    }
}
