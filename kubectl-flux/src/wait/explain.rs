//! What else is known about an object that did not become ready: its last warnings and what it
//! depends on. Best effort: whoever may not read those still has the reason.

use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value;

use super::Target;
use crate::cluster::{Cluster, Scope, Selection, View};
use crate::kind::Kind;
use crate::output::{self, human};
use flux_api::names;

/// How many warnings are shown.
const WARNINGS: usize = 3;

/// Prints the last warnings about the object and the dependencies that are not ready. `said` is the
/// failure that was reported already.
pub(crate) async fn explain(cluster: &Cluster, target: Target<'_>, said: &str) {
    let fields = format!(
        "involvedObject.kind={},involvedObject.name={},type=Warning",
        target.kind.name(),
        target.name
    );
    let selection = Selection {
        labels: None,
        fields: Some(&fields),
    };
    let scope = Scope::Namespace(target.namespace);
    let events: Vec<Event> = cluster
        .list_typed(scope, selection)
        .await
        .unwrap_or_default();
    for line in warnings(events, said, jiff::Timestamp::now()) {
        output::warning(line);
    }
    if target.kind != Kind::Kustomization {
        return;
    }
    let Ok(Some(object)) = cluster
        .find(target.kind, target.namespace, target.name)
        .await
    else {
        return;
    };
    for (namespace, name) in dependencies(&object) {
        let found = cluster.find(Kind::Kustomization, &namespace, &name).await;
        if let Ok(found) = found
            && let Some(why) = blocks(found.as_ref())
        {
            output::warning(format!(
                "it depends on Kustomization {namespace}/{name}, {why}"
            ));
        }
    }
}

/// The newest warnings, oldest first, without those that say what was said.
fn warnings(mut events: Vec<Event>, said: &str, now: jiff::Timestamp) -> Vec<String> {
    let time = |event: &Event| {
        let last = event.last_timestamp.as_ref().map(|time| time.0);
        last.or_else(|| {
            event
                .metadata
                .creation_timestamp
                .as_ref()
                .map(|time| time.0)
        })
    };
    events.retain(|event| {
        let message = event.message.as_deref().unwrap_or_default();
        !message.is_empty() && !said.contains(message)
    });
    events.sort_by_key(time);
    let skipped = events.len().saturating_sub(WARNINGS);
    events
        .iter()
        .skip(skipped)
        .map(|event| {
            let ago = time(event).map_or_else(String::new, |time| {
                format!(
                    "{} ago: ",
                    human::age(now.duration_since(time).unsigned_abs())
                )
            });
            format!(
                "{ago}{}: {}",
                event.reason.as_deref().unwrap_or_default(),
                event.message.as_deref().unwrap_or_default()
            )
        })
        .collect()
}

fn dependencies(object: &DynamicObject) -> Vec<(String, String)> {
    let own = object.namespace().unwrap_or_default();
    let list = object.at("/spec/dependsOn").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|entry| {
            let name = entry.get("name")?.as_str()?.to_owned();
            let namespace = entry.get("namespace").and_then(Value::as_str);
            Some((namespace.unwrap_or(&own).to_owned(), name))
        })
        .collect()
}

/// Why a dependency keeps others from going on, if it does.
fn blocks(found: Option<&DynamicObject>) -> Option<String> {
    let Some(object) = found else {
        return Some("which does not exist".to_owned());
    };
    if object.is_suspended() {
        return Some("which is suspended".to_owned());
    }
    match object.condition(names::READY) {
        Some(ready) if ready.is_true() => None,
        Some(ready) => Some(format!(
            "which is not ready: {}: {}",
            ready.reason, ready.message
        )),
        None => Some("which was not reconciled yet".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_warnings_are_told_once() {
        let now: jiff::Timestamp = "2026-01-01T00:10:00Z".parse().unwrap();
        let event = |minute: i64, message: &str| Event {
            reason: Some("BuildFailed".into()),
            message: Some(message.into()),
            last_timestamp: Some(Time(now - jiff::SignedDuration::from_mins(minute))),
            ..Event::default()
        };
        let events = vec![
            event(4, "fourth"),
            event(1, "the cause"),
            event(9, "first"),
            event(5, "third"),
            event(6, "second"),
        ];
        assert_eq!(
            warnings(
                events,
                "Kustomization reconciliation failed: the cause",
                now
            ),
            [
                "6m ago: BuildFailed: second",
                "5m ago: BuildFailed: third",
                "4m ago: BuildFailed: fourth"
            ]
        );
    }

    #[test]
    fn what_blocks_is_named() {
        let kind = Kind::Kustomization;
        let object = |data: Value| {
            DynamicObject::new("db", &kind.resource())
                .within("infra")
                .data(data)
        };
        let waiting = object(json!({"spec": {"dependsOn": [
            {"name": "a"}, {"name": "b", "namespace": "other"}]}}));
        assert_eq!(
            dependencies(&waiting),
            [
                ("infra".to_owned(), "a".to_owned()),
                ("other".to_owned(), "b".to_owned())
            ]
        );
        let ready = |status: &str| {
            object(json!({"status": {"conditions": [
                {"type": "Ready", "status": status, "reason": "R", "message": "m"}]}}))
        };
        assert_eq!(blocks(Some(&ready("True"))), None);
        assert_eq!(
            blocks(Some(&ready("False"))).as_deref(),
            Some("which is not ready: R: m")
        );
        assert_eq!(
            blocks(Some(&object(json!({"spec": {"suspend": true}})))).as_deref(),
            Some("which is suspended")
        );
        assert_eq!(blocks(None).as_deref(), Some("which does not exist"));
    }
}
