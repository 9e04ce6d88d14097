//! ImagePolicy: which tag of an image to use.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ImageRef;
use crate::duration::GoDuration;
use crate::meta::NamespacedObjectReference;
use crate::open_enum::{is_false, open_enum};
use crate::schema;

/// Of which image to select a tag, and how.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "image.toolkit.fluxcd.io",
    version = "v1",
    kind = "ImagePolicy",
    plural = "imagepolicies",
    namespaced,
    status = "ImagePolicyStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A rule that selects one tag of an ImageRepository.",
    shortname = "imgpol",
    shortname = "imagepol"
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.interval) || (has(self.digestReflectionPolicy) && self.digestReflectionPolicy == 'Always')",
        "message": "spec.interval is only accepted when spec.digestReflectionPolicy is set to 'Always'",
    },
    {
        "rule": "has(self.interval) || !has(self.digestReflectionPolicy) || self.digestReflectionPolicy != 'Always'",
        "message": "spec.interval must be set when spec.digestReflectionPolicy is set to 'Always'",
    },
]))]
pub struct ImagePolicySpec {
    /// The ImageRepository whose tags to select from.
    pub image_repository_ref: NamespacedObjectReference,

    /// How tags are ordered; the last in that order is selected. Exactly one field must be set.
    pub policy: ImagePolicyChoice,

    /// Which tags to consider, and which part of them to order by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_tags: Option<TagFilter>,

    /// Whether to report the digest of the selected tag, and whether to follow its changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "Never"))]
    pub digest_reflection_policy: Option<ReflectionPolicy>,

    /// How often to look up the digest; only with `digestReflectionPolicy: Always`, and needed
    /// there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = schema::DURATION))]
    pub interval: Option<GoDuration>,

    /// Stops selecting while true; the last selection stays.
    #[serde(default, skip_serializing_if = "is_false")]
    pub suspend: bool,
}

/// How tags are ordered. Of several, the first set field counts: `semver`, `alphabetical`,
/// `numerical`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImagePolicyChoice {
    /// As semantic versions; only tags within a range are considered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub semver: Option<SemVerPolicy>,

    /// As text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alphabetical: Option<AlphabeticalPolicy>,

    /// As numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numerical: Option<NumericalPolicy>,
}

/// Orders tags as semantic versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SemVerPolicy {
    /// Range of versions to consider, for example `>=1.2.0 <2.0.0`.
    pub range: String,
}

/// Orders tags as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlphabeticalPolicy {
    /// `asc` selects the last letter of the alphabet, `desc` the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "asc"))]
    pub order: Option<Order>,
}

/// Orders tags as numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NumericalPolicy {
    /// `asc` selects the highest number, `desc` the lowest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "asc"))]
    pub order: Option<Order>,
}

open_enum! {
    /// Direction of an order; the last item is selected.
    pub enum Order {
        /// Ascending: the highest is selected.
        #[default]
        Asc = "asc",
        /// Descending: the lowest is selected.
        Desc = "desc",
    }
}

open_enum! {
    /// Whether a policy reports the digest of the selected tag.
    pub enum ReflectionPolicy {
        /// The digest is looked up again and again.
        Always = "Always",
        /// The digest is looked up once for each selected tag.
        IfNotPresent = "IfNotPresent",
        /// The digest is not looked up.
        #[default]
        Never = "Never",
    }
}

/// Which tags to consider.
///
/// Both fields are written even when empty, as `flux create image policy` does. In the schema they
/// are optional and have no default: `null` drops the one that serde's default would give them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(description = "Which tags to consider.")]
pub struct TagFilter {
    /// Regular expression that a tag must match; it is not anchored.
    #[schemars(extend("default" = null))]
    pub pattern: String,

    /// What to order by instead of the tag, made of the groups of `pattern`, for example `$ts`.
    #[schemars(extend("default" = null))]
    pub extract: String,
}

/// Which tag was selected last, and how that went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImagePolicyStatus {
    /// Generation of the spec that was acted upon last; -1 before the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// State of this object in the terms of Kubernetes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,

    /// The image that is selected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_ref: Option<ImageRef>,

    /// The image that was selected before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_previous_ref: Option<ImageRef>,

    /// Value of the annotation `reconcile.fluxcd.io/requestedAt` that was acted upon last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,

    /// v1beta1 and v1beta2 only: `latestRef` as `name:tag`, kept for clients of those versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_image: Option<String>,

    /// v1beta2 only: `observedPreviousRef` as `name:tag`, kept for clients of that version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_previous_image: Option<String>,
}
