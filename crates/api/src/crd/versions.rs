//! In what the schemas of older versions differ from v1.
//!
//! Fields are the same everywhere. Limits and defaults are those that Flux's last release with the
//! version had, so that what was accepted then is accepted now. Fields that the version did not
//! have take the limits of v1, but no default.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSON, JSONSchemaProps};

use super::schema::at;

/// A difference of one field.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// Exactly these fields are required.
    Required(&'static [&'static str]),
    /// Exactly these words are allowed.
    Words(&'static [&'static str]),
    /// This is the default.
    Default(&'static str),
    /// There is no default.
    NoDefault,
    /// There is no pattern.
    NoPattern,
    /// There is no limit to the number of items.
    NoMaxItems,
    /// There are no CEL rules.
    NoRules,
}

use Change::{Default, NoDefault, NoMaxItems, NoPattern, NoRules, Required, Words};

/// The versions that a difference concerns.
type Versions = &'static [&'static str];

const V1BETA1: Versions = &["v1beta1"];
const V1BETA2: Versions = &["v1beta2"];
const BOTH: Versions = &["v1beta1", "v1beta2"];

const DIFFERENCES: &[(&str, Versions, &str, Change)] = &[
    ("GitRepository", BOTH, "spec", NoRules),
    (
        "GitRepository",
        BOTH,
        "spec.gitImplementation",
        Default("go-git"),
    ),
    ("GitRepository", BOTH, "spec.verify.mode", Words(&["head"])),
    ("GitRepository", BOTH, "spec.verify.mode", NoDefault),
    (
        "GitRepository",
        V1BETA2,
        "spec.verify",
        Required(&["mode", "secretRef"]),
    ),
    ("GitRepository", V1BETA1, "spec.verify", Required(&["mode"])),
    ("GitRepository", V1BETA1, "spec.interval", NoPattern),
    ("GitRepository", V1BETA1, "spec.timeout", NoPattern),
    (
        "GitRepository",
        V1BETA2,
        "status.artifact",
        Required(ARTIFACT_V1BETA2),
    ),
    (
        "GitRepository",
        V1BETA2,
        "status.includedArtifacts[]",
        Required(ARTIFACT_V1BETA2),
    ),
    (
        "GitRepository",
        V1BETA1,
        "status.artifact",
        Required(ARTIFACT_V1BETA1),
    ),
    (
        "GitRepository",
        V1BETA1,
        "status.includedArtifacts[]",
        Required(ARTIFACT_V1BETA1),
    ),
    ("Kustomization", BOTH, "spec.kubeConfig", NoRules),
    (
        "Kustomization",
        BOTH,
        "spec.kubeConfig",
        Required(&["secretRef"]),
    ),
    (
        "Kustomization",
        V1BETA2,
        "spec.sourceRef.kind",
        Words(&["OCIRepository", "GitRepository", "Bucket"]),
    ),
    (
        "Kustomization",
        V1BETA1,
        "spec.sourceRef.kind",
        Words(&["GitRepository", "Bucket"]),
    ),
    ("Kustomization", V1BETA1, "spec.interval", NoPattern),
    ("Kustomization", V1BETA1, "spec.retryInterval", NoPattern),
    ("Kustomization", V1BETA1, "spec.timeout", NoPattern),
    (
        "Kustomization",
        V1BETA1,
        "spec.postBuild.substituteFrom[].optional",
        NoDefault,
    ),
    ("ImageRepository", V1BETA1, "spec.provider", NoDefault),
    ("ImageRepository", V1BETA1, "spec.exclusionList", NoDefault),
    ("ImageRepository", V1BETA1, "spec.exclusionList", NoMaxItems),
    ("ImagePolicy", V1BETA1, "spec", NoRules),
    (
        "ImagePolicy",
        V1BETA1,
        "spec.digestReflectionPolicy",
        NoDefault,
    ),
    (
        "ImageUpdateAutomation",
        V1BETA1,
        "spec.update",
        Required(&["strategy"]),
    ),
];

const ARTIFACT_V1BETA2: &[&str] = &["lastUpdateTime", "path", "revision", "url"];
const ARTIFACT_V1BETA1: &[&str] = &["lastUpdateTime", "path", "url"];

/// Turns the schema of v1 into that of an older version.
pub(super) fn differ(kind: &str, version: &str, root: &mut JSONSchemaProps) {
    for (of, versions, path, change) in DIFFERENCES {
        if *of != kind || !versions.contains(&version) {
            continue;
        }
        // A test makes sure that every path of the table exists.
        if let Some(field) = at(root, path) {
            change.apply(field);
        }
    }
}

impl Change {
    fn apply(self, field: &mut JSONSchemaProps) {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        match self {
            Required(names) => field.required = Some(owned(names)),
            Words(words) => {
                field.enum_ = Some(words.iter().map(|word| JSON((*word).into())).collect());
            }
            Default(value) => field.default = Some(JSON(value.into())),
            NoDefault => field.default = None,
            NoPattern => field.pattern = None,
            NoMaxItems => field.max_items = None,
            NoRules => field.x_kubernetes_validations = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_names_a_field_that_it_changes() {
        for crd in &mut crate::crd::all() {
            let kind = crd.spec.names.kind.clone();
            let stored = crd.spec.versions[0].schema.as_mut().unwrap();
            let root = stored.open_api_v3_schema.as_mut().unwrap();
            for (_, _, path, change) in DIFFERENCES.iter().filter(|row| row.0 == kind) {
                let field = at(root, path).unwrap_or_else(|| panic!("{kind}: no field {path}"));
                let mut changed = field.clone();
                change.apply(&mut changed);
                assert_ne!(*field, changed, "{kind} {path}: {change:?} changes nothing");
            }
        }
    }
}
