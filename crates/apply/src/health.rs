//! Whether an object has reached the state it asks for: the rules of kstatus (the library that
//! Flux and kpt use), which go by conventions for any kind and by knowledge for the built-in ones.

use serde_json::Value;

use crate::object::Gvk;

/// Where an object stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// The observed state matches the desired one.
    Current,
    /// A controller is still at work; the text says what is missing.
    InProgress(String),
    /// It will not get there without somebody's help; the text says why.
    Failed(String),
    /// It is being deleted.
    Terminating,
    /// It does not exist.
    NotFound,
}

impl Status {
    /// The name that appears in conditions.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Current => "Current",
            Self::InProgress(_) => "InProgress",
            Self::Failed(_) => "Failed",
            Self::Terminating => "Terminating",
            Self::NotFound => "NotFound",
        }
    }

    /// What is missing or wrong, empty where the name says it all.
    pub fn detail(&self) -> &str {
        match self {
            Self::InProgress(text) | Self::Failed(text) => text,
            Self::Current | Self::Terminating | Self::NotFound => "",
        }
    }
}

/// Built-in kinds without a status: they are there, or they are not.
pub fn is_at_once(gvk: &Gvk) -> bool {
    matches!(
        (gvk.group.as_str(), gvk.kind.as_str()),
        (
            "",
            "ConfigMap" | "Secret" | "ServiceAccount" | "LimitRange" | "Endpoints"
        ) | (
            "rbac.authorization.k8s.io",
            "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding"
        ) | ("storage.k8s.io", "StorageClass")
            | ("scheduling.k8s.io", "PriorityClass")
            | ("networking.k8s.io", "NetworkPolicy" | "IngressClass")
    )
}

fn progress(text: impl Into<String>) -> Status {
    Status::InProgress(text.into())
}

/// Judges a live object.
pub fn status(object: &Value) -> Status {
    if object["metadata"]["deletionTimestamp"].is_string() {
        return Status::Terminating;
    }
    let generation = object["metadata"]["generation"].as_i64();
    let observed = object["status"]["observedGeneration"].as_i64();
    if let (Some(generation), Some(observed)) = (generation, observed)
        && observed != generation
    {
        return progress(format!(
            "generation is {generation}, observed is {observed}"
        ));
    }
    if let Some(stalled) = condition(object, "Stalled").filter(|c| c["status"] == "True") {
        return Status::Failed(message(stalled));
    }
    if let Some(reconciling) = condition(object, "Reconciling").filter(|c| c["status"] == "True") {
        return progress(message(reconciling));
    }
    let core = object["apiVersion"]
        .as_str()
        .is_some_and(|v| !v.contains('.'));
    match object["kind"].as_str().unwrap_or_default() {
        "Deployment" if core => deployment(object),
        "StatefulSet" if core => stateful_set(object),
        "DaemonSet" if core => daemon_set(object),
        "ReplicaSet" if core => replica_set(object),
        "Job" if core => job(object),
        "Pod" if core => pod(object),
        "PersistentVolumeClaim" => match object["status"]["phase"].as_str() {
            Some("Bound") => Status::Current,
            phase => progress(format!("claim is {}", phase.unwrap_or("Pending"))),
        },
        "CustomResourceDefinition" => definition(object),
        "HorizontalPodAutoscaler" => autoscaler(object),
        "Service" if core => service(object),
        _ => generic(object),
    }
}

fn condition<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    object["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|c| c["type"] == type_)
}

fn message(condition: &Value) -> String {
    condition["message"].as_str().unwrap_or_default().to_owned()
}

fn count(object: &Value, field: &str) -> i64 {
    object["status"][field].as_i64().unwrap_or(0)
}

fn generic(object: &Value) -> Status {
    match condition(object, "Ready") {
        None => Status::Current,
        Some(ready) if ready["status"] == "True" => Status::Current,
        Some(ready) => progress(message(ready)),
    }
}

/// One that finds nothing to scale waits for it. Whether there are metrics does not count: clusters
/// without a metrics server have none, and a new pod has none for a minute.
fn autoscaler(object: &Value) -> Status {
    match condition(object, "AbleToScale") {
        Some(able) if able["status"] == "False" => progress(message(able)),
        _ => Status::Current,
    }
}

fn wanted(object: &Value) -> i64 {
    object["spec"]["replicas"].as_i64().unwrap_or(1)
}

/// The first shortfall of a list of (have, want, what).
fn shortfall(counts: &[(i64, i64, &str)]) -> Option<Status> {
    counts
        .iter()
        .find(|(have, want, _)| have < want)
        .map(|(have, want, what)| progress(format!("{what}: {have}/{want}")))
}

