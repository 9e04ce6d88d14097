//! A repository with a long history and many files, and one with many refs: what the first fetch of
//! the one and a poll of the other take.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use flux_api::{GitRepository, conditions};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::traps::{Out, file};
use super::{apply, fast_import};
use crate::env::Env;
use crate::measure::{Meter, Usage};
use crate::sandbox::process::ProcessId;

/// For the first fetch of the largest.
const PATIENCE: Duration = Duration::from_secs(300);

/// Files of one folder.
const FOLDER: usize = 100;

/// How large the repositories are.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Commits of the first one; each changes one file.
    pub commits: usize,
    /// Files of it.
    pub files: usize,
    /// Refs of the second one.
    pub refs: usize,
}

/// What was measured.
#[derive(Debug)]
pub struct Report {
    /// The operator, from the GitRepository to its artifact.
    pub first: Usage,
    /// What the Git server sent for that, in bytes of Git's protocol.
    pub first_bytes: u64,
    /// What a poll that found nothing new received and sent, in bytes of Git's protocol.
    pub poll_bytes: u64,
}

/// Begins with a running operator and shows it the two repositories.
///
/// # Errors
/// When it does not get artifacts of them.
pub async fn run(env: &Env, namespace: &str, operator: ProcessId, sizes: Sizes) -> Result<Report> {
    let (long, wide) = (format!("{namespace}/long"), format!("{namespace}/wide"));
    for repository in [&long, &wide] {
        env.git()?.create_repository(repository)?;
    }
    fast_import(env, &long, |out| history(out, sizes))?;
    fast_import(env, &wide, |out| refs(out, sizes.refs))?;
    let transferred = || -> Result<u64> { Ok(env.git()?.transferred()) };

    let (before, meter) = (transferred()?, Meter::start(operator));
    fetched(env, namespace, "long", &long).await?;
    let first = meter.usage().context("the operator has ended")?;
    let first_bytes = transferred()? - before;
    fetched(env, namespace, "wide", &wide).await?;
    let before = transferred()?;
    poll(env, namespace, "wide").await?;
    Ok(Report {
        first,
        first_bytes,
        poll_bytes: transferred()? - before,
    })
}

/// Waits for the artifact of a repository that the operator does not know yet.
async fn fetched(env: &Env, namespace: &str, name: &str, repository: &str) -> Result<()> {
    let api: Api<GitRepository> = Api::namespaced(env.client().await?, namespace);
    let url = env.git()?.https_url(repository);
    let spec = json!({"interval": "1h", "url": url, "ref": {"branch": "main"}, "timeout": "5m"});
    apply(&api, name, spec).await?;
    env.wait_for("an artifact", PATIENCE, async || {
        let object = api.get(name).await.map_err(|error| error.to_string())?;
        let conditions = object.status.unwrap_or_default().conditions;
        let ready = conditions::is_true(&conditions, "Ready");
        ready.then_some(()).ok_or_else(|| format!("{conditions:?}"))
    })
    .await
}

/// Asks for a poll and waits until it was.
async fn poll(env: &Env, namespace: &str, name: &str) -> Result<()> {
    let api: Api<GitRepository> = Api::namespaced(env.client().await?, namespace);
    let annotations = json!({"reconcile.fluxcd.io/requestedAt": "poll"});
    let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
    api.patch(name, &PatchParams::default(), &patch).await?;
    env.wait_for("a poll", PATIENCE, async || {
        let object = api.get(name).await.map_err(|error| error.to_string())?;
        let handled = object.status.unwrap_or_default().last_handled_reconcile_at;
        (handled.as_deref() == Some("poll"))
            .then_some(())
            .ok_or_else(|| format!("{handled:?}"))
    })
    .await
}

/// All files with the first commit; each further one changes one of them.
fn history(out: &mut Out<'_>, sizes: Sizes) -> std::io::Result<()> {
    commit(out, "main", 0)?;
    for number in 0..sizes.files {
        manifest(out, number, 0)?;
    }
    for number in 1..sizes.commits {
        commit(out, "main", number)?;
        manifest(out, number % sizes.files, number)?;
    }
    Ok(())
}

/// Branches with one commit.
fn refs(out: &mut Out<'_>, count: usize) -> std::io::Result<()> {
    commit(out, "main", 0)?;
    manifest(out, 0, 0)?;
    for number in 1..count {
        let branch = format!("refs/heads/feature/number-{number}");
        write!(out, "reset {branch}\nfrom refs/heads/main\n\n")?;
    }
    Ok(())
}

fn commit(out: &mut Out<'_>, branch: &str, number: usize) -> std::io::Result<()> {
    let (time, message) = (1_700_000_000 + number, format!("feat: change {number}"));
    write!(
        out,
        "commit refs/heads/{branch}\ncommitter somebody <somebody@example.com> {time} +0000\n\
         data {}\n{message}\n",
        message.len()
    )
}

fn manifest(out: &mut Out<'_>, number: usize, value: usize) -> std::io::Result<()> {
    let path = format!("apps/{}/map-{number}.yaml", number / FOLDER);
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: map-{number}\ndata:\n  value: \"{value}\"\n"
    );
    file(out, &path, &text)
}
