//! What `kubectl get` shows, per kind and version.
//!
//! An older version shows what it showed in the last release that stored it, so that scripts that
//! ask for it by name read the columns they know.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceColumnDefinition;

use super::STORED;

/// Name and path of a column.
type Column = (&'static str, &'static str);

const AGE: Column = ("Age", ".metadata.creationTimestamp");
const READY: Column = ("Ready", ".status.conditions[?(@.type==\"Ready\")].status");
const STATUS: Column = ("Status", ".status.conditions[?(@.type==\"Ready\")].message");
const URL: Column = ("URL", ".spec.url");
const TAGS: Column = ("Tags", ".status.lastScanResult.tagCount");
const LAST_SCAN: Column = ("Last scan", ".status.lastScanResult.scanTime");
const LAST_RUN: Column = ("Last run", ".status.lastAutomationRunTime");

/// The columns of a kind in a version.
pub(super) fn of(kind: &str, version: &str) -> Vec<CustomResourceColumnDefinition> {
    let columns: &[Column] = match (kind, version) {
        ("GitRepository", "v1beta1") => &[URL, READY, STATUS, AGE],
        ("GitRepository", _) => &[URL, AGE, READY, STATUS],
        ("Kustomization", "v1beta1") => &[READY, STATUS, AGE],
        ("Kustomization", _) => &[AGE, READY, STATUS],
        ("ImageRepository", STORED) => &[
            ("Image", ".spec.image"),
            TAGS,
            READY,
            STATUS,
            LAST_SCAN,
            AGE,
        ],
        ("ImageRepository", _) => &[LAST_SCAN, TAGS],
        ("ImagePolicy", STORED) => &[
            ("Image", ".status.latestRef.name"),
            ("Tag", ".status.latestRef.tag"),
            READY,
            STATUS,
            AGE,
        ],
        // A column shows one value, so name and tag together need a field that holds both.
        ("ImagePolicy", _) => &[("LatestImage", ".status.latestImage")],
        ("ImageUpdateAutomation", STORED) => &[READY, STATUS, LAST_RUN, AGE],
        ("ImageUpdateAutomation", _) => &[LAST_RUN],
        _ => &[],
    };
    let definition = |&(name, json_path): &Column| CustomResourceColumnDefinition {
        name: name.to_owned(),
        json_path: json_path.to_owned(),
        type_: if name == AGE.0 { "date" } else { "string" }.to_owned(),
        // Times take much room; in v1 they are for `-o wide`.
        priority: (version == STORED && matches!(name, "Last scan" | "Last run")).then_some(1),
        ..CustomResourceColumnDefinition::default()
    };
    columns.iter().map(definition).collect()
}
