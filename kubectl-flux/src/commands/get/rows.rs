//! The columns of each kind and how a row comes from an object. Pure.

use flux_api::names;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use kube::api::DynamicObject;

use crate::cluster::View;
use crate::commands::reconcile::latest_ref;
use crate::commands::suspend::REASON;
use crate::kind::Kind;
use crate::output::human;

/// What a table shows besides a kind's own columns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Style {
    /// A column with the namespace.
    pub(super) with_namespace: bool,
    /// `kind/name` instead of the name.
    pub(super) with_kind: bool,
    /// The source of a Kustomization.
    pub(super) show_source: bool,
    /// Where things come from, and how old the objects are.
    pub(super) wide: bool,
    /// The labels of the objects.
    pub(super) show_labels: bool,
}

/// Headers of the table of a kind.
pub(super) fn headers(kind: Kind, style: Style) -> Vec<&'static str> {
    let mut headers = Vec::new();
    if style.with_namespace {
        headers.push("Namespace");
    }
    headers.push("Name");
    if shows_source(kind, style) {
        headers.push("Source");
    }
    headers.extend(match kind {
        Kind::GitRepository | Kind::Kustomization => &["Revision", "Suspended"][..],
        Kind::ImageRepository => &["Last scan", "Suspended"],
        Kind::ImagePolicy => &["Image", "Tag"],
        Kind::ImageUpdateAutomation => &["Last run", "Suspended"],
    });
    headers.extend(["Ready", "Message"]);
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
    let text = |pointer: &str| object.text(pointer).unwrap_or_default().to_owned();
    let name = object.metadata.name.clone().unwrap_or_default();
    let mut row = Vec::new();
    if style.with_namespace {
        row.push(object.metadata.namespace.clone().unwrap_or_default());
    }
    row.push(if style.with_kind {
        format!("{}/{name}", kind.name().to_ascii_lowercase())
    } else {
        name
    });
    if shows_source(kind, style) {
        row.push(source(object));
    }
    let suspended = suspended(object);
    let (ready, message) = state(object);
    match kind {
        Kind::GitRepository => {
            row.extend([
                human::short_digests(&text("/status/artifact/revision")),
                suspended,
            ]);
        }
        Kind::Kustomization => {
            row.extend([
                human::short_digests(&text("/status/lastAppliedRevision")),
                suspended,
            ]);
        }
        Kind::ImageRepository => {
            row.extend([
                local_time(&text("/status/lastScanResult/scanTime")),
                suspended,
            ]);
        }
        Kind::ImageUpdateAutomation => {
            row.extend([
                local_time(&text("/status/lastAutomationRunTime")),
                suspended,
            ]);
        }
        Kind::ImagePolicy => {
            let (image, tag) = image_and_tag(object);
            row.extend([image, tag]);
        }
    }
    let shortens = matches!(kind, Kind::GitRepository | Kind::Kustomization);
    row.extend([
        ready,
        if shortens {
            human::short_digests(&message)
        } else {
            message
        },
    ]);
    if style.wide {
        row.extend([origin(kind, object), age(object)]);
    }
    if style.show_labels {
        row.push(labels(object));
    }
    row
}

/// LABELS, as kubectl has it.
pub(super) fn labels(object: &DynamicObject) -> String {
    let labels = object.metadata.labels.iter().flatten();
    let labels: Vec<String> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    match labels.is_empty() {
        true => "<none>".to_owned(),
        false => labels.join(","),
    }
}

/// SUSPENDED, with the reason that was given for it.
pub(super) fn suspended(object: &DynamicObject) -> String {
    if !object.is_suspended() {
        return "False".to_owned();
    }
    let annotations = object.metadata.annotations.as_ref();
    match annotations.and_then(|all| all.get(REASON)) {
        Some(reason) => format!("True ({reason})"),
        None => "True".to_owned(),
    }
}

fn shows_source(kind: Kind, style: Style) -> bool {
    style.show_source && kind == Kind::Kustomization
}

/// READY and MESSAGE.
pub(super) fn state(object: &DynamicObject) -> (String, String) {
    match object.condition(names::READY) {
        Some(ready) => (ready.status.to_owned(), ready.message.to_owned()),
        None => ("False".to_owned(), "waiting to be reconciled".to_owned()),
    }
}

fn image_and_tag(object: &DynamicObject) -> (String, String) {
    let text = |pointer: &str| object.text(pointer).unwrap_or_default().to_owned();
    if object.at("/status/latestRef").is_some() {
        return (
            text("/status/latestRef/name"),
            text("/status/latestRef/tag"),
        );
    }
    let whole = latest_ref(object);
    match whole.rsplit_once(':') {
        Some((image, tag)) if !tag.contains('/') => (image.to_owned(), tag.to_owned()),
        _ => (whole, String::new()),
    }
}

/// `Kind/name` of a Kustomization's source, with the namespace if it is another one.
fn source(object: &DynamicObject) -> String {
    let text = |pointer: &str| object.text(pointer).unwrap_or_default();
    let own = object.metadata.namespace.as_deref().unwrap_or_default();
    let (kind, name) = (text("/spec/sourceRef/kind"), text("/spec/sourceRef/name"));
    match object.text("/spec/sourceRef/namespace") {
        Some(namespace) if namespace != own => format!("{kind}/{namespace}/{name}"),
        _ => format!("{kind}/{name}"),
    }
}

