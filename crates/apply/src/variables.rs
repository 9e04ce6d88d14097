//! `spec.postBuild.substituteFrom`: variables from ConfigMaps and Secrets of the Kustomization's
//! namespace. The operator reads them to apply, the plugin to show what would be.

use std::collections::BTreeMap;

use flux_api::KustomizationSpec;
use flux_api::kustomize::{SubstituteKind, SubstituteReference};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};

use crate::words::api_error;

/// Variables by name.
pub type Values = BTreeMap<String, String>;

/// Why there are no variables. The words are Flux's, as far as it has some.
#[derive(Debug, thiserror::Error)]
#[error("substitute from '{from}' error: {problem}")]
pub struct VariablesError {
    /// `Kind/name`.
    pub from: String,
    /// What is wrong with it.
    pub problem: VariablesProblem,
}

/// What is wrong with a source of variables.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VariablesProblem {
    /// It is neither ConfigMap nor Secret.
    #[error("its kind must be ConfigMap or Secret")]
    Kind,
    /// It is not there.
    #[error("it does not exist in namespace {0}; create it, or set optional: true")]
    Missing(String),
    /// The API server does not give it.
    #[error("it cannot be read: {}", api_error(.0))]
    Read(#[source] Box<kube::Error>),
}

/// Reads what a spec names, in its order, each with `Kind/name`. Values of Secrets that are no text
/// are left out: they cannot be meant for a manifest.
///
/// # Errors
/// [`VariablesError`] of the first one that cannot be used.
pub async fn substitute_from(
    spec: &KustomizationSpec,
    namespace: &str,
    client: &Client,
) -> Result<Vec<(String, Values)>, VariablesError> {
    let mut found = Vec::new();
    let references = spec.post_build.iter().flat_map(|p| &p.substitute_from);
    for reference in references {
        let from = format!("{}/{}", reference.kind, reference.name);
        match read(reference, namespace, client).await {
            Ok(Some(values)) => found.push((from, values)),
            Ok(None) if reference.optional => {}
            Ok(None) => {
                let problem = VariablesProblem::Missing(namespace.to_owned());
                return Err(VariablesError { from, problem });
            }
            Err(problem) => return Err(VariablesError { from, problem }),
        }
    }
    Ok(found)
}

/// The variables of one object; nothing when it does not exist.
///
/// # Errors
/// [`VariablesProblem`].
pub async fn read(
    reference: &SubstituteReference,
    namespace: &str,
    client: &Client,
) -> Result<Option<Values>, VariablesProblem> {
    let failed = |error| VariablesProblem::Read(Box::new(error));
    match reference.kind {
        SubstituteKind::Secret => {
            let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
            let secret = api.get_opt(&reference.name).await.map_err(failed)?;
            Ok(secret.map(|secret| {
                let data = secret.data.unwrap_or_default().into_iter();
                data.filter_map(|(name, value)| Some((name, String::from_utf8(value.0).ok()?)))
                    .collect()
            }))
        }
        SubstituteKind::ConfigMap => {
            let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
            let map = api.get_opt(&reference.name).await.map_err(failed)?;
            Ok(map.map(|map| map.data.unwrap_or_default()))
        }
        _ => Err(VariablesProblem::Kind),
    }
}
