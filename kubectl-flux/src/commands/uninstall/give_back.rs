//! `--give-back`: Flux's controllers go on where they were stopped by a take-over, with the same
//! objects. What was changed then is written in annotations (`flux_api::names`), which go last: a
//! give-back that was cut short can be repeated.

use std::time::Duration;

use flux_api::{names, takeover};
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use kube::api::{ApiResource, DynamicObject};
use serde_json::{Value, json};

use super::inventory::{Inventory, Part, SOURCE_CONTROLLER};
use super::steps::{Steps, applies_any, id};
use crate::cluster::{Cluster, ClusterError, Scope, Selection, View};
use crate::commands::install::{components, health, preflight};
use crate::error::Error;
use crate::kind::Kind;
use crate::output;

/// What was taken over from Flux.
#[derive(Debug, Default)]
pub(super) struct Estate {
    /// Its Deployments, at 0 replicas.
    deployments: Vec<DynamicObject>,
    /// Its Kustomizations that were suspended.
    roots: Vec<DynamicObject>,
    /// Whether one of its controllers runs, which could go on with those.
    is_flux_awake: bool,
}

/// What Flux gets back.
#[derive(Debug)]
pub(super) struct Heir<'a> {
    estate: &'a Estate,
    /// Objects of Flux under whose name ours stand.
    shared: Vec<Part>,
}

impl Estate {
    /// Looks at the cluster; nothing is changed.
    ///
    /// # Errors
    /// If the cluster cannot be read.
    pub(super) async fn read(cluster: &Cluster) -> Result<Self, Error> {
        let carries = |key: &'static str| {
            move |object: &DynamicObject| object.annotations().contains_key(key)
        };
        let resource = ApiResource::erase::<Deployment>(&());
        let all = Selection::default();
        let mut deployments = cluster.list_resource(&resource, Scope::All, all).await?;
        let is_flux_awake = deployments.iter().any(is_awake);
        deployments.retain(carries(names::REPLICAS_BEFORE_TAKE_OVER));
        let all = Selection::default();
        let mut roots = match cluster.list(Kind::Kustomization, Scope::All, all).await {
            // Without the definition there is none.
            Err(ClusterError::UnknownKind(_)) => Vec::new(),
            found => found?,
        };
        roots.retain(carries(names::SUSPENDED_BY_TAKE_OVER));
        Ok(Self {
            deployments,
            roots,
            is_flux_awake,
        })
    }

    /// Whether there is nothing to give back, or nobody to give it to.
    pub(super) fn is_empty(&self) -> bool {
        self.deployments.is_empty() && (self.roots.is_empty() || !self.is_flux_awake)
    }

    /// What to say when it is not given back.
    pub(super) fn is_left(&self) -> String {
        let (what, left) = match self.deployments.as_slice() {
            [] => ("Kustomizations stay suspended: Kustomization", &self.roots),
            _ => ("controllers stay stopped: Deployment", &self.deployments),
        };
        let names: Vec<String> = left.iter().map(full_name).collect();
        format!(
            "Flux's {what} {}; --give-back starts them again, and keeps all objects",
            names.join(", ")
        )
    }

    /// Takes out of the inventory what Flux needs.
    ///
    /// # Errors
    /// If nothing was taken over from Flux, or what was written down cannot be read.
    pub(super) fn for_flux(&self, inventory: &mut Inventory) -> Result<Heir<'_>, Error> {
        if self.is_empty() {
            return Err(Error::input(format!(
                "there is nobody to give back to: no Deployment carries the annotation {}, and no \
                 controller of Flux runs for which a Kustomization with {} waits; nothing was changed",
                names::REPLICAS_BEFORE_TAKE_OVER,
                names::SUSPENDED_BY_TAKE_OVER
            )));
        }
        for deployment in &self.deployments {
            replicas(deployment)?;
        }
        let has_source_controller = self.deployments.iter().any(|deployment| {
            deployment.name_any() == SOURCE_CONTROLLER
                && deployment.namespace().as_ref() == Some(&inventory.namespace)
        });
        let shared = inventory.leave_to_flux(has_source_controller);
        Ok(Heir {
            estate: self,
            shared,
        })
    }
}

