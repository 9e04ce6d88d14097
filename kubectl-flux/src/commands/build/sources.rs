//! Where the variables of `substituteFrom` come from: what is built in the same run, the cluster,
//! or a file of the repository, in this order.

use std::path::Path;

use flux_api::kustomize::SubstituteReference;
use flux_apply::variables::{self, Values, VariablesProblem};
use flux_build::Variables;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::Value;

use super::files;
use super::render::Rendered;
use super::spec::Subject;
use crate::cluster::{Cluster, Scope};
use crate::error::Error;
use crate::output;

/// Stands for a value that is encrypted in its file.
const ENCRYPTED: &str = "**SOPS**";

/// Places to look for ConfigMaps and Secrets.
pub(in crate::commands) struct Sources<'a> {
    /// What was built before: it will be in the cluster when the variables are read.
    pub(in crate::commands) rendered: &'a [Rendered],
    /// The cluster, unless it must not be asked.
    pub(in crate::commands) cluster: Option<&'a Cluster>,
    /// The folder that is built, in a repository.
    pub(in crate::commands) folder: Option<&'a Path>,
}

impl<'a> Sources<'a> {
    /// The cluster alone.
    pub(in crate::commands) fn of_cluster(cluster: &'a Cluster) -> Self {
        Self {
            rendered: &[],
            cluster: Some(cluster),
            folder: None,
        }
    }

    /// What `substituteFrom` names.
    ///
    /// # Errors
    /// If something is in none of the places and is not optional. Without a cluster that is only
    /// a warning, as the object may exist there.
    pub(in crate::commands) async fn variables(
        &self,
        subject: &Subject,
    ) -> Result<Vec<Variables>, Error> {
        let references = subject
            .spec
            .post_build
            .iter()
            .flat_map(|post_build| &post_build.substitute_from);
        let mut found = Vec::new();
        let mut files = None;
        for reference in references {
            let source = format!("{}/{}", reference.kind, reference.name);
            let namespace = subject.namespace.as_str();
            let mut values = self.of_rendered(reference, namespace);
            if let (None, Some(cluster)) = (&values, self.cluster) {
                values = of_cluster(cluster, reference, namespace)
                    .await
                    .map_err(|error| {
                        Error::input(format!("substitute from '{source}' error: {error}"))
                    })?;
            }
            if let (None, Some(folder)) = (&values, self.folder) {
                if files.is_none() {
                    files = Some(files::manifests(folder, &["ConfigMap", "Secret"])?);
                }
                let all = files.as_deref().unwrap_or_default();
                let fitting = all
                    .iter()
                    .find(|(_, object)| is_it(object, reference, namespace));
                if let Some((file, object)) = fitting {
                    output::action(format!("variables of {source} are read from {file}"));
                    values = Some(texts(object));
                }
            }
            match values {
                Some(values) => found.push(Variables { source, values }),
                None if reference.optional => {}
                None if self.cluster.is_none() => output::warning(format!(
                    "{source} of substituteFrom is in no file of the repository: its variables \
                     are left out"
                )),
                None => {
                    return Err(Error::input(format!(
                        "substitute from '{source}' error: it does not exist in namespace \
                         {namespace}"
                    )));
                }
            }
        }
        Ok(found)
    }

    fn of_rendered(&self, reference: &SubstituteReference, namespace: &str) -> Option<Values> {
        self.rendered
            .iter()
            .flat_map(|rendered| {
                let own = rendered.subject.namespace.as_str();
                rendered.objects.iter().map(move |object| (own, object))
            })
            .find(|(own, object)| {
                let named = object.pointer("/metadata/namespace").is_some();
                is_it(object, reference, namespace) && (named || *own == namespace)
            })
            .map(|(_, object)| texts(object))
    }
}

async fn of_cluster(
    cluster: &Cluster,
    reference: &SubstituteReference,
    namespace: &str,
) -> Result<Option<Values>, VariablesProblem> {
    let scope = Scope::Namespace(namespace);
    let client = cluster.typed::<ConfigMap>(scope).into_client();
    variables::read(reference, namespace, &client).await
}

/// Whether a manifest is what a reference names. One without a namespace may be in any.
fn is_it(object: &Value, reference: &SubstituteReference, namespace: &str) -> bool {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    text("/apiVersion") == Some("v1")
        && text("/kind") == Some(reference.kind.to_string().as_str())
        && text("/metadata/name") == Some(&reference.name)
        && text("/metadata/namespace").is_none_or(|found| found == namespace)
}

/// The texts of a ConfigMap or Secret as its manifest has them.
fn texts(object: &Value) -> Values {
    let encrypted = object.get("sops").is_some();
    let is_secret = object["kind"] == "Secret";
    let mut values = Values::new();
    for (field, is_encoded) in [("data", is_secret), ("stringData", false)] {
        for (key, value) in object[field].as_object().into_iter().flatten() {
            let Some(text) = value.as_str() else {
                continue;
            };
            let text = match (encrypted, is_encoded) {
                (true, _) => Some(ENCRYPTED.to_owned()),
                (false, true) => decoded(text),
                (false, false) => Some(text.to_owned()),
            };
            values.extend(text.map(|text| (key.clone(), text)));
        }
    }
    values
}

/// A value of `data` in a Secret, if it is a text.
fn decoded(text: &str) -> Option<String> {
    let quoted = Value::String(text.lines().collect());
    let bytes: k8s_openapi::ByteString = serde_json::from_value(quoted).ok()?;
    String::from_utf8(bytes.0).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::texts;

    #[test]
    fn values_of_manifests() {
        let pairs = |object| texts(&object).into_iter().collect::<Vec<_>>();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            pairs(json!({"kind": "ConfigMap", "data": {"a": "1", "b": 2}})),
            [pair("a", "1")]
        );
        assert_eq!(
            pairs(json!({"kind": "Secret", "data": {"a": "b25l", "b": "/w=="},
                "stringData": {"c": "two"}})),
            [pair("a", "one"), pair("c", "two")]
        );
        assert_eq!(
            pairs(json!({"kind": "Secret", "stringData": {"c": "ENC[...]"}, "sops": {}})),
            [pair("c", "**SOPS**")]
        );
    }
}
