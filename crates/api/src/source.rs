//! `source.toolkit.fluxcd.io`: where manifests come from.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::GoDuration;
use crate::meta::{AccessFrom, LocalObjectReference};
use crate::open_enum::{is_false, open_enum};
use crate::schema;

/// What to fetch from a Git repository, from where and how often.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "source.toolkit.fluxcd.io",
    version = "v1",
    kind = "GitRepository",
    plural = "gitrepositories",
    namespaced,
    status = "GitRepositoryStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A Git repository, fetched at an interval and offered to Kustomizations as an artifact.",
    shortname = "gitrepo",
    category = "all",
    category = "fluxcd",
    category = "fluxcd-sources"
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.serviceAccountName) || (has(self.provider) && (self.provider == 'azure' || self.provider == 'aws'))",
    "message": "serviceAccountName can only be set when provider is 'azure' or 'aws'",
}]))]
pub struct GitRepositorySpec {
    /// Address of the repository: `http://`, `https://` or `ssh://`.
    #[schemars(extend("pattern" = "^(http|https|ssh)://.*$"))]
    pub url: String,

    /// How often to look for a new commit.
    #[schemars(extend("pattern" = schema::DURATION))]
    pub interval: GoDuration,

    /// Longest time a Git operation may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = schema::TIMEOUT, "default" = "60s"))]
    pub timeout: Option<GoDuration>,

    /// What to check out; the branch `master` when left out.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<GitRepositoryRef>,

    /// Secret with the credentials: `username` and `password` or `bearerToken` for HTTP, `identity`
    /// and `known_hosts` for SSH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,

    /// Who issues the credentials; `generic` (the Secret itself) when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<GitProvider>,

    /// ServiceAccount whose identity signs in to the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,

    /// Secret with `address`, `username` and `password` of a proxy to the Git server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_secret_ref: Option<LocalObjectReference>,

    /// Signatures to demand of what is checked out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<GitRepositoryVerification>,

    /// Files to leave out of the artifact, in the syntax of `.gitignore`, after the patterns of
    /// `.sourceignore` files. Any pattern of either replaces the built-in ones (media, archives, CI
    /// configuration), but for Git's own files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore: Option<String>,

    /// Stops fetching while true; what was fetched stays available.
    #[serde(default, skip_serializing_if = "is_false")]
    pub suspend: bool,

    /// Checks out submodules too, with the same credentials.
    #[serde(default, skip_serializing_if = "is_false")]
    pub recurse_submodules: bool,

    /// Other GitRepositories of this namespace whose files are copied into this artifact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<GitRepositoryInclude>,

    /// Directories to check out, each of which must exist; everything when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sparse_checkout: Vec<String>,

    /// v1beta1 and v1beta2 only: the Git library of old releases; has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_implementation: Option<GitImplementation>,

    /// v1beta1 and v1beta2 only: reserved there and never implemented; has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_from: Option<AccessFrom>,
}

open_enum! {
    /// Who issues the credentials for a Git server.
    pub enum GitProvider {
        /// The Secret holds them.
        #[default]
        Generic = "generic",
        /// AWS, by the identity of a workload.
        Aws = "aws",
        /// Azure DevOps, by the identity of a workload.
        Azure = "azure",
        /// A GitHub App, whose key the Secret holds.
        Github = "github",
    }
}

open_enum! {
    /// The Git library that old releases offered a choice of.
    pub enum GitImplementation {
        /// go-git.
        #[default]
        GoGit = "go-git",
        /// libgit2.
        Libgit2 = "libgit2",
    }
}

/// Which commit of a Git repository is meant. Of several fields the first of these counts: `commit`,
/// `name`, `tag`, `semver`, `branch`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitRepositoryRef {
    /// Branch whose head to check out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,

    /// Tag to check out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,

    /// Range of semantic versions; the highest tag within is checked out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub semver: Option<String>,

    /// Full name of a reference, for example `refs/pull/420/head`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,

    /// Id of the commit to check out, all 40 digits; `branch` names the branch that it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// Which signatures a GitRepository demands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitRepositoryVerification {
    /// What must be signed: the commit (`HEAD`), the tag (`Tag`) or both (`TagAndHEAD`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "HEAD"))]
    pub mode: Option<VerificationMode>,

    /// Secret with the public keys of the trusted authors.
    // v1beta1 did not ask for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub secret_ref: Option<LocalObjectReference>,
}

open_enum! {
    /// What must carry a signature.
    pub enum VerificationMode {
        /// The commit; the spelling of old versions.
        HeadLowercase = "head",
        /// The commit.
        #[default]
        Head = "HEAD",
        /// The tag.
        Tag = "Tag",
        /// The tag and the commit it points to.
        TagAndHead = "TagAndHEAD",
    }
}

/// Copies files of another GitRepository into the artifact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitRepositoryInclude {
    /// The GitRepository to copy from.
    pub repository: LocalObjectReference,

    /// Path in its artifact to copy; its root when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_path: Option<String>,

    /// Path in this artifact to copy to; a directory with the name of the repository when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_path: Option<String>,
}

/// What was fetched last, and how that went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitRepositoryStatus {
    /// Generation of the spec that was acted upon last; -1 before the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// State of this object in the terms of Kubernetes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,

    /// The artifact of the last successful fetch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,

    /// The artifacts that were copied in, in the order of `spec.include`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub included_artifacts: Vec<Artifact>,

    /// `spec.ignore` of the current artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_ignore: Option<String>,

    /// `spec.include` of the current artifact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed_include: Vec<GitRepositoryInclude>,

    /// `spec.recurseSubmodules` of the current artifact.
    #[serde(default, skip_serializing_if = "is_false")]
    pub observed_recurse_submodules: bool,

    /// `spec.sparseCheckout` of the current artifact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed_sparse_checkout: Vec<String>,

    /// What the verified signature belongs to; absent when nothing was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_verification_mode: Option<String>,

    /// Value of the annotation `reconcile.fluxcd.io/requestedAt` that was acted upon last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,

    /// v1beta1 and v1beta2 only: address of the newest artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,

    /// v1beta2 only: checksum over the settings that shape the artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_config_checksum: Option<String>,
}

/// A tarball of the files of one revision, offered over HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
// `digest` and `revision` may be missing in a status that v1beta1 or v1beta2 wrote.
#[schemars(extend("required" = ["digest", "lastUpdateTime", "path", "revision", "url"]))]
pub struct Artifact {
    /// Digest of the tarball, for example `sha256:` and 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(extend("pattern" = schema::DIGEST))]
    pub digest: String,

    /// When the artifact was made.
    #[schemars(schema_with = "schema::time")]
    pub last_update_time: Time,

    /// Path of the tarball below the root of the file server.
    pub path: String,

    /// What the files are of: `<branch or tag>@<algorithm>:<commit id>`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub revision: String,

    /// Address of the tarball.
    pub url: String,

    /// Size of the tarball in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,

    /// Further facts of the source, for example OCI annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,

    /// v1beta1 only: SHA-256 of the tarball without the name of the algorithm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
}