impl Heir<'_> {
    /// Gives objects the form that they had under Flux.
    ///
    /// # Errors
    /// What the API server refuses.
    pub(super) async fn restore_forms(&self, steps: &Steps<'_>) -> Result<(), Error> {
        for part in &self.shared {
            let source = self
                .estate
                .deployments
                .iter()
                .find(|deployment| deployment.name_any() == SOURCE_CONTROLLER);
            let patch = serde_json::from_value(former(&part.object, source)?)
                .map_err(|error| Error::input(format!("{}: {error}", part.display())))?;
            let namespace = part.object.namespace().unwrap_or_default();
            let api = steps
                .cluster
                .dynamic(&part.resource, Scope::Namespace(&namespace));
            if !steps.is_rehearsal {
                let name = part.object.name_any();
                steps.cluster.amend(&api, &name, patch).await?;
            }
            steps.done(&part.display(), "given back");
        }
        Ok(())
    }

    /// Starts Flux's controllers and its Kustomizations, and waits until the former are ready. What a
    /// second attempt would need to know goes when nothing of the rest can fail any more.
    ///
    /// # Errors
    /// What the API server refuses, or if a controller does not become ready.
    pub(super) async fn start(&self, steps: &Steps<'_>, timeout: Duration) -> Result<(), Error> {
        for deployment in &self.estate.deployments {
            let replicas = replicas(deployment)?;
            let patch = json!({"spec": {"replicas": replicas}});
            patch_deployment(steps, deployment, &patch).await?;
            let what = format!("Deployment/{}", full_name(deployment));
            steps.done(&what, &format!("scaled to {replicas}"));
        }
        let ours: Vec<String> = steps.inventory.programs.iter().map(id).collect();
        for root in &self.estate.roots {
            let what = format!("Kustomization/{}", full_name(root));
            // By its name, too: an attempt before this one has deleted our programs.
            if applies_any(root, &ours) || preflight::installs_ours(root) {
                output::warning(format!(
                    "{what} stays suspended: its repository still installs this distribution; \
                     revert the commit that replaced Flux, then resume it"
                ));
                continue;
            }
            if !steps.is_rehearsal {
                let annotations = json!({names::SUSPENDED_BY_TAKE_OVER: null});
                let patch =
                    json!({"metadata": {"annotations": annotations}, "spec": {"suspend": null}});
                let namespace = root.namespace().unwrap_or_default();
                let (kind, name) = (Kind::Kustomization, root.name_any());
                steps.cluster.patch(kind, &namespace, &name, patch).await?;
            }
            steps.done(&what, "resumed");
        }
        for deployment in &self.estate.deployments {
            patch_deployment(steps, deployment, &forgotten(deployment)).await?;
        }
        if steps.is_rehearsal {
            return Ok(());
        }
        for deployment in &self.estate.deployments {
            let namespace = deployment.namespace().unwrap_or_default();
            let names = [deployment.name_any()];
            let about = |_: &str| String::new();
            health::wait(steps.cluster, &namespace, &names, about, timeout).await?;
        }
        Ok(())
    }
}

fn full_name(object: &DynamicObject) -> String {
    let namespace = object.namespace().unwrap_or_default();
    format!("{namespace}/{}", object.name_any())
}

/// Whether it is a controller of Flux that ours replaces, and at work.
fn is_awake(deployment: &DynamicObject) -> bool {
    let label = |key: &str| deployment.labels().get(key).map(String::as_str);
    let replicas = deployment.at("/spec/replicas").and_then(Value::as_i64);
    label(names::PART_OF_LABEL) == Some(names::PART_OF)
        && components::is_replaced(&takeover::component(deployment))
        && label(names::NAME_LABEL) != Some(names::DISTRIBUTION)
        && replicas != Some(0)
}

async fn patch_deployment(
    steps: &Steps<'_>,
    deployment: &DynamicObject,
    patch: &Value,
) -> Result<(), Error> {
    if steps.is_rehearsal {
        return Ok(());
    }
    let resource = ApiResource::erase::<Deployment>(&());
    let namespace = deployment.namespace().unwrap_or_default();
    let scope = Scope::Namespace(&namespace);
    let api = steps.cluster.dynamic(&resource, scope);
    let name = deployment.name_any();
    steps.cluster.merge(&api, &name, patch).await?;
    Ok(())
}

/// The replicas that a Deployment had before the take-over.
fn replicas(deployment: &DynamicObject) -> Result<u32, Error> {
    let number = deployment
        .annotations()
        .get(names::REPLICAS_BEFORE_TAKE_OVER);
    let number = number.map(String::as_str).unwrap_or_default();
    number.parse().map_err(|_| {
        Error::input(format!(
            "Deployment {}: annotation {} is \"{number}\", not a number; write the replicas there",
            full_name(deployment),
            names::REPLICAS_BEFORE_TAKE_OVER
        ))
    })
}

