//! The steps of every `bootstrap`, in Flux's order and words.
//!
//! Each can be repeated: a second run finds what the first has done and says so.

use std::path::Path;

use flux_git::Remote;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::access::Person;
use super::files::{self, Layout, Sync};
use super::flags::Shared;
use super::rehearsal::{self, Files};
use super::repository::{self, Change, Commits, Repository};
use super::secret::{Provider, Source};
use super::takeover;
use crate::VERSION;
use crate::cluster::{Cluster, Scope, View};
use crate::commands::install::flags::Wanted;
use crate::commands::install::preflight::Found;
use crate::commands::install::{self, bundle};
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;
use crate::output;
use crate::wait::{self, Goal, Target};

/// Where the repository is, for the person and for the cluster.
pub(super) struct Place<'a> {
    /// As the person reaches it, with credentials.
    pub(super) remote: Remote,
    /// As the cluster reaches it.
    pub(super) sync_url: flux_git::GitUrl,
    /// The same as it is written into manifests.
    pub(super) sync_text: String,
    pub(super) person: &'a Person<'a>,
}

/// Carries out a bootstrap.
///
/// # Errors
/// Of the first step that fails; those before it have been said to be done.
pub(super) async fn run(
    shared: &Shared,
    wanted: &mut Wanted,
    place: Place<'_>,
    provider: &impl Provider,
    context: &Context,
) -> Result<(), Error> {
    let namespace = context.namespace();
    let cluster = context.cluster().await?;
    let mut found = install::look_around(&cluster, wanted, shared.install.take_over).await?;
    let sync = sync(shared, &place.sync_text, namespace);
    let root = find_root(&cluster, &found, namespace).await?;
    check_path(root.as_ref(), &sync.path)?;

    let layout = Layout::new(&sync.path, namespace);
    let commits = Commits {
        branch: shared.branch.clone(),
        author: shared.author(),
        signing: shared.signing()?,
        appendix: shared.commit_message_appendix.clone(),
    };
    let repository = Repository::new(place.remote, commits)?;
    let files = repository.clone(&layout).await?;
    repository::check_writer(&files, &layout, shared.install.take_over)?;

    output::action("generating component manifests");
    let objects = bundle::objects(&wanted.settings)?;
    let deployments = Wanted::deployments(&objects);
    output::success("generated component manifests");
    wanted.say_what_is_lacking();
    if shared.dry_run {
        let all = Files::new(&layout, &wanted.choice.running(), &objects, &sync);
        all.compare(&files)?;
        rehearsal::of_cluster(&cluster, &objects, namespace).await?;
        output::success("nothing was changed");
        return Ok(());
    }
    // Flux may be at rest already, by a take-over before this one or by hand: the inventory of its
    // root stays.
    let is_shard = wanted.settings.shard.is_some();
    let is_taken_over =
        found.holds_flux(namespace, namespace) || (!is_shard && found.is_flux_active());
    if is_taken_over {
        cluster.rehearse(&objects).await?;
        if !is_shard {
            // Flux must not see the commit: it would prune what is not in it any more.
            install::takeover::run(&cluster, &found, namespace, context.timeout()).await?;
        }
        // Until it was stopped, it may have applied more.
        if let Some(root) = find_root(&cluster, &found, namespace).await? {
            takeover::protect(&cluster, &root, &objects).await?;
        }
        found.flux_is_stopped();
    }
    repository
        .write(Change {
            what: "component manifests",
            subject: format!("Add flux-sync {VERSION} component manifests"),
            files: vec![(
                layout.components(),
                files::components(&wanted.choice.running(), &objects),
            )],
            once: Vec::new(),
        })
        .await?;

    if !is_applied(root.as_ref()) || is_taken_over {
        output::action(format!("installing components in {namespace:?} namespace"));
        install::carry_out(&cluster, wanted, objects, &found, context).await?;
        output::success("installed components");
    }
    output::success("reconciled components");

    let source = Source {
        url: &place.sync_url,
        namespace,
        name: &sync.secret_name,
        person: place.person,
        token_auth: shared.token_auth,
    };
    source.ensure(&cluster, provider).await?;

    output::action("generating sync manifests");
    let text = sync.text();
    output::success("generated sync manifests");
    repository
        .write(Change {
            what: "sync manifests",
            subject: "Add Flux sync manifests".to_owned(),
            files: vec![(layout.sync(), text)],
            once: vec![(layout.kustomization(), files::kustomization())],
        })
        .await?;
    output::action("applying sync manifests");
    apply_sync(&cluster, &sync, context).await?;
    output::success("reconciled sync configuration");
    await_sync(&cluster, namespace, context).await?;

    output::action("confirming components are healthy");
    install::verify(&cluster, wanted, &deployments, context).await?;
    output::success("all components are healthy");
    Ok(())
}

