//! What no GitRepository needs any more: mirrors whose repository, or credentials, are others now, and
//! tarballs of objects that went without us.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flux_api::GitRepository;
use tokio_util::sync::CancellationToken;

use super::{Source, artifact, origin, remote};
use crate::context::Context;
use crate::http::Phases;
use crate::key::Key;

/// Mirrors are small beside the disk they are on, and a mirror that is deleted too early costs a
/// fetch.
const PERIOD: Duration = Duration::from_secs(60 * 60);

/// Deletes what is not needed once an hour until `stop`, as the leader, who knows all objects.
pub async fn run(context: Arc<Context>, phases: Phases, stop: CancellationToken) {
    tokio::select! {
        () = every(PERIOD, &phases, || collect(context.clone())) => {}
        () = stop.cancelled() => {}
    }
}

/// Works again and again, but not before the caches are filled and this process leads: to who knows
/// no object nothing seems to be needed.
async fn every<W: Future<Output = ()>>(
    period: Duration,
    phases: &Phases,
    mut work: impl FnMut() -> W,
) {
    phases.may_work().await;
    loop {
        tokio::time::sleep(period).await;
        work().await;
    }
}

async fn collect(context: Arc<Context>) {
    collect_mirrors(&context).await;
    let folder = context.artifacts.join("gitrepository");
    // Listed first: what comes later has an object by then.
    let folders = folders(&folder).await;
    let objects = context.stores.git_repositories.state();
    let keys = objects.iter().map(|object| Key::of(&**object)).collect();
    remove_orphans(folders, &keys).await;
}

/// The objects, and which generations of them.
fn generations(context: &Context) -> HashSet<(Key, Option<i64>)> {
    let objects = context.stores.git_repositories.state();
    let of = |object: &Arc<GitRepository>| (Key::of(&**object), object.metadata.generation);
    objects.iter().map(of).collect()
}

async fn collect_mirrors(context: &Context) {
    let (mut used, objects) = (HashSet::new(), generations(context));
    // Those of other shards, too: image automations of this process may write to them.
    for object in context.stores.git_repositories.state() {
        let key = Key::of(&*object);
        // What is read now, or after the next start, stays while new credentials do not work.
        let source = context.sources.get(&key);
        let read = source.as_deref().and_then(Source::mirrored);
        let read = read.map(|mirrored| context.git.mirror_name(&mirrored.remote));
        let origin = origin::read(&artifact::folder(&key, context)).await;
        let remote = remote::of(&object, context).await.ok();
        let next = remote.map(|remote| context.git.mirror_name(&remote));
        used.extend([read, origin, next].into_iter().flatten());
    }
    // What came or changed while Secrets were read may have a mirror already: next time.
    if generations(context) != objects {
        return;
    }
    if let Err(error) = context.git.retain(&used).await {
        tracing::warn!(%error, "mirrors that are not needed cannot be deleted");
    }
}

/// The folders of objects below that of all.
async fn folders(all: &Path) -> Vec<(Key, PathBuf)> {
    let mut found = Vec::new();
    for namespace in names(all).await {
        for name in names(&all.join(&namespace)).await {
            let folder = all.join(&namespace).join(&name);
            found.push((Key::new(&namespace, &name), folder));
        }
    }
    found
}

/// What is in a folder; nothing when it is none.
async fn names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    if let Ok(mut entries) = tokio::fs::read_dir(folder).await {
        while let Ok(Some(entry)) = entries.next_entry().await {
            names.extend(entry.file_name().into_string());
        }
    }
    names
}

/// Deletes the folders of objects that are gone: somebody took their finalizer away.
async fn remove_orphans(folders: Vec<(Key, PathBuf)>, keys: &HashSet<Key>) {
    for (key, folder) in folders {
        if !keys.contains(&key)
            && let Err(error) = tokio::fs::remove_dir_all(&folder).await
        {
            tracing::warn!(source = %key, %error, "artifacts of an object that is gone cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_garbage_before_all_objects_are_known() {
        let phases = Phases::new(1, true);
        let (sender, mut worked) = tokio::sync::mpsc::unbounded_channel();
        let begin = phases.clone();
        tokio::spawn(async move {
            let work = || {
                let told = sender.send(());
                async move { assert!(told.is_ok()) }
            };
            every(Duration::from_millis(1), &begin, work).await;
        });
        let moment = Duration::from_millis(20);
        let early = tokio::time::timeout(moment, worked.recv()).await;
        assert!(early.is_err(), "no object is known");
        phases.listed.report();
        let early = tokio::time::timeout(moment, worked.recv()).await;
        assert!(early.is_err(), "another process works");
        phases.leading.report();
        assert!(worked.recv().await.is_some());
    }

    #[tokio::test]
    async fn tarballs_without_an_object_go() {
        let all = tempfile::tempdir().unwrap();
        for folder in ["team/apps", "team/gone", "other/apps"] {
            std::fs::create_dir_all(all.path().join(folder)).unwrap();
            std::fs::write(all.path().join(folder).join("a.tar.gz"), "x").unwrap();
        }
        let keys = [("team", "apps"), ("new", "apps")].map(|(ns, name)| Key::new(ns, name));
        remove_orphans(folders(all.path()).await, &keys.into()).await;
        assert_eq!(names(&all.path().join("team")).await, ["apps"]);
        assert!(names(&all.path().join("other")).await.is_empty());
        assert!(all.path().join("team/apps/a.tar.gz").is_file());
        assert!(folders(&all.path().join("nowhere")).await.is_empty());
    }
}
