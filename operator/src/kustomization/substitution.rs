//! `spec.postBuild.substituteFrom`: variables from ConfigMaps and Secrets.
//!
//! They are read with the operator's own rights, always from the Kustomization's namespace. A
//! change of one wakes the Kustomization (`secrets.rs`).

use std::collections::BTreeMap;

use flux_api::KustomizationSpec;
use flux_api::kustomize::{SubstituteKind, SubstituteReference};
use flux_api::names::reason;
use flux_build::Variables;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use super::run::Run;
use crate::conclusion::Verdict;
use crate::context::SecretError;
use crate::words::api_error;

impl Run<'_> {
    /// The variables that the spec names, in its order.
    pub(super) async fn variables(&self) -> Result<Vec<Variables>, Verdict> {
        let mut found = Vec::new();
        for reference in references(&self.object.spec) {
            let values = match reference.kind {
                SubstituteKind::Secret => self.secret_variables(reference).await,
                SubstituteKind::ConfigMap => self.config_map_variables(reference).await,
                _ => Err("its kind must be ConfigMap or Secret".to_owned()),
            };
            let source = format!("{}/{}", reference.kind, reference.name);
            match values {
                Ok(Some(values)) => found.push(Variables { source, values }),
                Ok(None) if reference.optional => {}
                Ok(None) => {
                    let message = format!(
                        "it does not exist in namespace {}; create it, or set optional: true",
                        self.key.namespace
                    );
                    return Err(self.no_variables(&source, &message));
                }
                Err(message) => return Err(self.no_variables(&source, &message)),
            }
        }
        Ok(found)
    }

    /// The first words are Flux's.
    fn no_variables(&self, source: &str, message: &str) -> Verdict {
        self.failed(
            reason::BUILD_FAILED,
            format!("post build failed: substitute from '{source}' error: {message}"),
        )
    }

    async fn secret_variables(&self, reference: &SubstituteReference) -> Values {
        let secret = self
            .context
            .secret(&self.key.namespace, &reference.name)
            .await;
        let data = match secret {
            Ok(data) => data,
            Err(SecretError::Missing(_)) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        // What is no text cannot be meant for a manifest.
        let values = data
            .into_iter()
            .filter_map(|(name, value)| Some((name, String::from_utf8(value).ok()?)));
        Ok(Some(values.collect()))
    }

    async fn config_map_variables(&self, reference: &SubstituteReference) -> Values {
        let api: Api<ConfigMap> = Api::namespaced(self.context.client.clone(), &self.key.namespace);
        let found = api
            .get_opt(&reference.name)
            .await
            .map_err(|error| format!("it cannot be read: {}", api_error(&error)))?;
        Ok(found.map(|map| map.data.unwrap_or_default()))
    }
}

/// Values by name; nothing when the object does not exist.
type Values = Result<Option<BTreeMap<String, String>>, String>;

fn references(spec: &KustomizationSpec) -> impl Iterator<Item = &SubstituteReference> {
    spec.post_build
        .iter()
        .flat_map(|post_build| &post_build.substitute_from)
}

fn of_kind(spec: &KustomizationSpec, kind: SubstituteKind) -> impl Iterator<Item = &str> {
    references(spec)
        .filter(move |reference| reference.kind == kind)
        .map(|reference| reference.name.as_str())
}

/// The Secrets that a spec takes variables from.
pub fn secrets(spec: &KustomizationSpec) -> impl Iterator<Item = &str> {
    of_kind(spec, SubstituteKind::Secret)
}

/// The ConfigMaps that a spec takes variables from.
pub fn config_maps(spec: &KustomizationSpec) -> impl Iterator<Item = &str> {
    of_kind(spec, SubstituteKind::ConfigMap)
}
