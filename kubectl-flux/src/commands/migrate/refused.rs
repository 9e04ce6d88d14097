//! What today's Flux would refuse in an object that this operator accepts. Pure.

use serde_json::Value;

use super::template;
use super::versions::Release;

/// The release of Flux that a cluster would be given back to.
pub(crate) const TODAY: Release = Release::LATEST;

/// The message template of an automation.
const TEMPLATE: &str = "/spec/git/commit/messageTemplate";

/// Fields that only old versions have.
const FIELDS: &[(&str, &str, Mend)] = &[
    ("GitRepository", "/spec/gitImplementation", Mend::Remove),
    ("GitRepository", "/spec/accessFrom", Mend::Remove),
    ("Kustomization", "/spec/validation", Mend::Remove),
    (
        "Kustomization",
        "/spec/patchesStrategicMerge",
        Mend::ToPatches { has_target: false },
    ),
    (
        "Kustomization",
        "/spec/patchesJson6902",
        Mend::ToPatches { has_target: true },
    ),
];

/// Fields that are required since v1.
const REQUIRED: &[(&str, &str, &str)] = &[("GitRepository", "/spec/verify", "secretRef")];

/// How a finding is mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mend {
    /// The value becomes this version.
    Version(&'static str),
    /// The field goes: it has had no effect for long.
    Remove,
    /// The items move to `spec.patches`.
    ToPatches {
        /// Whether they name their target, or are found by what they say.
        has_target: bool,
    },
    /// The template is written in today's words.
    Template,
    /// Only a person can tell.
    ByHand,
}

/// Something that would be refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Where, as an RFC 6901 pointer.
    pub(crate) pointer: String,
    /// What is wrong with it.
    pub(crate) problem: String,
    /// What the change is called.
    pub(crate) change: String,
    pub(crate) mend: Mend,
}

/// What a release of Flux refuses about an object; `prefix` is the pointer to it.
pub(crate) fn findings(object: &Value, prefix: &str, release: Release) -> Vec<Finding> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let Some((group, version)) = text("/apiVersion").and_then(|v| v.split_once('/')) else {
        return of_list(object, prefix, release);
    };
    let kind = text("/kind").unwrap_or_default();
    if !group.ends_with(".toolkit.fluxcd.io") {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut add = |pointer: &str, problem: String, change: String, mend: Mend| {
        found.push(Finding {
            pointer: format!("{prefix}{pointer}"),
            problem,
            change,
            mend,
        });
    };
    let newer = release.newer(group, kind, version);
    if let Some(newer) = newer {
        add(
            "/apiVersion",
            format!("{kind} {version} is not served any more"),
            format!("{kind} {version} -> {newer}"),
            Mend::Version(newer),
        );
    }
    if group == "helm.toolkit.fluxcd.io" || group == "notification.toolkit.fluxcd.io" {
        return found;
    }
    for (of, pointer, mend) in FIELDS {
        if *of != kind || object.pointer(pointer).is_none() {
            continue;
        }
        let field = pointer.trim_start_matches('/').replace('/', ".");
        let has_patches = object.pointer("/spec/patches").is_some();
        let old = ["/spec/patchesStrategicMerge", "/spec/patchesJson6902"];
        let has_both = old.iter().all(|pointer| object.pointer(pointer).is_some());
        let (change, mend) = match mend {
            Mend::ToPatches { .. } if has_patches || has_both => (String::new(), Mend::ByHand),
            Mend::ToPatches { .. } => (format!("{kind} {field} -> spec.patches"), *mend),
            _ => (format!("{kind} {field} removed"), *mend),
        };
        let advice = match mend {
            Mend::ByHand => "; move its items to spec.patches, in the order in which they apply",
            _ => "",
        };
        let problem = format!("{field} is no field of today's {kind}{advice}");
        add(pointer, problem, change, mend);
    }
    for (of, pointer, required) in REQUIRED {
        let lacks = object
            .pointer(pointer)
            .is_some_and(|value| value.get(required).is_none());
        if *of == kind && lacks {
            let field = pointer.trim_start_matches('/').replace('/', ".");
            let problem = format!("{field}.{required} is required");
            add(pointer, problem, String::new(), Mend::ByHand);
        }
    }
    let template = text(TEMPLATE).filter(|_| kind == "ImageUpdateAutomation");
    if let Some(template) = template.filter(|_| release.refuses_updated())
        && (template.contains(".Updated") || template.contains(".Changed.ImageResult"))
    {
        let removed = match template.contains(".Updated") {
            true => ".Updated",
            false => ".Changed.ImageResult",
        };
        let (mend, advice) = match template::rewrite(template) {
            Some(_) => (Mend::Template, ""),
            None => (
                Mend::ByHand,
                "; write it with .Changed, as in {{ range .Changed.Changes }}{{ .NewValue }}{{ \
                 end }}",
            ),
        };
        add(
            TEMPLATE,
            format!("spec.git.commit.messageTemplate uses {removed}, which was removed{advice}"),
            format!("{kind} {removed} -> .Changed in spec.git.commit.messageTemplate"),
            mend,
        );
    }
    found
}