/// What `-o wide` says about the origin of what an object does.
pub(super) fn origin(kind: Kind, object: &DynamicObject) -> String {
    let text = |pointer: &str| object.text(pointer).unwrap_or_default().to_owned();
    match kind {
        Kind::GitRepository => text("/spec/url"),
        Kind::ImageRepository => text("/spec/image"),
        Kind::ImagePolicy => text("/spec/imageRepositoryRef/name"),
        Kind::Kustomization => format!("{}:{}", source(object), text("/spec/path")),
        Kind::ImageUpdateAutomation => {
            format!("{}:{}", source(object), text("/spec/update/path"))
        }
    }
}

pub(super) fn age(object: &DynamicObject) -> String {
    let Some(created) = &object.metadata.creation_timestamp else {
        return String::new();
    };
    let age = Timestamp::now().duration_since(created.0);
    human::age(age.unsigned_abs())
}

/// A time in the person's zone, in the format in which Go prints RFC 3339.
fn local_time(text: &str) -> String {
    in_zone(text, TimeZone::system())
}

fn in_zone(text: &str, zone: TimeZone) -> String {
    let Ok(time) = text.parse::<Timestamp>() else {
        return text.to_owned();
    };
    let local: Zoned = time.to_zoned(zone);
    if local.offset().is_zero() {
        time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    } else {
        local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const REVISION: &str = "main@sha1:f9875e137abb0d4f810b4042fa98713adaca2701";

    fn object(kind: Kind, data: Value) -> DynamicObject {
        DynamicObject::new("apps", &kind.resource())
            .within("foo")
            .data(data)
    }

    fn ready(message: &str) -> Value {
        json!([{"type": "Ready", "status": "True", "message": message}])
    }

    #[test]
    fn a_row_fits_its_headers() {
        for kind in Kind::ALL {
            for bits in 0..32 {
                let style = Style {
                    with_namespace: bits & 1 != 0,
                    with_kind: bits & 2 != 0,
                    show_source: bits & 4 != 0,
                    wide: bits & 8 != 0,
                    show_labels: bits & 16 != 0,
                };
                let object = object(kind, json!({}));
                assert_eq!(
                    headers(kind, style).len(),
                    row(kind, &object, style).len(),
                    "{kind:?} {style:?}"
                );
            }
        }
    }

    #[test]
    fn sources_and_kustomizations_show_short_revisions() {
        let source = json!({"status": {
            "artifact": {"revision": REVISION},
            "conditions": ready(&format!("stored artifact for revision '{REVISION}'")),
        }});
        assert_eq!(
            row(
                Kind::GitRepository,
                &object(Kind::GitRepository, source),
                Style::default()
            ),
            [
                "apps",
                "main@sha1:f9875e13",
                "False",
                "True",
                "stored artifact for revision 'main@sha1:f9875e13'"
            ]
        );
        let suspended = json!({
            "spec": {"suspend": true, "sourceRef":
                {"kind": "GitRepository", "name": "apps", "namespace": "bar"}},
            "status": {"lastAppliedRevision": REVISION},
        });
        let style = Style {
            with_namespace: true,
            with_kind: true,
            show_source: true,
            wide: false,
            show_labels: false,
        };
        assert_eq!(
            row(
                Kind::Kustomization,
                &object(Kind::Kustomization, suspended),
                style
            ),
            [
                "foo",
                "kustomization/apps",
                "GitRepository/bar/apps",
                "main@sha1:f9875e13",
                "True",
                "False",
                "waiting to be reconciled"
            ]
        );
    }

    #[test]
    fn policies_show_image_and_tag_whole() {
        let image = "registry.k8s.io/e2e-test-images/agnhost";
        let digest = "c2448c95e262b10f9c1137bf1472f51c04dffca76966ff15eff409d0b300c0b0";
        let status = json!({"status": {
            "latestRef": {"name": image, "tag": "2.51"},
            "conditions": ready(digest),
        }});
        assert_eq!(
            row(
                Kind::ImagePolicy,
                &object(Kind::ImagePolicy, status),
                Style::default()
            ),
            ["apps", image, "2.51", "True", digest]
        );
        let old = json!({"status": {"latestImage": format!("{image}:2.51")}});
        let row = row(
            Kind::ImagePolicy,
            &object(Kind::ImagePolicy, old),
            Style::default(),
        );
        assert_eq!(row[1..3], [image, "2.51"]);
    }

    #[test]
    fn times_are_local() {
        let text = "2024-04-27T09:52:39Z";
        assert_eq!(in_zone(text, TimeZone::UTC), text);
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(in_zone(text, zone), "2024-04-27T11:52:39+02:00");
        assert_eq!(in_zone("", TimeZone::UTC), "");
    }

    #[test]
    fn headers_are_flux_s() {
        let plain = Style::default();
        assert_eq!(
            headers(Kind::GitRepository, plain),
            ["Name", "Revision", "Suspended", "Ready", "Message"]
        );
        assert_eq!(
            headers(
                Kind::ImageRepository,
                Style {
                    with_namespace: true,
                    ..plain
                }
            ),
            [
                "Namespace",
                "Name",
                "Last scan",
                "Suspended",
                "Ready",
                "Message"
            ]
        );
        assert_eq!(
            headers(Kind::ImagePolicy, plain),
            ["Name", "Image", "Tag", "Ready", "Message"]
        );
    }
}
