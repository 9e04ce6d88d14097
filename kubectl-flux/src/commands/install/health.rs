//! Waiting until Deployments are ready, and saying why one is not: the reason is in its pods.

use std::time::Duration;

use flux_apply::health::{self, Status};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodSpec};
use kube::ResourceExt;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, Scope, Selection};
use crate::error::Error;
use crate::output;
use crate::output::progress::Progress;

/// Pause between looks.
const LOOK: Duration = Duration::from_millis(500);

/// What is known of a Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Ready,
    /// It may become ready by itself.
    Pending(String),
    /// Somebody has to do something.
    Stuck(String),
}

/// Waits until the Deployments are ready, and says so of each. `about` is added to the line of one.
///
/// # Errors
/// As soon as one cannot become ready without help, with the reason; or at the end of `timeout`
/// with what is known last.
pub(crate) async fn wait(
    cluster: &Cluster,
    namespace: &str,
    names: &[String],
    about: impl Fn(&str) -> String,
    timeout: Duration,
) -> Result<(), Error> {
    let deadline = Instant::now() + timeout;
    let progress = Progress::start();
    for name in names {
        loop {
            let verdict = match look(cluster, namespace, name).await {
                Ok(verdict) => verdict,
                Err(error) => Verdict::Pending(error.to_string()),
            };
            let reason = match verdict {
                Verdict::Ready => {
                    let about = about(name);
                    progress
                        .interrupt(|| output::success(format!("{name}: deployment ready{about}")));
                    break;
                }
                Verdict::Stuck(reason) => {
                    return Err(Error::input(format!(
                        "{name}: deployment not ready: {reason}"
                    )));
                }
                Verdict::Pending(reason) => reason,
            };
            if Instant::now() >= deadline {
                return Err(Error::Timeout {
                    waited: flux_api::go_string(timeout),
                    what: format!("Deployment {namespace}/{name}"),
                    last: reason,
                });
            }
            progress.show(&format!("{name}: {reason}"));
            sleep(LOOK).await;
        }
    }
    Ok(())
}

async fn look(cluster: &Cluster, namespace: &str, name: &str) -> Result<Verdict, Error> {
    let scope = Scope::Namespace(namespace);
    let fields = format!("metadata.name={name}");
    let selection = Selection {
        fields: Some(&fields),
        labels: None,
    };
    let found = cluster.list_typed::<Deployment>(scope, selection).await?;
    let Some(deployment) = found.into_iter().next() else {
        return Ok(Verdict::Pending("it is gone".to_owned()));
    };
    let labels = format!("app={name}");
    let selection = Selection {
        labels: Some(&labels),
        fields: None,
    };
    let pods = cluster.list_typed::<Pod>(scope, selection).await?;
    Ok(judge(&deployment, &pods))
}

/// The state of a Deployment by the rules of health checks, with the reason of its pods.
fn judge(deployment: &Deployment, pods: &[Pod]) -> Verdict {
    let mut value = serde_json::to_value(deployment).unwrap_or_default();
    // Items of lists do not say of which kind they are.
    value["apiVersion"] = Value::from("apps/v1");
    value["kind"] = Value::from("Deployment");
    let wanted = images(deployment.spec.template.spec.as_ref());
    let pod = pods
        .iter()
        // What hangs about from before the last change is no reason.
        .filter(|pod| images(pod.spec.as_ref()) == wanted)
        .find_map(reason);
    match (health::status(&value), pod) {
        (Status::Current, _) => Verdict::Ready,
        (_, Some((true, reason))) => Verdict::Stuck(reason),
        (status, Some((false, reason))) => {
            Verdict::Pending(format!("{}; {reason}", status.detail()))
        }
        (Status::Failed(reason), None) => Verdict::Stuck(reason),
        (status, None) => Verdict::Pending(status.detail().to_owned()),
    }
}

fn images(spec: Option<&PodSpec>) -> Vec<Option<&str>> {
    let containers = spec.map(|spec| spec.containers.as_slice());
    let containers = containers.unwrap_or_default();
    containers.iter().map(|c| c.image.as_deref()).collect()
}

/// Why a pod does not run, and whether it cannot without help.
fn reason(pod: &Pod) -> Option<(bool, String)> {
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let name = pod.name_any();
    let status = pod.status.as_ref()?;
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let unscheduled = conditions
        .iter()
        .find(|c| c.type_ == "PodScheduled" && c.status == "False");
    if let Some(condition) = unscheduled {
        let message = condition.message.as_deref().unwrap_or("no node takes it");
        return Some((false, format!("pod {name} is not scheduled: {message}")));
    }
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    containers.iter().find_map(|container| {
        let (is_stuck, why) = waiting(container)?;
        Some((is_stuck, format!("pod {name}: {why}")))
    })
}

fn waiting(container: &ContainerStatus) -> Option<(bool, String)> {
    let state = container.state.as_ref()?.waiting.as_ref()?;
    let reason = state.reason.as_deref().unwrap_or_default();
    let message = state.message.as_deref().unwrap_or_default();
    let image = &container.image;
    match reason {
        // The kubelet backs off only after it has tried, and says what came of that.
        "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => Some((
            true,
            format!(
                "image {image} cannot be pulled ({message}); push it there, or correct --registry \
                 or --image-pull-secret"
            ),
        )),
        "ErrImagePull" => Some((false, format!("image {image}: {message}"))),
        "CreateContainerConfigError" | "CreateContainerError" => Some((true, message.to_owned())),
        "CrashLoopBackOff" => Some((
            false,
            format!("it ended {} times: {message}", container.restart_count),
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(status: Value) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"name": "sync-operator", "generation": 1},
            "spec": {"replicas": 1, "selector": {}, "template": {}},
            "status": status,
        }))
        .unwrap()
    }

    fn pod(status: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).unwrap()
    }

    fn waiting_for(reason: &str, message: &str) -> Value {
        json!({"containerStatuses": [{"name": "manager", "image": "r/i:v1", "imageID": "",
            "ready": false, "restartCount": 3,
            "state": {"waiting": {"reason": reason, "message": message}}}]})
    }

    #[test]
    fn the_reason_is_in_the_pods() {
        let ready = json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1,
            "availableReplicas": 1, "readyReplicas": 1});
        let young = json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1});
        let stuck = waiting_for("ImagePullBackOff", "not found");
        for (status, pods, expected) in [
            (ready.clone(), vec![], "Ready"),
            // An old pod that hangs about does not matter.
            (ready, vec![stuck.clone()], "Ready"),
            (young.clone(), vec![], "Pending(\"available: 0/1\")"),
            (
                young.clone(),
                vec![
                    json!({"conditions": [{"type": "PodScheduled", "status": "False",
                    "message": "0/1 nodes are available"}]}),
                ],
                "Pending(\"available: 0/1; pod p is not scheduled: 0/1 nodes are available\")",
            ),
            (
                young.clone(),
                vec![stuck],
                "Stuck(\"pod p: image r/i:v1 cannot be pulled (not found); push it there, or \
                 correct --registry or --image-pull-secret\")",
            ),
            (
                young,
                vec![waiting_for("CrashLoopBackOff", "back-off 10s")],
                "Pending(\"available: 0/1; pod p: it ended 3 times: back-off 10s\")",
            ),
        ] {
            let pods: Vec<Pod> = pods.into_iter().map(pod).collect();
            let found = format!("{:?}", judge(&deployment(status), &pods));
            assert_eq!(found, expected);
        }
    }
}
