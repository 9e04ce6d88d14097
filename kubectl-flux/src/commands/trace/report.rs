//! What `trace` prints, in Flux's layout. Pure.

use flux_api::names;
use kube::ResourceExt;
use kube::api::DynamicObject;

use crate::cluster::View;

/// Width of the column of labels, as in Flux.
const LABELS: usize = 17;

/// The way from an object to its source.
pub(super) struct Report {
    /// `Kind/name`.
    pub(super) object: String,
    pub(super) namespace: Option<String>,
    /// Owners between the object and what a Kustomization applied, nearest first.
    pub(super) owners: Vec<String>,
    pub(super) kustomization: DynamicObject,
    /// None where it is gone or not a GitRepository.
    pub(super) source: Option<DynamicObject>,
}

impl Report {
    /// The text, which begins with an empty line.
    pub(super) fn render(&self) -> String {
        let mut text = "\n".to_owned();
        let mut line = |label: &str, value: &str| {
            if !value.is_empty() {
                text.push_str(&format!("{:LABELS$}{value}\n", format!("{label}:")));
            }
        };
        line("Object", &self.object);
        line("Namespace", self.namespace.as_deref().unwrap_or_default());
        for owner in &self.owners {
            line("Owner", owner);
        }
        line("Status", "Managed by Flux");
        text.push_str("---\n");
        self.kustomization_lines(&mut text);
        text.push_str("---\n");
        self.source_lines(&mut text);
        text
    }

    fn kustomization_lines(&self, text: &mut String) {
        let object = &self.kustomization;
        let field = |pointer: &str| object.text(pointer).unwrap_or_default().to_owned();
        lines(
            text,
            &[
                ("Kustomization", object.name_any()),
                ("Namespace", object.namespace().unwrap_or_default()),
                ("Target", field("/spec/targetNamespace")),
                ("Path", field("/spec/path")),
                ("Revision", field("/status/lastAppliedRevision")),
            ],
        );
        state(text, object);
    }

    fn source_lines(&self, text: &mut String) {
        let reference = |field: &str| {
            let pointer = format!("/spec/sourceRef/{field}");
            self.kustomization.text(&pointer).unwrap_or_default()
        };
        let Some(object) = &self.source else {
            lines(
                text,
                &[
                    (reference("kind"), reference("name").to_owned()),
                    ("Status", "not found, or of a kind that is not shown".into()),
                ],
            );
            return;
        };
        let field = |pointer: &str| object.text(pointer).unwrap_or_default().to_owned();
        lines(
            text,
            &[
                ("GitRepository", object.name_any()),
                ("Namespace", object.namespace().unwrap_or_default()),
                ("URL", field("/spec/url")),
                ("Tag", field("/spec/ref/tag")),
                ("Branch", field("/spec/ref/branch")),
                ("Revision", field("/status/artifact/revision")),
            ],
        );
        state(text, object);
    }
}

fn lines(text: &mut String, values: &[(&str, String)]) {
    for (label, value) in values {
        if !value.is_empty() {
            text.push_str(&format!("{:LABELS$}{value}\n", format!("{label}:")));
        }
    }
}

/// When the object last changed its state, and what it says.
fn state(text: &mut String, object: &DynamicObject) {
    let ready = object.condition(names::READY);
    let conditions = object.at("/status/conditions");
    let time = conditions
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == names::READY)
        .and_then(|condition| condition["lastTransitionTime"].as_str());
    let status = match (object.is_suspended(), ready, time) {
        (true, ..) => "Suspended".to_owned(),
        (_, None, _) => "Unknown".to_owned(),
        (_, Some(ready), Some(time)) if ready.is_true() => format!("Last reconciled at {time}"),
        (_, Some(ready), Some(time)) => format!("Not ready since {time}: {}", ready.reason),
        (_, Some(ready), None) => format!("Ready: {}", ready.status),
    };
    let message = ready.map_or_else(String::new, |ready| ready.message.to_owned());
    lines(text, &[("Status", status), ("Message", message)]);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Report;
    use crate::kind::Kind;
    use kube::api::DynamicObject;

    #[test]
    fn from_a_pod_to_its_commit() {
        let ready = |message: &str| {
            json!([{"type": "Ready", "status": "True", "reason": "R", "message": message,
                    "lastTransitionTime": "2026-01-01T00:00:00Z"}])
        };
        let kustomization = DynamicObject::new("foo", &Kind::Kustomization.resource())
            .within("foo")
            .data(json!({
                "spec": {"path": "./foo", "sourceRef": {"kind": "GitRepository", "name": "apps"}},
                "status": {"lastAppliedRevision": "main@sha1:1",
                           "conditions": ready("Applied revision: main@sha1:1")},
            }));
        let source = DynamicObject::new("apps", &Kind::GitRepository.resource())
            .within("foo")
            .data(json!({
                "spec": {"url": "ssh://git@github.com/o/apps", "ref": {"branch": "main"}},
                "status": {"artifact": {"revision": "main@sha1:1"},
                           "conditions": ready("stored artifact for revision 'main@sha1:1'")},
            }));
        let report = Report {
            object: "Pod/foo-1-a".into(),
            namespace: Some("foo".into()),
            owners: vec!["ReplicaSet/foo-1".into(), "Deployment/foo".into()],
            kustomization,
            source: Some(source),
        };
        assert_eq!(
            report.render(),
            "
Object:          Pod/foo-1-a
Namespace:       foo
Owner:           ReplicaSet/foo-1
Owner:           Deployment/foo
Status:          Managed by Flux
---
Kustomization:   foo
Namespace:       foo
Path:            ./foo
Revision:        main@sha1:1
Status:          Last reconciled at 2026-01-01T00:00:00Z
Message:         Applied revision: main@sha1:1
---
GitRepository:   apps
Namespace:       foo
URL:             ssh://git@github.com/o/apps
Branch:          main
Revision:        main@sha1:1
Status:          Last reconciled at 2026-01-01T00:00:00Z
Message:         stored artifact for revision 'main@sha1:1'
"
        );
    }
}
