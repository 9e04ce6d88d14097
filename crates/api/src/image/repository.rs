//! ImageRepository: the tags of an image in a registry.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::GoDuration;
use crate::meta::{AccessFrom, LocalObjectReference};
use crate::open_enum::{is_false, open_enum};
use crate::schema;

/// Which image to look up, where and how often.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "image.toolkit.fluxcd.io",
    version = "v1",
    kind = "ImageRepository",
    plural = "imagerepositories",
    namespaced,
    status = "ImageRepositoryStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "An image in a registry whose tags are listed at an interval.",
    shortname = "imgrepo",
    shortname = "imagerepo"
)]
#[serde(rename_all = "camelCase")]
pub struct ImageRepositorySpec {
    /// Name of the image, without scheme and tag.
    pub image: String,

    /// How often to list the tags.
    #[schemars(extend("pattern" = schema::DURATION))]
    pub interval: GoDuration,

    /// Longest time that listing may take; `interval` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = schema::TIMEOUT))]
    pub timeout: Option<GoDuration>,

    /// Secret of type `kubernetes.io/dockerconfigjson` with the credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,

    /// Who issues the credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "generic"))]
    pub provider: Option<ImageProvider>,

    /// ServiceAccount whose image pull secrets, or whose identity, sign in to the registry.
    #[serde(
        default,
        deserialize_with = "crate::meta::not_empty",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(length(max = 253))]
    pub service_account_name: Option<String>,

    /// Secret with `address`, `username` and `password` of a proxy to the registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_secret_ref: Option<LocalObjectReference>,

    /// Secret with `ca.crt`, and `tls.crt` and `tls.key` to identify as a client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<LocalObjectReference>,

    /// Speaks HTTP without TLS to the registry.
    #[serde(default, skip_serializing_if = "is_false")]
    pub insecure: bool,

    /// Stops listing while true; what was found stays available.
    #[serde(default, skip_serializing_if = "is_false")]
    pub suspend: bool,

    /// Namespaces whose policies may use this repository besides its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_from: Option<AccessFrom>,

    /// Regular expressions of tags to leave out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 25), extend("default" = [r"^.*\.sig$"]))]
    pub exclusion_list: Option<Vec<String>>,
}

open_enum! {
    /// Who issues the credentials for a registry.
    pub enum ImageProvider {
        /// A Secret holds them, or none are needed.
        #[default]
        Generic = "generic",
        /// AWS, by the identity of a workload.
        Aws = "aws",
        /// Azure, by the identity of a workload.
        Azure = "azure",
        /// Google Cloud, by the identity of a workload.
        Gcp = "gcp",
    }
}

/// Which tags were found last, and how that went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageRepositoryStatus {
    /// Generation of the spec that was acted upon last; -1 before the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// State of this object in the terms of Kubernetes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,

    /// Full name of the image, with its registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical_image_name: Option<String>,

    /// What the last listing found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scan_result: Option<ScanResult>,

    /// `spec.exclusionList` of the last listing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed_exclusion_list: Vec<String>,

    /// Value of the annotation `reconcile.fluxcd.io/requestedAt` that was acted upon last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

/// What a listing of tags found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScanResult {
    /// Number of tags, without the excluded ones.
    #[schemars(schema_with = "schema::integer")]
    pub tag_count: i64,

    /// When the tags were listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub scan_time: Option<Time>,

    /// The first ten tags in descending alphabetical order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub latest_tags: Vec<String>,

    /// Checksum over all tags; changes when the tags do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}
