//! `reconcile`: asks a controller to work on an object now, and waits for the outcome of exactly
//! that request.

use std::collections::BTreeMap;

use clap::Subcommand;
use flux_api::names;
use kube::ResourceExt;
use kube::api::DynamicObject;

use crate::cli::values;
use crate::cluster::{Cluster, View};
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;
use crate::output;
use crate::wait::explain::explain;
use crate::wait::{self, Awaited, Goal, Target};

use super::which::{Choice, Image, Source, Which, place, report};

/// What can be reconciled.
#[derive(Debug, Subcommand)]
pub(crate) enum Reconcile {
    /// Fetch a source
    #[command(subcommand)]
    Source(Source<Args>),
    /// Apply a Kustomization
    #[command(visible_alias = "ks", alias = "kustomizations")]
    Kustomization(KustomizationArgs),
    /// Scan, choose or update images
    #[command(subcommand)]
    Image(Image<Args>),
}

/// Flags of most `reconcile` commands.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    choice: Choice,
    /// Only those that are not ready
    #[arg(long)]
    not_ready: bool,
    /// Wait for the outcome
    #[arg(long, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value = "true", default_missing_value = "true", value_name = "bool",
        value_parser = clap::builder::ValueParser::new(values::boolean))]
    wait: bool,
}

/// Flags of `reconcile kustomization`.
#[derive(Debug, clap::Args)]
pub(crate) struct KustomizationArgs {
    #[command(flatten)]
    args: Args,
    /// Fetch its source first
    #[arg(long)]
    with_source: bool,
}

/// Namespace and name.
type Place = (String, String);

/// Runs one of them: first everything is asked for, then waited for.
pub(crate) fn run(what: Reconcile, context: &Context) -> Result<(), Error> {
    let ((kind, args), with_source) = match what {
        Reconcile::Source(source) => (Which::Source(source).split(), false),
        Reconcile::Kustomization(all) => ((Kind::Kustomization, all.args), all.with_source),
        Reconcile::Image(image) => (Which::Image(image).split(), false),
    };
    args.choice.check(kind)?;
    context.block_on(async {
        let cluster = context.cluster().await?;
        let chosen = args.choice.find(kind, &cluster, context).await?;
        let mut failures = chosen.missing;
        let is_named = !args.choice.names.is_empty();
        let mut objects = Vec::new();
        for object in chosen.objects {
            match not_suspended(&object) {
                Err(error) if is_named => failures.push(error),
                Err(_) => output::warning(format!(
                    "{} {} is suspended, left alone",
                    kind.name(),
                    object.name_any()
                )),
                Ok(()) if args.not_ready && is_ready(&object) => {}
                Ok(()) => objects.push(object),
            }
        }
        if objects.is_empty() && failures.is_empty() {
            output::success("nothing to reconcile: what was chosen is ready or suspended");
        }
        if with_source {
            objects = with_fetched_sources(objects, &cluster, context, &mut failures).await;
        }
        request(kind, &objects, args.wait, &cluster, context, &mut failures).await;
        report(failures)
    })
}

fn not_suspended(object: &DynamicObject) -> Result<(), Error> {
    if object.is_suspended() {
        Err(Error::input("resource is suspended"))
    } else {
        Ok(())
    }
}

fn is_ready(object: &DynamicObject) -> bool {
    object
        .condition(names::READY)
        .is_some_and(|ready| ready.is_true())
}

