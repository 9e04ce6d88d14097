//! Writes the CustomResourceDefinitions to `manifests/crds/`, or to the directory given.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/crds");
    let directory = env::args_os().nth(1).map_or_else(default, PathBuf::from);
    let files = flux_api::crd::files();

    fs::create_dir_all(&directory)?;
    for entry in fs::read_dir(&directory)? {
        let entry = entry?;
        if !files.contains_key(entry.file_name().to_string_lossy().as_ref()) {
            fs::remove_file(entry.path())?;
        }
    }
    for (name, content) in files {
        fs::write(directory.join(name), content)?;
    }
    Ok(())
}
