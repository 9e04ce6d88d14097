//! Without a node no pod runs, and no Deployment becomes ready. Here the test says in the status of
//! our pods what a kubelet would; everything above it is real: admission, Deployments, ReplicaSets,
//! deletion.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;
use tokio::task::JoinHandle;

/// Reports pods as running while it lives.
pub(super) struct Kubelet(JoinHandle<()>);

impl Kubelet {
    /// Begins to report all pods of GitOps programs as running, whatever their image.
    pub(super) fn start(client: Client) -> Self {
        Self(tokio::spawn(async move {
            loop {
                report(&client).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }))
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Errors are left to the next round: the API server may be away, or the pod gone.
async fn report(client: &Client) {
    let all: Api<Pod> = Api::all(client.clone());
    let ours = ListParams::default().labels("app.kubernetes.io/part-of=flux");
    let Ok(pods) = all.list(&ours).await else {
        return;
    };
    let status = json!({"status": {"phase": "Running", "conditions": [
        {"type": "Ready", "status": "True"}, {"type": "ContainersReady", "status": "True"}]}});
    for pod in pods {
        let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
        if phase == Some("Running") {
            continue;
        }
        let namespace = pod.namespace().unwrap_or_default();
        let api: Api<Pod> = Api::namespaced(client.clone(), &namespace);
        let patch = Patch::Merge(&status);
        let _ = api
            .patch_status(&pod.name_any(), &PatchParams::default(), &patch)
            .await;
    }
}
