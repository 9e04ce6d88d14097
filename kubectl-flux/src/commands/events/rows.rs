//! Events as rows of a table. Pure.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;

use crate::output::human;

/// Headers of the table.
pub(super) fn headers(with_namespace: bool) -> Vec<&'static str> {
    let mut headers = vec!["Last seen", "Type", "Reason", "Object", "Message"];
    if with_namespace {
        headers.insert(0, "Namespace");
    }
    headers
}

/// The row of an event as of `now`.
pub(super) fn row(event: &Event, now: Timestamp, with_namespace: bool) -> Vec<String> {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let object = &event.involved_object;
    let mut row = vec![
        interval(event, now),
        text(&event.type_),
        text(&event.reason),
        format!("{}/{}", text(&object.kind), text(&object.name)),
        text(&event.message).trim().to_owned(),
    ];
    if with_namespace {
        row.insert(0, text(&event.metadata.namespace));
    }
    row
}

/// The order of events: by the time they happened last, which the API server keeps in seconds, and
/// by the order of their writing within a second.
pub(super) fn order(event: &Event) -> (Option<Timestamp>, u64) {
    let version = event.metadata.resource_version.as_deref();
    let written = version.and_then(|v| v.parse().ok()).unwrap_or_default();
    (last_seen(event), written)
}

/// When the event happened last; each API that writes events uses other fields.
pub(super) fn last_seen(event: &Event) -> Option<Timestamp> {
    let series = event
        .series
        .as_ref()
        .and_then(|series| series.last_observed_time.as_ref());
    series
        .map(|time| time.0)
        .or_else(|| event.last_timestamp.as_ref().map(|time| time.0))
        .or_else(|| first_seen(event))
}

fn first_seen(event: &Event) -> Option<Timestamp> {
    let exact = event.event_time.as_ref().map(|time| time.0);
    exact
        .or_else(|| event.first_timestamp.as_ref().map(|time| time.0))
        .or_else(|| {
            event
                .metadata
                .creation_timestamp
                .as_ref()
                .map(|time| time.0)
        })
}

/// `22s`, or `22s (x15 over 14m)` for an event that repeats.
fn interval(event: &Event, now: Timestamp) -> String {
    let since = |time: Option<Timestamp>| match time {
        // A clock that is ahead of ours must not look like an age.
        Some(time) => human::age(now.duration_since(time).try_into().unwrap_or_default()),
        None => "<unknown>".to_owned(),
    };
    let first = since(first_seen(event));
    let series = event.series.as_ref().and_then(|series| series.count);
    match series.or(event.count) {
        Some(count) if count > 1 => format!("{} (x{count} over {first})", since(last_seen(event))),
        _ => first,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(value: serde_json::Value) -> Event {
        let mut event = json!({"metadata": {"namespace": "foo"}, "involvedObject": {
            "kind": "Kustomization", "name": "apps"}, "type": "Normal", "reason": "Progressing",
            "message": "one\ntwo\n"});
        event
            .as_object_mut()
            .unwrap()
            .extend(value.as_object().unwrap().clone());
        serde_json::from_value(event).unwrap()
    }

    fn now() -> Timestamp {
        "2024-04-27T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_row() {
        let event = event(
            json!({"lastTimestamp": "2024-04-27T09:59:38Z", "firstTimestamp": "2024-04-27T09:46:00Z", "count": 15}),
        );
        assert_eq!(
            row(&event, now(), true),
            [
                "foo",
                "22s (x15 over 14m)",
                "Normal",
                "Progressing",
                "Kustomization/apps",
                "one\ntwo"
            ]
        );
    }

    #[test]
    fn times_of_both_apis() {
        for (fields, text) in [
            (
                json!({"firstTimestamp": "2024-04-27T09:55:00Z", "count": 1}),
                "5m",
            ),
            (json!({"eventTime": "2024-04-27T09:59:00.000000Z"}), "60s"),
            (
                json!({"eventTime": "2024-04-27T09:40:00.000000Z",
                       "series": {"count": 3, "lastObservedTime": "2024-04-27T09:59:50.000000Z"}}),
                "10s (x3 over 20m)",
            ),
            (json!({"eventTime": "2024-04-27T10:01:00.000000Z"}), "0s"),
            (json!({}), "<unknown>"),
        ] {
            assert_eq!(interval(&event(fields.clone()), now()), text, "{fields}");
        }
    }

    #[test]
    fn the_latest_time_sorts() {
        let early = event(json!({"lastTimestamp": "2024-04-27T09:00:00Z"}));
        let late = event(json!({"eventTime": "2024-04-27T09:30:00.000000Z"}));
        assert!(order(&early) < order(&late));
        let mut first = early.clone();
        first.metadata.resource_version = Some("9".into());
        let mut second = early;
        second.metadata.resource_version = Some("10".into());
        assert!(order(&first) < order(&second));
    }
}
