//! `trace`: from an object in the cluster, such as a pod, to the commit it comes from.

mod report;

use flux_api::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};

use crate::cluster::{Cluster, View};
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;
use crate::output;
use report::Report;

/// Owners above each other that are followed: pod, ReplicaSet, Deployment, and some to spare.
const OWNERS: usize = 8;

/// Flags of `trace`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The object: RESOURCE/NAME, or RESOURCE NAME...
    #[arg(value_name = "RESOURCE/NAME")]
    words: Vec<String>,
    /// Kind of the object
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// API version of the kind, such as apps/v1
    #[arg(long, value_name = "VERSION")]
    api_version: Option<String>,
}

/// Runs the command. Each object is traced, whatever becomes of the others.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let wanted = wanted(args)?;
    context.block_on(async {
        let cluster = context.cluster().await?;
        let mut failures = Vec::new();
        for (word, name) in &wanted {
            match trace(&cluster, word, name, args.api_version.as_deref(), context).await {
                Ok(report) => output::data(&report.render())?,
                Err(error) => failures.push(Error::input(format!(
                    "failed to trace {word}/{name}: {error}"
                ))),
            }
        }
        super::which::report(failures)
    })
}

/// Resource and name of each object.
fn wanted(args: &Args) -> Result<Vec<(String, String)>, Error> {
    let required = || {
        Error::input("either `<resource>/<name>` or `<resource> <name>` is required as an argument")
    };
    if let Some(kind) = &args.kind {
        if args.words.is_empty() {
            return Err(required());
        }
        let names = args.words.iter();
        return Ok(names.map(|name| (kind.clone(), name.clone())).collect());
    }
    let (first, rest) = args.words.split_first().ok_or_else(required)?;
    if !first.contains('/') {
        if rest.is_empty() {
            return Err(required());
        }
        return Ok(rest.iter().map(|n| (first.clone(), n.clone())).collect());
    }
    args.words
        .iter()
        .map(|word| match word.split_once('/') {
            Some((resource, name)) if !name.is_empty() => {
                Ok((resource.to_owned(), name.to_owned()))
            }
            _ => Err(required()),
        })
        .collect()
}

async fn trace(
    cluster: &Cluster,
    word: &str,
    name: &str,
    api_version: Option<&str>,
    context: &Context,
) -> Result<Report, Error> {
    let (resource, namespaced) = cluster
        .resource(word, api_version)
        .await?
        .ok_or_else(|| Error::input(format!("the cluster has no resource named {word:?}")))?;
    let namespace = namespaced.then(|| context.namespace());
    let object = cluster
        .find_anywhere(&resource, namespace, name)
        .await?
        .ok_or_else(|| {
            let place = namespace.map_or_else(String::new, |n| format!(" in {n:?} namespace"));
            Error::input(format!("{} {name:?} not found{place}", resource.kind))
        })?;
    let mut owners = Vec::new();
    let mut managed = object.clone();
    while owner(&managed).is_none() && owners.len() < OWNERS {
        let Some(reference) = controller(&managed) else {
            break;
        };
        let above = resource_of(&reference);
        let Some(found) = cluster
            .find_anywhere(&above, namespace, &reference.name)
            .await?
        else {
            break;
        };
        owners.push(format!("{}/{}", reference.kind, reference.name));
        managed = found;
    }
    let Some((owner_namespace, owner_name)) = owner(&managed) else {
        return Err(Error::input("object not managed by Flux"));
    };
    let kustomization = cluster
        .get(Kind::Kustomization, &owner_namespace, &owner_name)
        .await?;
    let source = source(cluster, &kustomization).await?;
    Ok(Report {
        object: format!("{}/{name}", resource.kind),
        namespace: object.namespace(),
        owners,
        kustomization,
        source,
    })
}

async fn source(
    cluster: &Cluster,
    kustomization: &DynamicObject,
) -> Result<Option<DynamicObject>, Error> {
    let own = kustomization.namespace().unwrap_or_default();
    if kustomization.text("/spec/sourceRef/kind") != Some(Kind::GitRepository.name()) {
        return Ok(None);
    }
    let name = kustomization
        .text("/spec/sourceRef/name")
        .unwrap_or_default();
    let namespace = kustomization
        .text("/spec/sourceRef/namespace")
        .unwrap_or(&own);
    Ok(cluster.find(Kind::GitRepository, namespace, name).await?)
}

/// Namespace and name of the Kustomization that applied an object.
fn owner(object: &DynamicObject) -> Option<(String, String)> {
    let labels = object.metadata.labels.as_ref()?;
    Some((
        labels.get(names::OWNER_NAMESPACE_LABEL)?.clone(),
        labels.get(names::OWNER_NAME_LABEL)?.clone(),
    ))
}

fn controller(object: &DynamicObject) -> Option<OwnerReference> {
    let owners = object.metadata.owner_references.as_deref()?;
    let is_controller = |owner: &&OwnerReference| owner.controller == Some(true);
    owners
        .iter()
        .find(is_controller)
        .or_else(|| owners.first())
        .cloned()
}

fn resource_of(reference: &OwnerReference) -> ApiResource {
    let (group, version) = reference
        .api_version
        .split_once('/')
        .unwrap_or(("", &reference.api_version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &reference.kind))
}

#[cfg(test)]
mod tests {
    use super::{Args, wanted};

    #[test]
    fn objects_can_be_named_in_three_ways() {
        let args = |words: &[&str], kind: Option<&str>| Args {
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            kind: kind.map(str::to_owned),
            api_version: None,
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            wanted(&args(&["deploy/a", "svc/b"], None)).unwrap(),
            [pair("deploy", "a"), pair("svc", "b")]
        );
        assert_eq!(
            wanted(&args(&["deploy", "a", "b"], None)).unwrap(),
            [pair("deploy", "a"), pair("deploy", "b")]
        );
        assert_eq!(
            wanted(&args(&["a"], Some("Deployment"))).unwrap(),
            [pair("Deployment", "a")]
        );
        for bad in [&[][..], &["deploy"], &["deploy/"]] {
            assert!(wanted(&args(bad, None)).is_err(), "{bad:?}");
        }
    }
}