/// Replicas that are still to stop.
fn surplus(object: &Value, want: i64) -> Option<Status> {
    let more = count(object, "replicas") - want;
    (more > 0).then(|| progress(format!("old replicas to stop: {more}")))
}

fn never_observed(object: &Value) -> Option<Status> {
    object["status"]["observedGeneration"]
        .is_null()
        .then(|| progress("no controller has observed it yet"))
}

fn deployment(object: &Value) -> Status {
    if let Some(c) = condition(object, "Progressing")
        && c["reason"] == "ProgressDeadlineExceeded"
    {
        return Status::Failed(message(c));
    }
    let want = wanted(object);
    let updated = count(object, "updatedReplicas");
    if let Some(status) = never_observed(object) {
        return status;
    }
    if let Some(status) = shortfall(&[
        (count(object, "replicas"), want, "replicas"),
        (updated, want, "updated"),
    ]) {
        return status;
    }
    if let Some(status) = surplus(object, want) {
        return status;
    }
    shortfall(&[
        (count(object, "availableReplicas"), updated, "available"),
        (count(object, "readyReplicas"), want, "ready"),
    ])
    .unwrap_or(Status::Current)
}

fn stateful_set(object: &Value) -> Status {
    if object["spec"]["updateStrategy"]["type"] == "OnDelete" {
        return Status::Current;
    }
    let want = wanted(object);
    if let Some(status) = never_observed(object).or_else(|| {
        shortfall(&[
            (count(object, "replicas"), want, "replicas"),
            (count(object, "readyReplicas"), want, "ready"),
        ])
        .or_else(|| surplus(object, want))
    }) {
        return status;
    }
    let partition = object["spec"]["updateStrategy"]["rollingUpdate"]["partition"].as_i64();
    if let Some(partition) = partition.filter(|p| *p > 0) {
        let target = (want - partition).max(0);
        return shortfall(&[(
            count(object, "updatedReplicas"),
            target,
            "updated in partition",
        )])
        .unwrap_or(Status::Current);
    }
    if object["status"]["updateRevision"] != object["status"]["currentRevision"] {
        return progress("waiting for the update revision on all pods");
    }
    Status::Current
}

fn daemon_set(object: &Value) -> Status {
    if let Some(status) = never_observed(object) {
        return status;
    }
    let want = count(object, "desiredNumberScheduled");
    shortfall(&[
        (count(object, "currentNumberScheduled"), want, "scheduled"),
        (count(object, "updatedNumberScheduled"), want, "updated"),
        (count(object, "numberAvailable"), want, "available"),
        (count(object, "numberReady"), want, "ready"),
    ])
    .unwrap_or(Status::Current)
}

fn replica_set(object: &Value) -> Status {
    if let Some(c) = condition(object, "ReplicaFailure").filter(|c| c["status"] == "True") {
        return progress(message(c));
    }
    let want = wanted(object);
    shortfall(&[
        (count(object, "fullyLabeledReplicas"), want, "labelled"),
        (count(object, "availableReplicas"), want, "available"),
        (count(object, "readyReplicas"), want, "ready"),
    ])
    .or_else(|| surplus(object, want))
    .unwrap_or(Status::Current)
}

/// A Job is current when it is complete: what depends on it needs its result.
fn job(object: &Value) -> Status {
    if let Some(c) = condition(object, "Failed").filter(|c| c["status"] == "True") {
        return Status::Failed(message(c));
    }
    if condition(object, "Complete").is_some_and(|c| c["status"] == "True") {
        return Status::Current;
    }
    if object["status"]["startTime"].is_null() {
        return progress("not started");
    }
    progress(format!(
        "active: {}, succeeded: {}, failed: {}",
        count(object, "active"),
        count(object, "succeeded"),
        count(object, "failed")
    ))
}

fn pod(object: &Value) -> Status {
    match object["status"]["phase"].as_str() {
        Some("Succeeded") => Status::Current,
        Some("Failed") => Status::Failed(
            object["status"]["message"]
                .as_str()
                .unwrap_or("pod has failed")
                .to_owned(),
        ),
        Some("Running") => match condition(object, "Ready") {
            Some(ready) if ready["status"] == "True" => Status::Current,
            _ => match crashing(object) {
                names if names.is_empty() => progress("pod runs and is not ready"),
                names => Status::Failed(format!("containers crash: {}", names.join(", "))),
            },
        },
        phase if is_unschedulable(object) => progress(format!(
            "pod is {}: {}",
            phase.unwrap_or("Pending"),
            condition(object, "PodScheduled")
                .map(message)
                .unwrap_or_default()
        )),
        phase => progress(format!("pod is {}", phase.unwrap_or("Pending"))),
    }
}