/// What takes the notes of the take-over off a Deployment.
fn forgotten(deployment: &DynamicObject) -> Value {
    let annotations = deployment.annotations();
    json!({"metadata": {"annotations": {
        names::REPLICAS_BEFORE_TAKE_OVER: null,
        names::RECONCILE_BEFORE_TAKE_OVER: null,
        names::RECONCILE: annotations.get(names::RECONCILE_BEFORE_TAKE_OVER),
    }}})
}

/// A JSON patch (RFC 6902) that gives an object the form it had. Where that was not written down,
/// as when our manifests were applied without the plugin, it is a Service, which leads to the
/// Deployment of the same name again.
fn former(object: &DynamicObject, source: Option<&DynamicObject>) -> Result<Value, Error> {
    let annotation = names::FORM_BEFORE_TAKE_OVER;
    let Some(form) = object.annotations().get(annotation) else {
        let selector = source.and_then(|source| source.at("/spec/selector/matchLabels"));
        let mut labels = object.labels().clone();
        labels.remove(names::NAME_LABEL);
        labels.insert(names::COMPONENT_LABEL.to_owned(), object.name_any());
        return Ok(json!([
            {"op": "replace", "path": "/metadata/labels", "value": labels},
            {"op": "replace", "path": "/spec/selector", "value": selector},
        ]));
    };
    let form: Value = serde_json::from_str(form).map_err(|error| {
        let name = full_name(object);
        Error::input(format!(
            "{name}: annotation {annotation} cannot be read: {error}"
        ))
    })?;
    let mut operations = vec![
        json!({"op": "replace", "path": "/metadata/labels", "value": form["labels"]}),
        json!({"op": "remove", "path": format!("/metadata/annotations/{}", annotation.replace('/', "~1"))}),
    ];
    for (field, value) in form["spec"].as_object().into_iter().flatten() {
        operations.push(json!({"op": "add", "path": format!("/spec/{field}"), "value": value}));
    }
    // What ours has besides.
    let ours = object.at("/spec").and_then(Value::as_object);
    for field in ours.into_iter().flatten().map(|(field, _)| field) {
        if form["spec"].get(field).is_none() {
            operations.push(json!({"op": "remove", "path": format!("/spec/{field}")}));
        }
    }
    Ok(Value::Array(operations))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn deployments_become_what_they_were() {
        let deployment = |annotations: Value| {
            object(json!({"metadata": {
                "name": "source-controller", "namespace": "x", "annotations": annotations}}))
        };
        let known = deployment(json!({
            "flux-sync/replicas-before-take-over": "2",
            "flux-sync/reconcile-before-take-over": "enabled"}));
        assert_eq!(replicas(&known).unwrap(), 2);
        let annotations = &forgotten(&known)["metadata"]["annotations"];
        assert_eq!(
            annotations["kustomize.toolkit.fluxcd.io/reconcile"],
            "enabled"
        );
        assert!(annotations["flux-sync/replicas-before-take-over"].is_null());
        let odd = deployment(json!({"flux-sync/replicas-before-take-over": "many"}));
        let error = replicas(&odd).unwrap_err().to_string();
        assert!(error.contains("\"many\", not a number"), "{error}");
    }

    #[test]
    fn a_form_is_restored_field_by_field() {
        let form = json!({"labels": {"a": "b"}, "spec": {"podSelector": {}, "egress": [{}]}});
        let policy = object(json!({
            "metadata": {"name": "allow-egress", "annotations": {
                "flux-sync/form-before-take-over": form.to_string()}},
            "spec": {"podSelector": {"matchLabels": {"app": "ours"}}, "ingress": []}}));
        let patch: json_patch::Patch =
            serde_json::from_value(former(&policy, None).unwrap()).unwrap();
        let mut value = json!({
            "metadata": {"labels": {"x": "y"}, "annotations": policy.annotations()},
            "spec": policy.at("/spec")});
        json_patch::patch(&mut value, &patch).unwrap();
        assert_eq!(
            value["metadata"],
            json!({"labels": {"a": "b"}, "annotations": {}})
        );
        assert_eq!(value["spec"], form["spec"]);
    }

    #[test]
    fn a_service_leads_to_its_deployment_again() {
        let service = object(json!({"metadata": {"name": "source-controller", "labels": {
            "app.kubernetes.io/name": "flux-sync", "app.kubernetes.io/component": "sync-operator"}}}));
        let source = object(json!({"metadata": {"name": "source-controller"},
            "spec": {"selector": {"matchLabels": {"app": "source-controller"}}}}));
        let patch = former(&service, Some(&source)).unwrap();
        assert_eq!(
            patch[0]["value"],
            json!({"app.kubernetes.io/component": "source-controller"})
        );
        assert_eq!(patch[1]["value"], json!({"app": "source-controller"}));
    }
}
