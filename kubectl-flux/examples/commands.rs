//! Writes the page about all commands to `docs/commands.md`, or to the file given.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/commands.md");
    let file = env::args_os().nth(1).map_or_else(default, PathBuf::from);
    fs::write(file, kubectl_flux::docs::markdown())
}