/// Fetches the sources of Kustomizations, each once. What comes back are the Kustomizations whose
/// source was fetched; a source that was not holds back its own only.
async fn with_fetched_sources(
    objects: Vec<DynamicObject>,
    cluster: &Cluster,
    context: &Context,
    failures: &mut Vec<Error>,
) -> Vec<DynamicObject> {
    let mut wanted: BTreeMap<Place, Vec<DynamicObject>> = BTreeMap::new();
    for object in objects {
        let (namespace, name) = place(&object);
        match source_of(&object, &namespace) {
            Ok(source) => wanted.entry(source).or_default().push(object),
            Err(error) => failures.push(Error::input(format!(
                "Kustomization {namespace}/{name}: {error}"
            ))),
        }
    }
    let mut sources = Vec::new();
    let mut lost = Vec::new();
    for (namespace, name) in wanted.keys() {
        let found = cluster.get(Kind::GitRepository, namespace, name).await;
        let usable = found.map_err(Error::from).and_then(|source| {
            not_suspended(&source).map_err(|error| {
                Error::input(format!("GitRepository {namespace}/{name}: {error}"))
            })?;
            Ok(source)
        });
        match usable {
            Ok(source) => sources.push(source),
            Err(error) => {
                failures.push(error);
                lost.push((namespace.clone(), name.clone()));
            }
        }
    }
    let kind = Kind::GitRepository;
    lost.extend(request(kind, &sources, true, cluster, context, failures).await);
    for source in lost {
        for object in wanted.remove(&source).unwrap_or_default() {
            output::warning(format!(
                "Kustomization {} is left alone: its source was not fetched",
                object.name_any()
            ));
        }
    }
    wanted.into_values().flatten().collect()
}

/// The GitRepository that a Kustomization applies.
fn source_of(object: &DynamicObject, namespace: &str) -> Result<Place, Error> {
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
    Ok((namespace.to_owned(), name.to_owned()))
}

/// Makes the requests and, if wanted, waits for the outcome of all of them. Gives the objects that
/// failed.
async fn request(
    kind: Kind,
    objects: &[DynamicObject],
    wait: bool,
    cluster: &Cluster,
    context: &Context,
    failures: &mut Vec<Error>,
) -> Vec<Place> {
    let mut lost = Vec::new();
    let token = wait::token();
    let mut awaited = Vec::new();
    for object in objects {
        let (namespace, name) = place(object);
        output::action(format!(
            "annotating {} {name} in {namespace} namespace",
            kind.name()
        ));
        let annotation = (names::REQUESTED_AT, token.as_str());
        match cluster.annotate(kind, &namespace, &name, annotation).await {
            Ok(before) => {
                output::success(format!("{} annotated", kind.name()));
                awaited.push(Awaited { kind, before });
            }
            Err(error) => {
                failures.push(error.into());
                lost.push((namespace, name));
            }
        }
    }
    if !wait || awaited.is_empty() {
        return lost;
    }
    output::waiting(format!("waiting for {} reconciliation", kind.name()));
    let goal = Goal::Handled { token: &token };
    let is_one = objects.len() == 1;
    let done = |name: &str, object: &DynamicObject| {
        output::success(match is_one {
            true => achieved(kind, object),
            false => format!("{name}: {}", achieved(kind, object)),
        });
    };
    for ((namespace, name), error) in outcomes(&awaited, &goal, cluster, context, done).await {
        failures.push(match is_one {
            true => error,
            false => Error::input(format!("{namespace}/{name}: {error}")),
        });
        lost.push((namespace, name));
    }
    lost
}

/// Waits for the outcomes of all at once and calls `done` for each that is good. Gives the others,
/// after what else is known about them was said.
pub(super) async fn outcomes(
    awaited: &[Awaited],
    goal: &Goal<'_>,
    cluster: &Cluster,
    context: &Context,
    done: impl Fn(&str, &DynamicObject),
) -> Vec<(Place, Error)> {
    let mut failed = Vec::new();
    let timeout = context.timeout();
    wait::each(
        cluster,
        awaited,
        goal,
        timeout,
        |one, outcome| match outcome {
            Ok(object) => done(&object.name_any(), &object),
            Err(error) => failed.push((one, error)),
        },
    )
    .await;
    let mut failures = Vec::new();
    for (one, error) in failed {
        let (namespace, name) = place(&one.before);
        let target = Target {
            kind: one.kind,
            namespace: &namespace,
            name: &name,
        };
        explain(cluster, target, &error.to_string()).await;
        failures.push(((namespace, name), error));
    }
    failures
}

/// What came out of it, in Flux's words.
pub(super) fn achieved(kind: Kind, object: &DynamicObject) -> String {
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
            Ok(("foo".into(), "apps".into()))
        );
        assert_eq!(
            source(json!({"kind": "GitRepository", "name": "apps", "namespace": "bar"})),
            Ok(("bar".into(), "apps".into()))
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
