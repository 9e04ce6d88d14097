//! One table for objects of several kinds. Pure.

use kube::api::DynamicObject;

use super::rows::{self, Style};
use crate::cluster::View;
use crate::commands::reconcile::latest_ref;
use crate::kind::Kind;
use crate::output::human;

/// Headers of the table.
pub(super) fn headers(style: Style) -> Vec<&'static str> {
    let mut headers = Vec::new();
    if style.with_namespace {
        headers.push("Namespace");
    }
    headers.extend(["Name", "Revision", "Suspended", "Ready", "Message"]);
    if style.wide {
        headers.extend(["From", "Age"]);
    }
    if style.show_labels {
        headers.push("Labels");
    }
    headers
}

/// The row of an object, one cell per header.
pub(super) fn row(kind: Kind, object: &DynamicObject, style: Style) -> Vec<String> {
    let mut row = Vec::new();
    if style.with_namespace {
        row.push(object.metadata.namespace.clone().unwrap_or_default());
    }
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let (ready, message) = rows::state(object);
    row.extend([
        format!("{}/{name}", kind.name().to_ascii_lowercase()),
        revision(kind, object),
        rows::suspended(object),
        ready,
        human::short_digests(&message),
    ]);
    if style.wide {
        row.extend([rows::origin(kind, object), rows::age(object)]);
    }
    if style.show_labels {
        row.push(rows::labels(object));
    }
    row
}

/// How far an object has come: the revision, the tags it knows, the image it chose, or the commit it
/// made.
fn revision(kind: Kind, object: &DynamicObject) -> String {
    let text = |pointer: &str| object.text(pointer).unwrap_or_default().to_owned();
    match kind {
        Kind::GitRepository => human::short_digests(&text("/status/artifact/revision")),
        Kind::Kustomization => human::short_digests(&text("/status/lastAppliedRevision")),
        Kind::ImageRepository => object
            .at("/status/lastScanResult/tagCount")
            .map(|count| format!("{count} tags"))
            .unwrap_or_default(),
        Kind::ImagePolicy => latest_ref(object),
        Kind::ImageUpdateAutomation => human::short_digests(&text("/status/lastPushCommit")),
    }
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use serde_json::json;

    use super::{headers, row};
    use crate::commands::get::rows::Style;
    use crate::kind::Kind;

    #[test]
    fn each_kind_says_how_far_it_is() {
        let sha = "0123456789abcdef0123456789abcdef01234567";
        for (kind, status, expected) in [
            (
                Kind::GitRepository,
                json!({"artifact": {"revision": format!("main@sha1:{sha}")}}),
                "main@sha1:01234567",
            ),
            (
                Kind::ImageRepository,
                json!({"lastScanResult": {"tagCount": 12}}),
                "12 tags",
            ),
            (
                Kind::ImagePolicy,
                json!({"latestRef": {"name": "r.io/app", "tag": "1.2.0"}}),
                "r.io/app:1.2.0",
            ),
            (
                Kind::ImageUpdateAutomation,
                json!({"lastPushCommit": sha}),
                "01234567",
            ),
            (Kind::Kustomization, json!({}), ""),
        ] {
            let object = DynamicObject::new("x", &kind.resource()).data(json!({"status": status}));
            let cells = row(kind, &object, Style::default());
            assert_eq!(cells.len(), headers(Style::default()).len());
            assert_eq!(cells[1], expected);
            assert_eq!(cells[0], format!("{}/x", kind.name().to_ascii_lowercase()));
        }
    }
}
