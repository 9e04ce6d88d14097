//! Objects of the cluster: stored anew in the version that is stored today, so that definitions
//! without the old versions can be installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use kube::api::{ApiResource, DynamicObject};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Scope, Selection};
use crate::context::Context;
use crate::error::Error;
use crate::output;

/// Attempts to write an object that others write, too.
const ATTEMPTS: usize = 5;

/// Migrates all Flux objects of the cluster.
///
/// # Errors
/// The first refusal; what was migrated before stays so, and a second run goes on.
pub(super) async fn run(is_rehearsal: bool, context: &Context) -> Result<(), Error> {
    let cluster = context.cluster().await?;
    output::action("starting migration of custom resources");
    let mut count = 0;
    for definition in cluster.flux_definitions().await? {
        count += migrate(&cluster, &definition, is_rehearsal).await?;
    }
    match (count, is_rehearsal) {
        (0, _) => output::success("no custom resources found that require migration"),
        (_, true) => output::success(format!("{count} objects would be migrated")),
        (_, false) => output::success("custom resources migrated successfully"),
    }
    Ok(())
}

/// How a definition stores its objects.
pub(crate) struct Stored {
    resource: ApiResource,
    is_namespaced: bool,
    /// Versions that were stored and are not any more.
    pub(crate) old: Vec<String>,
}

impl Stored {
    /// Reads a definition; `None` if it stores no version.
    pub(crate) fn of(definition: &CustomResourceDefinition) -> Option<Self> {
        let spec = &definition.spec;
        let version = &spec.versions.iter().find(|version| version.storage)?.name;
        let stored = definition
            .status
            .as_ref()
            .and_then(|status| status.stored_versions.clone())
            .unwrap_or_default();
        Some(Self {
            resource: ApiResource {
                group: spec.group.clone(),
                version: version.clone(),
                api_version: format!("{}/{version}", spec.group),
                kind: spec.names.kind.clone(),
                plural: spec.names.plural.clone(),
            },
            is_namespaced: spec.scope == "Namespaced",
            old: stored.into_iter().filter(|old| old != version).collect(),
        })
    }

    /// All objects.
    pub(crate) async fn objects(&self, cluster: &Cluster) -> Result<Vec<DynamicObject>, Error> {
        let selection = Selection::default();
        Ok(cluster
            .list_resource(&self.resource, Scope::All, selection)
            .await?)
    }

    /// Versions by which managers of fields refer to an object, and that are not today's: an apply
    /// fails on them once they are not served.
    pub(crate) fn old_managers(&self, object: &DynamicObject) -> Vec<String> {
        let entries = object
            .metadata
            .managed_fields
            .as_deref()
            .unwrap_or_default();
        let mut old: Vec<String> = entries
            .iter()
            .filter_map(|entry| entry.api_version.clone())
            .filter(|version| *version != self.resource.api_version)
            .collect();
        old.sort();
        old.dedup();
        old
    }

    fn scope<'o>(&self, object: &'o DynamicObject) -> Scope<'o> {
        match object.metadata.namespace.as_deref() {
            Some(namespace) if self.is_namespaced => Scope::Namespace(namespace),
            _ => Scope::All,
        }
    }
}

async fn migrate(
    cluster: &Cluster,
    definition: &CustomResourceDefinition,
    is_rehearsal: bool,
) -> Result<usize, Error> {
    let Some(stored) = Stored::of(definition) else {
        return Ok(0);
    };
    let mut count = 0;
    for object in stored.objects(cluster).await? {
        if stored.old.is_empty() && stored.old_managers(&object).is_empty() {
            continue;
        }
        let what = format!(
            "{}/{}/{}",
            stored.resource.kind,
            object.namespace().unwrap_or_default(),
            object.name_any()
        );
        count += 1;
        if is_rehearsal {
            output::action(format!("{what} would be migrated"));
            continue;
        }
        store_anew(cluster, &stored, object).await?;
        let version = &stored.resource.version;
        output::success(format!("{what} migrated to version {version}"));
    }
    if !stored.old.is_empty() && !is_rehearsal {
        let name = definition.name_any();
        let version = &stored.resource.version;
        cluster.set_stored_versions(&name, version).await?;
        output::success(format!("{name} migrated to storage version {version}"));
        count += 1;
    }
    Ok(count)
}

/// Writes an object as it is: the API server encodes it in today's version.
async fn store_anew(
    cluster: &Cluster,
    stored: &Stored,
    mut object: DynamicObject,
) -> Result<(), Error> {
    let name = object.name_any();
    let namespace = object.namespace();
    for _ in 0..ATTEMPTS {
        for entry in object.metadata.managed_fields.iter_mut().flatten() {
            entry.api_version = Some(stored.resource.api_version.clone());
        }
        let scope = stored.scope(&object);
        if cluster
            .replace_in(&stored.resource, scope, &name, &object)
            .await?
        {
            return Ok(());
        }
        let namespace = namespace.as_deref().filter(|_| stored.is_namespaced);
        let found = cluster.find_anywhere(&stored.resource, namespace, &name);
        match found.await? {
            Some(found) => object = found,
            // Deleted meanwhile.
            None => return Ok(()),
        }
    }
    Err(Error::input(format!(
        "{}/{name} is written to all the time by somebody else; run the command again",
        stored.resource.kind
    )))
}

/// The object as a manifest has it, for the table of what is refused.
pub(crate) fn manifest(stored: &Stored, object: &DynamicObject) -> Value {
    let mut value = object.data.clone();
    value["apiVersion"] = json!(stored.resource.api_version);
    value["kind"] = json!(stored.resource.kind);
    value
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn definitions_say_what_is_old() {
        let definition: CustomResourceDefinition = serde_json::from_value(json!({
            "metadata": {"name": "x"},
            "spec": {"group": "image.toolkit.fluxcd.io", "scope": "Namespaced",
                "names": {"kind": "ImagePolicy", "plural": "imagepolicies"},
                "versions": [{"name": "v1", "served": true, "storage": true},
                    {"name": "v1beta2", "served": true, "storage": false}]},
            "status": {"storedVersions": ["v1beta2", "v1"]},
        }))
        .unwrap();
        let stored = Stored::of(&definition).unwrap();
        assert_eq!(stored.old, ["v1beta2"]);
        let mut object = DynamicObject::new("a", &stored.resource);
        object.metadata.managed_fields = serde_json::from_value(json!([
            {"apiVersion": "image.toolkit.fluxcd.io/v1beta2", "manager": "a"},
            {"apiVersion": "image.toolkit.fluxcd.io/v1", "manager": "b"}]))
        .unwrap();
        assert_eq!(
            stored.old_managers(&object),
            ["image.toolkit.fluxcd.io/v1beta2"]
        );
    }
}
