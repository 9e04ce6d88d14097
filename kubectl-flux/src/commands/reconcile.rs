//! `reconcile`: asks a controller to work on an object now, and waits for the outcome of exactly
//! that request.

use clap::Subcommand;
use flux_api::names;
use kube::api::DynamicObject;

use crate::cli::values;
use crate::cluster::{Cluster, View};
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;
use crate::output;
use crate::wait::{self, Goal, Target};

/// What can be reconciled.
#[derive(Debug, Subcommand)]
pub(crate) enum Reconcile {
    /// Fetch a source
    #[command(subcommand)]
    Source(Source),
    /// Apply a Kustomization
    #[command(visible_alias = "ks")]
    Kustomization(KustomizationArgs),
    /// Scan, choose or update images
    #[command(subcommand)]
    Image(Image),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Source {
    /// Fetch a Git repository
    Git(Args),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Image {
    /// Scan an image repository
    Repository(Args),
    /// Choose a tag again
    Policy(Args),
    /// Run an automation
    Update(Args),
}

/// Flags of most `reconcile` commands.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the object
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Flags of `reconcile kustomization`.
#[derive(Debug, clap::Args)]
pub(crate) struct KustomizationArgs {
    /// Name of the Kustomization
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Fetch its source first
    #[arg(long)]
    with_source: bool,
}

/// Runs one of them.
pub(crate) fn run(what: &Reconcile, context: &Context) -> Result<(), Error> {
    let (kind, names, with_source) = match what {
        Reconcile::Source(Source::Git(args)) => (Kind::GitRepository, &args.names, false),
        Reconcile::Kustomization(args) => (Kind::Kustomization, &args.names, args.with_source),
        Reconcile::Image(Image::Repository(args)) => (Kind::ImageRepository, &args.names, false),
        Reconcile::Image(Image::Policy(args)) => (Kind::ImagePolicy, &args.names, false),
        Reconcile::Image(Image::Update(args)) => (Kind::ImageUpdateAutomation, &args.names, false),
    };
    let Some((name, rest)) = names.split_first() else {
        return Err(Error::input(format!("{} name is required", kind.name())));
    };
    values::ignore_extra(rest);
    context.block_on(async {
        let cluster = context.cluster().await?;
        let object = cluster.get(kind, context.namespace(), name).await?;
        not_suspended(&object)?;
        if with_source {
            let (source, namespace) = source_of(&object, context.namespace())?;
            let found = cluster
                .get(Kind::GitRepository, &namespace, &source)
                .await?;
            not_suspended(&found)?;
            let target = Target {
                kind: Kind::GitRepository,
                namespace: &namespace,
                name: &source,
            };
            request(&cluster, target, context).await?;
        }
        let target = Target {
            kind,
            namespace: context.namespace(),
            name,
        };
        request(&cluster, target, context).await
    })
}

fn not_suspended(object: &DynamicObject) -> Result<(), Error> {
    if object.is_suspended() {
        Err(Error::input("resource is suspended"))
    } else {
        Ok(())
    }
}

/// Name and namespace of the GitRepository that a Kustomization applies.
fn source_of(object: &DynamicObject, namespace: &str) -> Result<(String, String), Error> {
    let kind = object.text("/spec/sourceRef/kind").unwrap_or_default();
    if kind != Kind::GitRepository.name() {
        return Err(Error::input(format!(
            "cannot reconcile source of kind {kind}"
        )));
    }
    let name = object.text("/spec/sourceRef/name").unwrap_or_default();
    let namespace = object
        .text("/spec/sourceRef/namespace")
        .unwrap_or(namespace);
    Ok((name.to_owned(), namespace.to_owned()))
}

/// Makes the request and waits for its outcome.
async fn request(cluster: &Cluster, target: Target<'_>, context: &Context) -> Result<(), Error> {
    let Target {
        kind,
        namespace,
        name,
    } = target;
    output::action(format!(
        "annotating {} {name} in {namespace} namespace",
        kind.name()
    ));
    let token = wait::token();
    let before = cluster
        .annotate(kind, namespace, name, (names::REQUESTED_AT, &token))
        .await?;
    output::success(format!("{} annotated", kind.name()));
    output::waiting(format!("waiting for {} reconciliation", kind.name()));
    let goal = Goal::Handled { token: &token };
    let object = wait::until(cluster, target, &goal, &before, context.timeout()).await?;
    output::success(achieved(kind, &object));
    Ok(())
}

/// What came out of it, in Flux's words.
fn achieved(kind: Kind, object: &DynamicObject) -> String {
    let text = |pointer: &str| object.text(pointer).unwrap_or_default().to_owned();
    match kind {
        Kind::GitRepository => format!("fetched revision {}", text("/status/artifact/revision")),
        Kind::Kustomization => format!("applied revision {}", text("/status/lastAppliedRevision")),
        Kind::ImageRepository => {
            let count = object.at("/status/lastScanResult/tagCount");
            let count = count
                .and_then(serde_json::Value::as_u64)
                .unwrap_or_default();
            format!("scan fetched {count} tags")
        }
        Kind::ImagePolicy => format!("selected ref {}", latest_ref(object)),
        Kind::ImageUpdateAutomation => object
            .condition(names::READY)
            .map_or_else(String::new, |ready| ready.message.to_owned()),
    }
}

/// The chosen image of a policy: `name:tag`, with the digest if it is reflected.
pub(super) fn latest_ref(object: &DynamicObject) -> String {
    let text = |pointer: &str| object.text(pointer);
    let (Some(name), Some(tag)) = (
        text("/status/latestRef/name"),
        text("/status/latestRef/tag"),
    ) else {
        // Before v1, the whole reference was one text.
        return text("/status/latestImage").unwrap_or_default().to_owned();
    };
    match text("/status/latestRef/digest") {
        Some(digest) => format!("{name}:{tag}@{digest}"),
        None => format!("{name}:{tag}"),
    }
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use serde_json::{Value, json};

    use super::{achieved, not_suspended, source_of};
    use crate::kind::Kind;

    fn object(kind: Kind, data: Value) -> DynamicObject {
        DynamicObject::new("x", &kind.resource()).data(data)
    }

    #[test]
    fn outcomes() {
        for (kind, status, text) in [
            (
                Kind::GitRepository,
                json!({"artifact": {"revision": "main@sha1:f98"}}),
                "fetched revision main@sha1:f98",
            ),
            (
                Kind::Kustomization,
                json!({"lastAppliedRevision": "main@sha1:f98"}),
                "applied revision main@sha1:f98",
            ),
            (
                Kind::ImageRepository,
                json!({"lastScanResult": {"tagCount": 27}}),
                "scan fetched 27 tags",
            ),
            (
                Kind::ImagePolicy,
                json!({"latestRef": {"name": "r/i", "tag": "2.51"}}),
                "selected ref r/i:2.51",
            ),
            (
                Kind::ImagePolicy,
                json!({"latestRef": {"name": "r/i", "tag": "2.51", "digest": "sha256:0"}}),
                "selected ref r/i:2.51@sha256:0",
            ),
            (
                Kind::ImageUpdateAutomation,
                json!({"conditions": [{"type": "Ready", "status": "True",
                                       "message": "repository up-to-date"}]}),
                "repository up-to-date",
            ),
        ] {
            assert_eq!(
                achieved(kind, &object(kind, json!({ "status": status }))),
                text
            );
        }
    }

    #[test]
    fn the_source_of_a_kustomization() {
        let source = |reference: Value| {
            let data = json!({"spec": {"sourceRef": reference}});
            source_of(&object(Kind::Kustomization, data), "foo").map_err(|e| e.to_string())
        };
        assert_eq!(
            source(json!({"kind": "GitRepository", "name": "apps"})),
            Ok(("apps".into(), "foo".into()))
        );
        assert_eq!(
            source(json!({"kind": "GitRepository", "name": "apps", "namespace": "bar"})),
            Ok(("apps".into(), "bar".into()))
        );
        assert_eq!(
            source(json!({"kind": "ExternalArtifact", "name": "a"})),
            Err("cannot reconcile source of kind ExternalArtifact".into())
        );
    }

    #[test]
    fn suspended_objects_are_left_alone() {
        let suspended = object(Kind::Kustomization, json!({"spec": {"suspend": true}}));
        assert_eq!(
            not_suspended(&suspended).unwrap_err().to_string(),
            "resource is suspended"
        );
        assert!(not_suspended(&object(Kind::Kustomization, json!({"spec": {}}))).is_ok());
    }
}
