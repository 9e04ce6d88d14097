//! What a Kustomization reports.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::GoDuration;
use crate::inventory::ResourceRef;
use crate::schema;

/// What was applied last, and how that went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KustomizationStatus {
    /// Generation of the spec that was acted upon last; -1 before the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// State of this object in the terms of Kubernetes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,

    /// Revision of the source that was applied last with success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_applied_revision: Option<String>,

    /// Revision of the source that was tried last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_attempted_revision: Option<String>,

    /// Revision of the source's own source, for example of the Git repository an OCI artifact was
    /// made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_applied_origin_revision: Option<String>,

    /// Everything that this Kustomization applied and would prune.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inventory: Option<ResourceInventory>,

    /// The last five different results, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,

    /// Value of the annotation `reconcile.fluxcd.io/requestedAt` that was acted upon last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,

    /// v1beta1 only: what that version kept in place of an inventory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Snapshot>,
}

/// The objects that a Kustomization applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceInventory {
    /// One entry per object.
    pub entries: Vec<ResourceRef>,
}

/// A result of applying, and how often it came about in a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// Digest of what was applied.
    pub digest: String,

    /// When this result first came about.
    #[schemars(schema_with = "schema::time")]
    pub first_reconciled: Time,

    /// When this result last came about.
    #[schemars(schema_with = "schema::time")]
    pub last_reconciled: Time,

    /// How long the last time took.
    pub last_reconciled_duration: GoDuration,

    /// Reason of the Ready condition.
    pub last_reconciled_status: String,

    /// How often this result came about.
    pub total_reconciliations: i64,

    /// `revision` and, where known, `originRevision`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// What v1beta1 kept in place of an inventory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Checksum of the manifests.
    pub checksum: String,

    /// Kinds that were applied, by namespace.
    pub entries: Vec<SnapshotEntry>,
}

/// Kinds that v1beta1 applied to one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotEntry {
    /// The namespace; absent for objects that belong to none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,

    /// API group and version by kind.
    pub kinds: BTreeMap<String, String>,
}
