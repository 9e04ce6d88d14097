//! Putting an installation of Flux to rest before ours takes its place: nothing is deleted, and
//! annotations say how `uninstall --give-back` undoes it.

use std::time::Duration;

use flux_api::{names, takeover};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt;
use kube::api::{ApiResource, DynamicObject};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::preflight::Found;
use crate::cluster::{Cluster, Scope, View};
use crate::error::Error;
use crate::kind::Kind;
use crate::output;

/// Pause between looks.
const LOOK: Duration = Duration::from_millis(300);

/// Objects that Flux and we have under the same name.
fn shared_with_flux() -> [(ApiResource, &'static str); 4] {
    let policy = ApiResource::erase::<NetworkPolicy>(&());
    [
        (ApiResource::erase::<Service>(&()), "source-controller"),
        (policy.clone(), "allow-egress"),
        (policy.clone(), "allow-scraping"),
        (policy, "allow-webhooks"),
    ]
}

/// Suspends root syncs of Flux, then stops its controllers and waits until their pods are gone.
/// `namespace` is where ours is installed.
///
/// # Errors
/// What the API server refuses, or if a controller does not end in time.
pub(crate) async fn run(
    cluster: &Cluster,
    found: &Found,
    namespace: &str,
    timeout: Duration,
) -> Result<(), Error> {
    if found.is_flux_active() {
        remember_forms(cluster, namespace).await?;
    }
    // Their controller would undo the rest.
    for root in found.foreign_roots() {
        let (namespace, name) = (&root.namespace, &root.name);
        output::action(format!("suspending Kustomization {namespace}/{name}"));
        let api = cluster.objects(Kind::Kustomization, Scope::Namespace(namespace));
        cluster.merge(&api, name, &suspended()).await?;
        output::success(format!(
            "Kustomization {namespace}/{name} suspended: its repository still installs Flux; \
             `kubectl flux bootstrap git --take-over` changes that"
        ));
    }
    let resource = ApiResource::erase::<Deployment>(&());
    let deadline = Instant::now() + timeout;
    for controller in found.conflicting() {
        let (namespace, name) = (&controller.namespace, &controller.name);
        output::action(format!("stopping Deployment {namespace}/{name}"));
        let api = cluster.dynamic(&resource, Scope::Namespace(namespace));
        let live = cluster.find_resource(&resource, namespace, name).await?;
        let known = live
            .map(|live| live.annotations().clone())
            .unwrap_or_default();
        let annotations = takeover::annotations(&known, controller.replicas);
        let nothing = json!({
            "metadata": {"annotations": annotations},
            "spec": {"replicas": 0},
        });
        cluster.merge(&api, name, &nothing).await?;
        loop {
            let live = cluster.find_resource(&resource, namespace, name).await?;
            if live.is_none_or(|live| is_stopped(&live)) {
                break;
            }
            if Instant::now() >= deadline {
                return Err(Error::input(format!(
                    "Deployment {namespace}/{name} does not stop; delete its pods and try again"
                )));
            }
            sleep(LOOK).await;
        }
        output::success(format!(
            "Deployment {namespace}/{name} stopped (it had {})",
            controller.replicas
        ));
    }
    Ok(())
}

fn suspended() -> serde_json::Value {
    let annotations = json!({names::SUSPENDED_BY_TAKE_OVER: "true"});
    json!({"metadata": {"annotations": annotations}, "spec": {"suspend": true}})
}

/// Has the objects that ours are named like say what they were.
async fn remember_forms(cluster: &Cluster, namespace: &str) -> Result<(), Error> {
    for (resource, object) in shared_with_flux() {
        let Some(live) = cluster.find_resource(&resource, namespace, object).await? else {
            continue;
        };
        if let Some(form) = form(&live) {
            let annotations = json!({names::FORM_BEFORE_TAKE_OVER: form});
            let patch = json!({"metadata": {"annotations": annotations}});
            let api = cluster.dynamic(&resource, Scope::Namespace(namespace));
            cluster.merge(&api, object, &patch).await?;
        }
    }
    Ok(())
}

/// What there is to remember of an object; nothing if it is ours already.
fn form(object: &DynamicObject) -> Option<String> {
    if object.labels().get(names::NAME_LABEL).map(String::as_str) == Some(names::DISTRIBUTION) {
        return None;
    }
    let form = json!({"labels": object.labels(), "spec": object.at("/spec")});
    Some(form.to_string())
}

fn is_stopped(deployment: &DynamicObject) -> bool {
    let number = |pointer| deployment.at(pointer).and_then(serde_json::Value::as_i64);
    number("/status/observedGeneration") >= deployment.metadata.generation
        && number("/status/replicas").unwrap_or_default() == 0
        && number("/status/terminatingReplicas").unwrap_or_default() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_what_is_not_ours_is_remembered() {
        let of = |labels: serde_json::Value| {
            form(
                &serde_json::from_value(json!({
                    "metadata": {"name": "x", "labels": labels}, "spec": {"a": 1}}))
                .unwrap(),
            )
        };
        let flux = of(json!({"app.kubernetes.io/part-of": "flux"})).unwrap();
        assert_eq!(
            flux,
            r#"{"labels":{"app.kubernetes.io/part-of":"flux"},"spec":{"a":1}}"#
        );
        assert_eq!(of(json!({"app.kubernetes.io/name": "flux-sync"})), None);
    }

    #[test]
    fn stopped_is_what_the_controller_says() {
        let of = |status: serde_json::Value| {
            is_stopped(
                &serde_json::from_value(json!({
                    "metadata": {"name": "x", "generation": 2}, "status": status}))
                .unwrap(),
            )
        };
        assert!(of(json!({"observedGeneration": 2})));
        assert!(!of(json!({"observedGeneration": 1})));
        assert!(!of(json!({"observedGeneration": 2, "replicas": 1})));
        assert!(!of(
            json!({"observedGeneration": 2, "terminatingReplicas": 1})
        ));
    }
}
