//! What a root sync of Flux applied, and ours will not apply: kept from being pruned.
//!
//! Our operator continues the inventory of the Kustomization that it takes over. What is in it and
//! not in Git any more would be deleted: the definition of HelmReleases, say, with every
//! HelmRelease in the cluster.

use flux_api::{ObjectId, names};
use flux_apply::object::{self, Gvk};
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::cluster::{Cluster, View};
use crate::error::Error;
use crate::output;

/// An entry of an inventory that Git will not have any more.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    gvk: Gvk,
    namespace: String,
    name: String,
}

impl Left {
    /// The object, as far as it is needed to find it.
    fn reference(&self) -> Value {
        let mut object = json!({
            "apiVersion": self.gvk.api_version(),
            "kind": self.gvk.kind,
            "metadata": {"name": self.name},
        });
        if !self.namespace.is_empty() {
            object["metadata"]["namespace"] = json!(self.namespace);
        }
        object
    }
}

/// Marks what of Flux the root has applied besides what is installed now. The controllers that ours
/// replaces are among it: they are at rest, and can be woken again. What else the root applies stays in
/// Git, and goes when it leaves it.
///
/// # Errors
/// What the API server refuses: nothing may be left unmarked.
pub(super) async fn protect(
    cluster: &Cluster,
    root: &DynamicObject,
    objects: &[Value],
) -> Result<(), Error> {
    for left in leftovers(root, objects) {
        let patch = json!({"metadata": {"annotations": {names::PRUNE: names::DISABLED}}});
        let reference = left.reference();
        if cluster.merge_where(&reference, &patch, is_of_flux).await? {
            let what = crate::cluster::apply::display(&reference);
            output::note(format!("{what} kept from pruning"));
        }
    }
    Ok(())
}

/// Whether an object is a part of Flux. A definition without the label still holds objects.
fn is_of_flux(object: &DynamicObject) -> bool {
    let label = object.labels().get(names::PART_OF_LABEL);
    label.is_some_and(|part_of| part_of == names::PART_OF)
        || object.name_any().ends_with(".toolkit.fluxcd.io")
}

fn leftovers(root: &DynamicObject, objects: &[Value]) -> Vec<Left> {
    let entries = root
        .at("/status/inventory/entries")
        .and_then(Value::as_array);
    let mut left = Vec::new();
    for entry in entries.into_iter().flatten() {
        let text = |key: &str| entry[key].as_str().unwrap_or_default();
        let Ok(ObjectId {
            namespace,
            name,
            group,
            kind,
        }) = text("id").parse()
        else {
            continue;
        };
        let is_installed = objects.iter().any(|object| {
            object["kind"] == kind
                && object::name(object) == name
                && object::namespace(object) == namespace
        });
        if is_installed {
            continue;
        }
        left.push(Left {
            gvk: Gvk {
                group,
                version: text("v").to_owned(),
                kind,
            },
            namespace,
            name,
        });
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_found() {
        let ids = [
            ("_flux-system__Namespace", "v1"),
            (
                "_helmreleases.helm.toolkit.fluxcd.io_apiextensions.k8s.io_CustomResourceDefinition",
                "v1",
            ),
            ("flux-system_source-controller_apps_Deployment", "v1"),
            ("flux-system_helm-controller_apps_Deployment", "v1"),
            ("_a__b_rbac.authorization.k8s.io_ClusterRole", "v1"),
        ];
        let entries: Vec<Value> = ids
            .iter()
            .map(|(id, v)| json!({"id": id, "v": v}))
            .collect();
        let root = serde_json::from_value(json!({
            "metadata": {"name": "x"}, "status": {"inventory": {"entries": entries}}}));
        let installed =
            [json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flux-system"}})];
        let left = leftovers(&root.unwrap(), &installed);
        let names: Vec<&str> = left.iter().map(|left| left.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "helmreleases.helm.toolkit.fluxcd.io",
                "source-controller",
                "helm-controller",
                "a:b"
            ]
        );
        assert_eq!(left[0].gvk.api_version(), "apiextensions.k8s.io/v1");
        assert_eq!(left[2].reference()["metadata"]["namespace"], "flux-system");
    }
}
