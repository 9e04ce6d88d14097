//! The Kustomization to build: from a file, from the cluster, or from among built objects.

use std::collections::BTreeMap;

use flux_api::KustomizationSpec;
use flux_api::kustomize::SubstituteKind;
use flux_build::Variables;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde_json::Value;

use crate::cluster::{Cluster, Scope};
use crate::error::Error;
use crate::kind::Kind;

/// A Kustomization.
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) spec: KustomizationSpec,
}

/// The Kustomization of a file.
pub(super) fn of_file(file: &str, namespace: &str, name: &str) -> Result<Subject, Error> {
    let text = std::fs::read_to_string(file).map_err(|source| Error::File {
        what: "failed to read kustomization file",
        path: file.to_owned(),
        source,
    })?;
    let documents = flux_lang::yaml::read(&text).map_err(|error| {
        Error::input(format!(
            "failed to unmarshall kustomization file {file}: {error}"
        ))
    })?;
    for document in documents {
        let Some(found) = of_object(&document.value, namespace)? else {
            continue;
        };
        if found.name == name && found.namespace == namespace {
            return Ok(found);
        }
    }
    Err(Error::input(format!(
        "failed find kustomization with name '{name}' and namespace '{namespace}' in file '{file}'"
    )))
}

/// The Kustomization of the cluster.
pub(super) async fn of_cluster(
    cluster: Option<&Cluster>,
    namespace: &str,
    name: &str,
) -> Result<Subject, Error> {
    let Some(cluster) = cluster else {
        return Err(Error::input("dry-run mode requires a kustomization file"));
    };
    let object = cluster.get(Kind::Kustomization, namespace, name).await?;
    let spec = object.data.get("spec").cloned().unwrap_or_default();
    Ok(Subject {
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        spec: decode(spec, name)?,
    })
}

/// An object as a Kustomization, if it is one.
pub(super) fn of_object(object: &Value, namespace: &str) -> Result<Option<Subject>, Error> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let group = text("/apiVersion").and_then(|version| version.split_once('/'));
    let is_one = text("/kind") == Some("Kustomization")
        && group.is_some_and(|(group, _)| group == "kustomize.toolkit.fluxcd.io");
    let Some(name) = text("/metadata/name").filter(|_| is_one) else {
        return Ok(None);
    };
    let spec = object.get("spec").cloned().unwrap_or_default();
    Ok(Some(Subject {
        name: name.to_owned(),
        namespace: text("/metadata/namespace").unwrap_or(namespace).to_owned(),
        spec: decode(spec, name)?,
    }))
}

fn decode(spec: Value, name: &str) -> Result<KustomizationSpec, Error> {
    serde_json::from_value(spec)
        .map_err(|error| Error::input(format!("Kustomization {name} is not valid: spec: {error}")))
}

/// What `substituteFrom` names, as the cluster has it.
pub(super) async fn variables(
    cluster: &Cluster,
    subject: &Subject,
) -> Result<Vec<Variables>, Error> {
    let mut found = Vec::new();
    let references = subject
        .spec
        .post_build
        .iter()
        .flat_map(|post_build| &post_build.substitute_from);
    for reference in references {
        let source = format!("{}/{}", reference.kind, reference.name);
        let scope = Scope::Namespace(&subject.namespace);
        let values: Result<Option<BTreeMap<String, String>>, kube::Error> =
            if reference.kind == SubstituteKind::Secret {
                let secret = cluster
                    .typed::<Secret>(scope)
                    .get_opt(&reference.name)
                    .await;
                secret.map(|secret| {
                    let data = secret?.data.unwrap_or_default();
                    let texts = data
                        .into_iter()
                        .filter_map(|(key, value)| Some((key, String::from_utf8(value.0).ok()?)));
                    Some(texts.collect())
                })
            } else {
                let map = cluster
                    .typed::<ConfigMap>(scope)
                    .get_opt(&reference.name)
                    .await;
                map.map(|map| Some(map?.data.unwrap_or_default()))
            };
        match values {
            Ok(Some(values)) => found.push(Variables { source, values }),
            Ok(None) if reference.optional => {}
            Ok(None) => {
                return Err(Error::input(format!(
                    "substitute from '{source}' error: it does not exist in namespace {}",
                    subject.namespace
                )));
            }
            Err(error) => {
                return Err(Error::input(format!(
                    "substitute from '{source}' error: {error}"
                )));
            }
        }
    }
    Ok(found)
}
