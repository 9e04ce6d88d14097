//! ImageUpdateAutomation: writes selected images into manifests in Git.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ImageRef;
use crate::duration::GoDuration;
use crate::meta::LocalObjectReference;
use crate::open_enum::{is_false, open_enum};
use crate::schema;
use crate::source::GitRepositoryRef;

/// Which repository to update, where in it and how to commit.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "image.toolkit.fluxcd.io",
    version = "v1",
    kind = "ImageUpdateAutomation",
    plural = "imageupdateautomations",
    namespaced,
    status = "ImageUpdateAutomationStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Keeps marked image references in a Git repository at what ImagePolicies select.",
    shortname = "iua",
    shortname = "imgupd",
    shortname = "imgauto",
    category = "all",
    category = "fluxcd",
    category = "fluxcd-images"
)]
#[serde(rename_all = "camelCase")]
pub struct ImageUpdateAutomationSpec {
    /// How often to look, also when no image and no commit is new.
    #[schemars(extend("pattern" = schema::DURATION))]
    pub interval: GoDuration,

    /// The GitRepository that says where the manifests are and how to sign in.
    pub source_ref: GitSourceReference,

    /// What to check out, how to commit and where to push. Needed, although the schema does not
    /// ask for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<GitSpec>,

    /// Which files to update, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = { "strategy": "Setters" }))]
    pub update: Option<UpdateStrategy>,

    /// ImagePolicies to obey, by their labels; all of this namespace when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub policy_selector: Option<LabelSelector>,

    /// Stops updating while true.
    #[serde(default, skip_serializing_if = "is_false")]
    pub suspend: bool,
}

/// A GitRepository in this or another namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitSourceReference {
    /// API group and version of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,

    /// Kind of the source: `GitRepository`.
    #[schemars(extend("default" = "GitRepository"))]
    pub kind: GitSourceKind,

    /// Name of the source.
    pub name: String,

    /// Namespace of the source; the namespace of this object when left out.
    #[serde(
        default,
        deserialize_with = "crate::meta::not_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub namespace: Option<String>,
}

open_enum! {
    /// The kinds that can be committed to.
    pub enum GitSourceKind {
        /// A Git repository.
        #[default]
        GitRepository = "GitRepository",
    }
}

/// What to check out, how to commit and where to push.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitSpec {
    /// What to check out; as the GitRepository says when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkout: Option<GitCheckoutSpec>,

    /// How to commit.
    pub commit: CommitSpec,

    /// Where to push; the branch that was checked out when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push: Option<PushSpec>,
}

/// What to check out before updating.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitCheckoutSpec {
    /// The reference; a branch, unless `push` names one.
    #[serde(rename = "ref")]
    pub reference: GitRepositoryRef,
}

/// How to commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommitSpec {
    /// Author and committer.
    pub author: CommitUser,

    /// Go template of the commit message, over `.AutomationObject`, `.Changed` and `.Values`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_template: Option<String>,

    /// What the template sees as `.Values`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub message_template_values: BTreeMap<String, String>,

    /// Key to sign commits with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<SigningKey>,
}

/// A person as Git knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommitUser {
    /// Mail address.
    pub email: String,

    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Key to sign commits with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SigningKey {
    /// Secret with the private key (`git.asc` for GPG, `identity` for SSH) and its passphrase.
    pub secret_ref: LocalObjectReference,

    /// Kind of the key; `gpg` when left out.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<SigningKeyType>,
}

open_enum! {
    /// Kinds of keys that sign commits.
    pub enum SigningKeyType {
        /// OpenPGP.
        #[default]
        Gpg = "gpg",
        /// SSH.
        Ssh = "ssh",
    }
}

/// Where to push.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushSpec {
    /// Branch to push to; created from the checked out one if it does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,

    /// Refspec to push in addition to `branch`, which is always pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refspec: Option<String>,

    /// Options for the server, as for `git push -o`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// Which files to update, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateStrategy {
    /// How: `Setters` changes the values that a comment marks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "Setters"))]
    pub strategy: Option<UpdateStrategyName>,

    /// Directory of the repository to update files in; its root when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

open_enum! {
    /// Ways to update manifests.
    pub enum UpdateStrategyName {
        /// Values that a comment marks are changed.
        #[default]
        Setters = "Setters",
    }
}

/// What was pushed last, and how that went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageUpdateAutomationStatus {
    /// Generation of the spec that was acted upon last; -1 before the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// State of this object in the terms of Kubernetes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,

    /// When the repository was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub last_automation_run_time: Option<Time>,

    /// Id of the commit that was pushed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_push_commit: Option<String>,

    /// When it was pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub last_push_time: Option<Time>,

    /// Images that the policies had selected at the last run, by name of the policy.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub observed_policies: BTreeMap<String, ImageRef>,

    /// Revision of the repository at the last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_source_revision: Option<String>,

    /// Value of the annotation `reconcile.fluxcd.io/requestedAt` that was acted upon last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}