/// Writes the files of the repository below a folder, for those who commit by themselves.
///
/// # Errors
/// If a file cannot be written.
pub(super) fn export(
    shared: &Shared,
    wanted: &Wanted,
    sync_text: &str,
    folder: &Path,
    context: &Context,
) -> Result<(), Error> {
    let namespace = context.namespace();
    let sync = sync(shared, sync_text, namespace);
    let layout = Layout::new(&sync.path, namespace);
    output::action("generating component manifests");
    let objects = bundle::objects(&wanted.settings)?;
    output::success("generated component manifests");
    wanted.say_what_is_lacking();
    Files::new(&layout, &wanted.choice.running(), &objects, &sync).write(folder)?;
    output::action(format!(
        "commit the files to branch {:?}, apply them, and make the Secret {namespace}/{} by \
         kubectl flux create secret git",
        shared.branch, sync.secret_name
    ));
    Ok(())
}

/// What the cluster is to follow.
fn sync(shared: &Shared, url: &str, namespace: &str) -> Sync {
    Sync {
        namespace: namespace.to_owned(),
        url: url.to_owned(),
        branch: shared.branch.clone(),
        path: shared.path.clone(),
        secret_name: shared.secret_name.clone(),
        interval: shared.interval.clone(),
        recurse_submodules: shared.recurse_submodules,
    }
}

/// The Kustomization that has the name of the root, if the cluster knows the kind.
async fn find_root(
    cluster: &Cluster,
    found: &Found,
    namespace: &str,
) -> Result<Option<DynamicObject>, Error> {
    if !found.knows_kustomizations {
        return Ok(None);
    }
    Ok(cluster
        .find(Kind::Kustomization, namespace, namespace)
        .await?)
}

/// A root that follows another folder would let go of everything in that.
fn check_path(root: Option<&DynamicObject>, path: &str) -> Result<(), Error> {
    let Some(before) = root.and_then(|root| root.text("/spec/path")) else {
        return Ok(());
    };
    let normal = |path: &str| crate::cli::values::relative_path(path);
    if normal(before) == normal(path) {
        return Ok(());
    }
    Err(Error::input(format!(
        "sync path configuration ({path:?}) would overwrite path ({before:?}) of existing \
         Kustomization; give --path={before}, or delete that Kustomization first"
    )))
}

fn is_applied(root: Option<&DynamicObject>) -> bool {
    root.is_some_and(|root| root.text("/status/lastAppliedRevision").is_some())
}

async fn apply_sync(cluster: &Cluster, sync: &Sync, context: &Context) -> Result<(), Error> {
    let objects = sync.objects().to_vec();
    cluster
        .apply(objects, context.timeout(), |_: &Value, _| {})
        .await?;
    // Who bootstraps wants it to run; a take-over may have put it to rest a moment ago.
    for kind in [Kind::GitRepository, Kind::Kustomization] {
        let found = cluster.find(kind, &sync.namespace, &sync.namespace).await?;
        if found.is_some_and(|object| object.is_suspended()) {
            let api = cluster.objects(kind, Scope::Namespace(&sync.namespace));
            let annotations = json!({flux_api::names::SUSPENDED_BY_TAKE_OVER: null});
            let patch =
                json!({"metadata": {"annotations": annotations}, "spec": {"suspend": null}});
            cluster.merge(&api, &sync.namespace, &patch).await?;
        }
    }
    Ok(())
}

/// Asks for a reconciliation of source and root, and waits until both have worked.
async fn await_sync(cluster: &Cluster, namespace: &str, context: &Context) -> Result<(), Error> {
    for kind in [Kind::GitRepository, Kind::Kustomization] {
        let name = kind.name();
        output::waiting(format!(
            "waiting for {name} \"{namespace}/{namespace}\" to be reconciled"
        ));
        let token = wait::token();
        let annotation = (flux_api::names::REQUESTED_AT, token.as_str());
        let object = cluster
            .annotate(kind, namespace, namespace, annotation)
            .await?;
        let target = Target {
            kind,
            namespace,
            name: namespace,
        };
        let goal = Goal::Handled { token: &token };
        wait::until(cluster, target, &goal, &object, context.timeout()).await?;
        output::success(format!("{name} reconciled successfully"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_keeps_its_folder() {
        let root = |path: &str| -> DynamicObject {
            serde_json::from_value(json!({"metadata": {"name": "x"}, "spec": {"path": path}}))
                .unwrap()
        };
        assert!(check_path(None, "./a").is_ok());
        assert!(check_path(Some(&root("a/")), "./a").is_ok());
        let error = check_path(Some(&root("./b")), "./a").unwrap_err();
        assert!(
            error.to_string().starts_with(
                "sync path configuration (\"./a\") would overwrite path (\"./b\") of existing \
                 Kustomization"
            ),
            "{error}"
        );
    }
}
