//! Putting an installation of Flux to rest before ours takes its place: nothing is deleted, so that
//! it can be undone, and annotations say how.

use std::time::Duration;

use flux_api::names;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{ApiResource, DynamicObject};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::preflight::Found;
use crate::cluster::{Cluster, Scope, View};
use crate::error::Error;
use crate::kind::Kind;
use crate::output;

/// Annotation of a Deployment of Flux that was put to rest: the replicas to give back. The operator
/// leaves the same one when it takes over.
const REPLICAS: &str = "flux-sync/replicas-before-take-over";

/// Pause between looks.
const LOOK: Duration = Duration::from_millis(300);

/// Suspends root syncs of Flux, then stops its controllers and waits until their pods are gone.
///
/// # Errors
/// What the API server refuses, or if a controller does not end in time.
pub(crate) async fn run(cluster: &Cluster, found: &Found, timeout: Duration) -> Result<(), Error> {
    // Their controller would undo the rest.
    for root in found.foreign_roots() {
        let (namespace, name) = (&root.namespace, &root.name);
        output::action(format!("suspending Kustomization {namespace}/{name}"));
        let api = cluster.objects(Kind::Kustomization, Scope::Namespace(namespace));
        cluster
            .merge(&api, name, &json!({"spec": {"suspend": true}}))
            .await?;
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
        let annotations = json!({
            REPLICAS: controller.replicas.to_string(),
            names::RECONCILE: names::DISABLED,
        });
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
