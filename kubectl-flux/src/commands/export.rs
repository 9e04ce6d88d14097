//! `export`: objects of the cluster as manifests for Git.

use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use crate::cluster::{Cluster, Scope, View};
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;
use crate::output::{self, manifest};

use super::which::{Choice, Image, Which, place, report};

/// What can be exported.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Export {
    /// Sources
    #[command(subcommand, alias = "sources")]
    Source(Source),
    /// Kustomizations
    #[command(visible_alias = "ks", alias = "kustomizations")]
    Kustomization(Args),
    /// Image repositories, policies and automations
    #[command(subcommand, alias = "images")]
    Image(Image<Args>),
}

/// The kinds of sources.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Source {
    /// Git repositories
    Git(SourceArgs),
}

/// Flags of most `export` commands.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    choice: Choice,
}

/// Flags of `export source git`.
#[derive(Debug, clap::Args)]
pub(crate) struct SourceArgs {
    #[command(flatten)]
    choice: Choice,
    /// Export the Secrets with which the sources are read, too
    #[arg(long)]
    with_credentials: bool,
}

/// Runs the command. What is found is printed even when something else is missing.
pub(crate) fn run(what: Export, context: &Context) -> Result<(), Error> {
    let (which, with_credentials) = match what {
        Export::Source(Source::Git(args)) => {
            ((Kind::GitRepository, args.choice), args.with_credentials)
        }
        Export::Kustomization(args) => ((Kind::Kustomization, args.choice), false),
        Export::Image(image) => {
            let (kind, args) = Which::Image(image).split();
            ((kind, args.choice), false)
        }
    };
    let (kind, choice) = which;
    choice.check(kind)?;
    context.block_on(async {
        let cluster = context.cluster().await?;
        let chosen = choice.find(kind, &cluster, context).await?;
        let mut failures = chosen.missing;
        let mut text = String::new();
        for object in &chosen.objects {
            text.push_str(&manifest::export(&manifest_of(kind, object)));
            if with_credentials {
                match credentials(object, &cluster).await {
                    Ok(secrets) => secrets
                        .iter()
                        .for_each(|secret| text.push_str(&manifest::export(secret))),
                    Err(error) => failures.push(error),
                }
            }
        }
        output::data(&text)?;
        report(failures)
    })
}

/// The object as somebody would write it: no status, no bookkeeping of the API server.
fn manifest_of(kind: Kind, object: &DynamicObject) -> Value {
    json!({
        "apiVersion": kind.api_version(),
        "kind": kind.name(),
        "metadata": metadata(object),
        "spec": object.at("/spec").cloned().unwrap_or_default(),
    })
}

fn metadata(object: &DynamicObject) -> Value {
    let mut metadata = Map::new();
    metadata.insert("name".into(), object.name_any().into());
    if let Some(namespace) = object.namespace() {
        metadata.insert("namespace".into(), namespace.into());
    }
    if let Some(labels) = object.metadata.labels.as_ref().filter(|l| !l.is_empty()) {
        metadata.insert("labels".into(), json!(labels));
    }
    let annotations = object.metadata.annotations.iter().flatten();
    let kept: Map<String, Value> = annotations
        // A copy of the whole manifest, which would be out of date at once.
        .filter(|(key, _)| *key != "kubectl.kubernetes.io/last-applied-configuration")
        .map(|(key, value)| (key.clone(), value.clone().into()))
        .collect();
    if !kept.is_empty() {
        metadata.insert("annotations".into(), kept.into());
    }
    Value::Object(metadata)
}

/// The Secrets that a source refers to, each once.
async fn credentials(object: &DynamicObject, cluster: &Cluster) -> Result<Vec<Value>, Error> {
    let (namespace, _) = place(object);
    let mut names: Vec<&str> = ["secretRef", "proxySecretRef", "verify/secretRef"]
        .iter()
        .filter_map(|field| object.text(&format!("/spec/{field}/name")))
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut secrets = Vec::new();
    for name in names {
        let api = cluster.typed::<k8s_openapi::api::core::v1::Secret>(Scope::Namespace(&namespace));
        let secret = api.get(name).await.map_err(|error| {
            Error::input(format!(
                "Secret {namespace}/{name} of GitRepository {}: {}",
                object.name_any(),
                crate::cluster::chain(&error)
            ))
        })?;
        let mut value = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": name, "namespace": namespace },
            "data": secret.data,
        });
        if let Some(type_) = secret.type_.filter(|type_| type_ != "Opaque") {
            value["type"] = type_.into();
        }
        secrets.push(value);
    }
    Ok(secrets)
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use serde_json::json;

    use super::manifest_of;
    use crate::kind::Kind;

    #[test]
    fn bookkeeping_stays_behind() {
        let kind = Kind::GitRepository;
        let mut object = DynamicObject::new("apps", &kind.resource())
            .within("foo")
            .data(json!({"spec": {"url": "https://x"}, "status": {"observedGeneration": 1}}));
        object.metadata.uid = Some("u".into());
        object.metadata.annotations = Some(
            [
                ("kubectl.kubernetes.io/last-applied-configuration", "{}"),
                ("team", "web"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        );
        assert_eq!(
            manifest_of(kind, &object),
            json!({
                "apiVersion": "source.toolkit.fluxcd.io/v1",
                "kind": "GitRepository",
                "metadata": {"name": "apps", "namespace": "foo", "annotations": {"team": "web"}},
                "spec": {"url": "https://x"},
            })
        );
    }
}