/// The items of a `List`.
fn of_list(object: &Value, prefix: &str, release: Release) -> Vec<Finding> {
    let is_list = object["kind"]
        .as_str()
        .is_some_and(|kind| kind.ends_with("List"));
    let items = object["items"].as_array().filter(|_| is_list);
    items
        .into_iter()
        .flatten()
        .enumerate()
        .flat_map(|(index, item)| findings(item, &format!("{prefix}/items/{index}"), release))
        .collect()
}

/// The value of a message template in today's words.
pub(super) fn rewritten(template: &str) -> Option<String> {
    template::rewrite(template)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_would_be_refused() {
        let image = |template: &str| {
            json!({"apiVersion": "image.toolkit.fluxcd.io/v1", "kind": "ImageUpdateAutomation",
                "spec": {"git": {"commit": {"messageTemplate": template}}}})
        };
        let ks = |spec| {
            json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
                "spec": spec})
        };
        for (object, expected) in [
            (ks(json!({})), vec![]),
            (
                json!({"apiVersion": "source.toolkit.fluxcd.io/v1beta1", "kind": "GitRepository",
                    "spec": {"gitImplementation": "libgit2", "verify": {"mode": "head"}}}),
                vec![
                    ("/apiVersion", Mend::Version("v1")),
                    ("/spec/gitImplementation", Mend::Remove),
                    ("/spec/verify", Mend::ByHand),
                ],
            ),
            (
                ks(json!({"validation": "client", "patchesJson6902": []})),
                vec![
                    ("/spec/validation", Mend::Remove),
                    (
                        "/spec/patchesJson6902",
                        Mend::ToPatches { has_target: true },
                    ),
                ],
            ),
            (
                ks(json!({"patches": [], "patchesStrategicMerge": []})),
                vec![("/spec/patchesStrategicMerge", Mend::ByHand)],
            ),
            (
                image("{{range .Updated.Images}}{{println .}}{{end}}"),
                vec![(TEMPLATE, Mend::Template)],
            ),
            (
                image("{{index .Updated.Images 0}}"),
                vec![(TEMPLATE, Mend::ByHand)],
            ),
            (
                json!({"apiVersion": "v1", "kind": "List", "items": [
                    {"apiVersion": "helm.toolkit.fluxcd.io/v2beta2", "kind": "HelmRelease"}]}),
                vec![("/items/0/apiVersion", Mend::Version("v2"))],
            ),
            (json!({"apiVersion": "v1", "kind": "ConfigMap"}), vec![]),
        ] {
            let found = findings(&object, "", Release::LATEST);
            let found: Vec<_> = found.iter().map(|f| (f.pointer.as_str(), f.mend)).collect();
            assert_eq!(found, expected, "{object}");
        }
    }
}
