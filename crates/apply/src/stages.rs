//! The order in which a set of objects is applied and deleted.
//!
//! Stages make later objects possible (a definition before its objects); ranks inside a stage
//! avoid errors and restarts that a second run would mend (a ServiceAccount before the Deployment
//! that names it). Stages and their order are those of Flux, so that the same repository behaves
//! the same.

use flux_api::inventory::ObjectId;

/// One of the passes of an apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Definitions, namespaces and cluster roles: everything else may need them.
    Definitions,
    /// Kinds whose name ends in `Class`: defaults are resolved when their users are created.
    Classes,
    /// Kinds that somebody wants to have before the rest.
    Early,
    /// The rest.
    Objects,
}

/// Order inside [`Stage::Objects`]; kinds that are not listed come after all but webhooks.
const RANKS: &[&[&str]] = &[
    &[
        "ResourceQuota",
        "LimitRange",
        "NetworkPolicy",
        "PodDisruptionBudget",
    ],
    &["ServiceAccount"],
    &["Role", "ClusterRoleBinding"],
    &["RoleBinding"],
    &["ConfigMap", "Secret"],
    &["PersistentVolume"],
    &["PersistentVolumeClaim", "Service"],
    &[
        "DaemonSet",
        "Deployment",
        "StatefulSet",
        "ReplicaSet",
        "Pod",
        "Job",
        "CronJob",
    ],
    &["HorizontalPodAutoscaler", "Ingress", "APIService"],
];

/// Webhooks come last: one that points to a Service without pods would refuse all that follows.
const LAST: &[&str] = &[
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
];

/// The stage of a kind.
pub fn stage(kind: &str) -> Stage {
    match kind {
        "CustomResourceDefinition" | "Namespace" | "ClusterRole" => Stage::Definitions,
        kind if kind.ends_with("Class") => Stage::Classes,
        _ => Stage::Objects,
    }
}

/// The rank of a kind inside its stage: lower is applied earlier.
pub fn rank(kind: &str) -> usize {
    if LAST.contains(&kind) {
        return RANKS.len() + 1;
    }
    RANKS
        .iter()
        .position(|kinds| kinds.contains(&kind))
        .unwrap_or(RANKS.len())
}

/// Groups objects into batches: batches follow each other, the objects of one batch go at once.
/// `is_early` is asked of those that belong to no stage of their own.
pub fn batches<T>(
    objects: Vec<T>,
    kind: impl Fn(&T) -> &str,
    is_early: impl Fn(&T) -> bool,
) -> Vec<(Stage, Vec<T>)> {
    let stage = |object: &T| match stage(kind(object)) {
        Stage::Objects if is_early(object) => Stage::Early,
        stage => stage,
    };
    let mut keyed: Vec<_> = objects
        .into_iter()
        .map(|o| ((stage(&o), rank(kind(&o))), o))
        .collect();
    keyed.sort_by_key(|(key, _)| *key);
    let mut batches: Vec<((Stage, usize), Vec<T>)> = Vec::new();
    for (key, object) in keyed {
        match batches.last_mut() {
            Some((last, objects)) if *last == key => objects.push(object),
            _ => batches.push((key, vec![object])),
        }
    }
    batches
        .into_iter()
        .map(|((stage, _), objects)| (stage, objects))
        .collect()
}

/// Sorts for deletion: the reverse of the order of creation.
pub fn sort_for_deletion(ids: &mut [ObjectId]) {
    ids.sort_by(|a, b| {
        let key = |id: &ObjectId| (stage(&id.kind), rank(&id.kind));
        key(b)
            .cmp(&key(a))
            .then_with(|| a.to_string().cmp(&b.to_string()))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_first_webhooks_last() {
        let kinds = vec![
            "MutatingWebhookConfiguration",
            "Deployment",
            "Thing",
            "StorageClass",
            "Secret",
            "Namespace",
            "ConfigMap",
            "Provider",
        ];
        let batches = batches(kinds, |k| k, |k| ["Provider", "Namespace"].contains(k));
        let order: Vec<_> = batches.into_iter().map(|(_, b)| b).collect();
        assert_eq!(
            order,
            [
                vec!["Namespace"],
                vec!["StorageClass"],
                vec!["Provider"],
                vec!["Secret", "ConfigMap"],
                vec!["Deployment"],
                vec!["Thing"],
                vec!["MutatingWebhookConfiguration"],
            ]
        );
    }

    #[test]
    fn deletion_is_the_reverse() {
        let id = |kind: &str, name: &str| ObjectId {
            namespace: String::new(),
            name: name.into(),
            group: String::new(),
            kind: kind.into(),
        };
        let mut ids = [
            id("Namespace", "n"),
            id("Service", "b"),
            id("Deployment", "d"),
            id("Service", "a"),
        ];
        sort_for_deletion(&mut ids);
        let order: Vec<_> = ids.iter().map(|id| id.name.as_str()).collect();
        assert_eq!(order, ["d", "a", "b", "n"]);
    }
}
