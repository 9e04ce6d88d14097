//! The Kustomization to build: from a file, from the cluster, or from among built objects.

use flux_api::KustomizationSpec;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::error::Error;
use crate::kind::Kind;

/// A Kustomization.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) spec: KustomizationSpec,
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
pub(crate) async fn of_cluster(
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
