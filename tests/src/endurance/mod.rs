//! What an operator has to endure: tests do it at a small scale, `soak` at that of an issue.

pub mod hostile;
pub mod kills;
pub mod large;
pub mod outages;
pub mod proxy;
mod scenario;
pub mod storm;
mod traps;

use std::io::{BufWriter, Write as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::env::Env;
use traps::Out;

/// Applies an object with this spec.
async fn apply<K>(api: &Api<K>, name: &str, spec: Value) -> Result<()>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let object = json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()),
        "metadata": {"name": name}, "spec": spec});
    let params = PatchParams::apply("endurance").force();
    api.patch(name, &params, &Patch::Apply(object)).await?;
    Ok(())
}

/// Fills an empty repository from what is written in the form of `git fast-import`.
fn fast_import(
    env: &Env,
    repository: &str,
    write: impl FnOnce(&mut Out<'_>) -> std::io::Result<()>,
) -> Result<()> {
    let mut child = Command::new("git")
        .args(["-c", "core.compression=1", "fast-import", "--quiet"])
        .current_dir(env.git()?.repository_path(repository))
        .stdin(Stdio::piped())
        .spawn()
        .context("git fast-import")?;
    let mut out = BufWriter::new(child.stdin.as_mut().context("no input")?);
    write(&mut out)?;
    out.flush()?;
    drop(out);
    drop(child.stdin.take());
    ensure!(child.wait()?.success(), "git fast-import failed");
    Ok(())
}
