//! Entry point of `kubectl flux`; everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    kubectl_flux::run(std::env::args_os())
}