/// The containers of a pod that are started again and again.
fn crashing(pod: &Value) -> Vec<&str> {
    let lists = ["initContainerStatuses", "containerStatuses"];
    let all = lists
        .iter()
        .filter_map(|list| pod["status"][*list].as_array())
        .flatten();
    all.filter(|container| container["state"]["waiting"]["reason"] == "CrashLoopBackOff")
        .filter_map(|container| container["name"].as_str())
        .collect()
}

fn is_unschedulable(pod: &Value) -> bool {
    condition(pod, "PodScheduled")
        .is_some_and(|c| c["status"] == "False" && c["reason"] == "Unschedulable")
}

fn definition(object: &Value) -> Status {
    if let Some(c) = condition(object, "NamesAccepted").filter(|c| c["status"] == "False") {
        return Status::Failed(message(c));
    }
    match condition(object, "Established") {
        Some(c) if c["status"] == "True" => Status::Current,
        _ => progress("definition is not established yet"),
    }
}

fn service(object: &Value) -> Status {
    let is_load_balancer = object["spec"]["type"] == "LoadBalancer";
    let has_address = object["status"]["loadBalancer"]["ingress"]
        .as_array()
        .is_some_and(|list| !list.is_empty());
    if is_load_balancer && !has_address && object["spec"]["clusterIP"] == "" {
        return progress("load balancer has no address yet");
    }
    Status::Current
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment_with(status: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status})
    }

    #[test]
    fn kinds_follow_their_own_rules() {
        let ready = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2,
            "availableReplicas": 2, "readyReplicas": 2});
        let mut old = ready.clone();
        old["replicas"] = json!(3);
        let mut unavailable = ready.clone();
        unavailable["availableReplicas"] = json!(1);
        for (object, want, detail) in [
            (
                json!({"apiVersion": "v1", "kind": "ConfigMap"}),
                "Current",
                "",
            ),
            (deployment_with(ready), "Current", ""),
            (
                deployment_with(json!({})),
                "InProgress",
                "no controller has observed it yet",
            ),
            (
                deployment_with(json!({"observedGeneration": 1})),
                "InProgress",
                "generation is 2, observed is 1",
            ),
            (
                deployment_with(old),
                "InProgress",
                "old replicas to stop: 1",
            ),
            (
                json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "spec": {"replicas": 1},
                    "status": {"observedGeneration": 1, "replicas": 3, "readyReplicas": 3}}),
                "InProgress",
                "old replicas to stop: 2",
            ),
            (
                json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "spec": {"replicas": 1},
                    "status": {"observedGeneration": 1, "replicas": 2, "fullyLabeledReplicas": 2,
                        "availableReplicas": 2, "readyReplicas": 2}}),
                "InProgress",
                "old replicas to stop: 1",
            ),
            (deployment_with(unavailable), "InProgress", "available: 1/2"),
            (
                deployment_with(json!({"observedGeneration": 2, "conditions": [{
                    "type": "Progressing", "status": "False",
                    "reason": "ProgressDeadlineExceeded", "message": "too slow"}]})),
                "Failed",
                "too slow",
            ),
            (
                json!({"apiVersion": "batch/v1", "kind": "Job", "status": {"conditions": [
                    {"type": "Complete", "status": "True"}]}}),
                "Current",
                "",
            ),
            (
                json!({"apiVersion": "batch/v1", "kind": "Job"}),
                "InProgress",
                "not started",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Running"}}),
                "InProgress",
                "pod runs and is not ready",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Running",
                    "containerStatuses": [{"name": "ok", "state": {"running": {}}},
                        {"name": "app", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}}),
                "Failed",
                "containers crash: app",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Pending",
                    "conditions": [{"type": "PodScheduled", "status": "False",
                        "reason": "Unschedulable", "message": "no node has room"}]}}),
                "InProgress",
                "pod is Pending: no node has room",
            ),
            (
                json!({"apiVersion": "x.org/v1", "kind": "Thing", "status": {"conditions": [
                    {"type": "Ready", "status": "False", "message": "soon"}]}}),
                "InProgress",
                "soon",
            ),
            (
                json!({"apiVersion": "x.org/v1", "kind": "Thing", "status": {"conditions": [
                    {"type": "Stalled", "status": "True", "message": "never"}]}}),
                "Failed",
                "never",
            ),
            (
                json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                    "status": {"conditions": [{"type": "Established", "status": "True"}]}}),
                "Current",
                "",
            ),
            (
                json!({"kind": "ConfigMap", "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
                "Terminating",
                "",
            ),
        ] {
            let found = status(&object);
            assert_eq!((found.name(), found.detail()), (want, detail), "{object}");
        }
    }
}
