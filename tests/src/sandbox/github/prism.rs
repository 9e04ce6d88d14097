//! Prism, from npm: installed once into the cache, started for a test.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use super::super::{
    Sandbox,
    error::{Error, Result},
    paths,
    process::{Process, Stop},
    progress::Step,
    wait,
};

/// What is installed, in versions that were tried together.
const PACKAGES: [&str; 2] = ["@stoplight/prism-cli@5.14.2", "@octokit/openapi@23.0.2"];

/// Name of the folder in the cache; changes with the versions.
const FOLDER: &str = "npm-prism-5.14.2-openapi-23.0.2";

/// Start of a program of Node on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long it gets to end.
const GRACE: Duration = Duration::from_secs(5);

/// The folder with the packages, installed at the first call; `None` where there is no npm.
pub(super) fn packages() -> Result<Option<PathBuf>> {
    let found = |name| paths::find_executable(name, paths::search_path()).is_some();
    if !found("npm") || !found("node") {
        eprintln!("skipped: GitHub's API is tested with Prism, which needs node and npm");
        return Ok(None);
    }
    let folder = paths::cache().join(FOLDER);
    paths::create_dir(&folder)?;
    let lock_file = folder.join("lock");
    let lock = File::create(&lock_file).map_err(Error::file("create", &lock_file))?;
    lock.lock().map_err(Error::file("lock", &lock_file))?;
    let done = folder.join("installed");
    if !done.exists() {
        let step = Step::start("installing Prism and GitHub's API description");
        let output = Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--ignore-scripts"])
            .args(["--prefix", "."])
            .args(PACKAGES)
            .current_dir(&folder)
            .output()
            .map_err(|source| Error::Run {
                program: "npm".to_owned(),
                source,
            })?;
        if !output.status.success() {
            return Err(Error::Failed {
                command: "npm install".to_owned(),
                status: output.status,
                output: String::from_utf8_lossy(&output.stderr).into_owned(),
            });
        }
        paths::write(&done, "")?;
        step.done();
    }
    Ok(Some(folder))
}

/// Starts Prism between two ports: requests to the second go to the first.
pub(super) async fn start(
    sandbox: &Sandbox,
    packages: &Path,
    description: &Path,
    [upstream, port]: [u16; 2],
) -> Result<Arc<Process>> {
    let mut command = Command::new(packages.join("node_modules/.bin/prism"));
    command
        .args(["proxy", "--errors", "--host=127.0.0.1"])
        .arg(format!("--port={port}"))
        .arg(description)
        .arg(format!("http://127.0.0.1:{upstream}"))
        .current_dir(sandbox.dir());
    let name = format!("prism-{port}");
    let supervisor = sandbox.supervisor();
    let process = supervisor.spawn(&name, Stop::Terminate(GRACE), &mut command)?;
    wait::until("Prism", PATIENCE, Some(&process), async || {
        tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    })
    .await?;
    Ok(process)
}
