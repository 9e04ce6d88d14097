//! `kustomize.toolkit.fluxcd.io`: what of a source to apply, and how.

mod patch;
mod status;

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::GoDuration;
use crate::meta::{KubeConfigReference, LocalObjectReference, NamespacedObjectKindReference};
use crate::open_enum::{is_false, open_enum};
use crate::schema;

pub use patch::*;
pub use status::*;

/// What of a source to build and apply, and how to follow it up.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kustomize.toolkit.fluxcd.io",
    version = "v1",
    kind = "Kustomization",
    plural = "kustomizations",
    namespaced,
    status = "KustomizationStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A directory of a source that is built and applied to a cluster, again and again.",
    shortname = "ks",
    category = "all",
    category = "fluxcd",
    category = "fluxcd-appliers"
)]
#[serde(rename_all = "camelCase")]
pub struct KustomizationSpec {
    /// How often to apply, also when nothing changed at the source.
    #[schemars(extend("pattern" = schema::DURATION))]
    pub interval: GoDuration,

    /// The source to take the manifests from.
    pub source_ref: CrossNamespaceSourceReference,

    /// Deletes objects that this Kustomization once applied and that are no longer in the source.
    pub prune: bool,

    /// Directory in the source to build; its root when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,

    /// How soon to try again after a failure; `interval` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = schema::DURATION))]
    pub retry_interval: Option<GoDuration>,

    /// Longest time for building, and for health checks; `interval` less 30 s when left out, but at
    /// least 30 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = schema::DURATION))]
    pub timeout: Option<GoDuration>,

    /// Stops applying while true; what was applied stays.
    #[serde(default, skip_serializing_if = "is_false")]
    pub suspend: bool,

    /// Deletes and creates objects again whose immutable fields changed.
    #[serde(default, skip_serializing_if = "is_false")]
    #[schemars(extend("default" = false))]
    pub force: bool,

    /// Waits until everything that was applied is healthy; `healthChecks` is then ignored.
    #[serde(default, skip_serializing_if = "is_false")]
    pub wait: bool,

    /// Kustomizations that must be ready before this one is applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<DependencyReference>,

    /// Objects to wait for after applying.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health_checks: Vec<NamespacedObjectKindReference>,

    /// How to tell the health of kinds that do not follow the conventions of Kubernetes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health_check_exprs: Vec<CustomHealthCheck>,

    /// Namespace to put all objects into, whatever their manifests say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub target_namespace: Option<String>,

    /// Text to put before the names of all objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub name_prefix: Option<String>,

    /// Text to put after the names of all objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub name_suffix: Option<String>,

    /// Labels and annotations to add to all objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub common_metadata: Option<CommonMetadata>,

    /// Changes to make to objects, each a strategic merge patch or a JSON patch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<Patch>,

    /// Container images to replace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,

    /// Directories with kustomize components to apply, relative to `path`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,

    /// Skips components whose directory does not exist.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ignore_missing_components: bool,

    /// Annotations to let kustomize add that tell where objects come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub build_metadata: Vec<BuildMetadata>,

    /// Fields that others own: changes to them are not taken back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<IgnoreRule>,

    /// Replaces variables after the build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_build: Option<PostBuild>,

    /// How to decrypt Secrets of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decryption: Option<Decryption>,

    /// The cluster to apply to; the one this object is in when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [
        {
            "rule": "has(self.configMapRef) || has(self.secretRef)",
            "message": "exactly one of spec.kubeConfig.configMapRef or spec.kubeConfig.secretRef must be specified",
        },
        {
            "rule": "!has(self.configMapRef) || !has(self.secretRef)",
            "message": "exactly one of spec.kubeConfig.configMapRef or spec.kubeConfig.secretRef must be specified",
        },
    ]))]
    pub kube_config: Option<KubeConfigReference>,

    /// ServiceAccount to apply as; that of the operator when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,

    /// What happens to the applied objects when this Kustomization is deleted; as `prune` says
    /// (`MirrorPrune`) when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,

    /// v1beta1 and v1beta2 only: how old releases validated before applying; has no effect, every
    /// apply is validated by the API server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,

    /// v1beta1 and v1beta2 only: strategic merge patches; write `patches` instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::list_of_anything")]
    pub patches_strategic_merge: Vec<serde_json::Value>,

    /// v1beta1 and v1beta2 only: JSON patches; write `patches` instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patches_json6902: Vec<Json6902Patch>,
}

/// A source in this or another namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CrossNamespaceSourceReference {
    /// API group and version of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,

    /// Kind of the source.
    pub kind: SourceKind,

    /// Name of the source.
    pub name: String,

    /// Namespace of the source; the namespace of this Kustomization when left out.
    #[serde(
        default,
        deserialize_with = "crate::meta::not_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub namespace: Option<String>,
}

open_enum! {
    /// The kinds that offer artifacts.
    pub enum SourceKind {
        /// An OCI artifact.
        OciRepository = "OCIRepository",
        /// A Git repository.
        #[default]
        GitRepository = "GitRepository",
        /// An object store.
        Bucket = "Bucket",
        /// An artifact that another program made.
        ExternalArtifact = "ExternalArtifact",
    }
}

/// Another Kustomization that must be ready first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DependencyReference {
    /// Name of the Kustomization.
    pub name: String,

    /// Namespace of the Kustomization; the namespace of this one when left out.
    #[serde(
        default,
        deserialize_with = "crate::meta::not_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub namespace: Option<String>,

    /// CEL expression over `self` and `dep` that must be true as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_expr: Option<String>,
}

/// CEL expressions that tell the health of objects of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomHealthCheck {
    /// API group and version of the objects.
    pub api_version: String,

    /// Kind of the objects; every kind of the group and version when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,

    /// True for an object that reached the state its spec asks for.
    pub current: String,

    /// True for an object that is on its way there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_progress: Option<String>,

    /// True for an object that will not get there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// Labels and annotations for all objects; they win over those of the manifests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommonMetadata {
    /// Annotations to add.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,

    /// Labels to add.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// How to replace `${variables}` in the built manifests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostBuild {
    /// Variables and their values; they win over those of `substituteFrom`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub substitute: BTreeMap<String, String>,

    /// ConfigMaps and Secrets whose data are variables; the last one wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub substitute_from: Vec<SubstituteReference>,

    /// When to substitute: if there are variables (`WithVariables`) or in any case (`Always`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub substitute_strategy: Option<SubstituteStrategy>,
}

/// A ConfigMap or Secret of this namespace whose data are variables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubstituteReference {
    /// `ConfigMap` or `Secret`.
    pub kind: SubstituteKind,

    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// Goes on without the object when it does not exist.
    #[serde(default, skip_serializing_if = "is_false")]
    #[schemars(extend("default" = false))]
    pub optional: bool,
}

open_enum! {
    /// The kinds that can hold variables.
    pub enum SubstituteKind {
        /// A Secret.
        Secret = "Secret",
        /// A ConfigMap.
        #[default]
        ConfigMap = "ConfigMap",
    }
}

open_enum! {
    /// When variables are replaced.
    pub enum SubstituteStrategy {
        /// Only if `postBuild` defines a variable.
        #[default]
        WithVariables = "WithVariables",
        /// Always, so that undefined variables become empty or their default.
        Always = "Always",
    }
}

/// How to decrypt manifests of the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decryption {
    /// The format: `sops`.
    pub provider: DecryptionProvider,

    /// Secret with the private keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,

    /// ServiceAccount whose identity signs in to a key service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
}

open_enum! {
    /// The formats of encrypted manifests.
    pub enum DecryptionProvider {
        /// SOPS.
        #[default]
        Sops = "sops",
    }
}

open_enum! {
    /// What happens to applied objects when their Kustomization is deleted.
    pub enum DeletionPolicy {
        /// They are deleted if `prune` is true.
        #[default]
        MirrorPrune = "MirrorPrune",
        /// They are deleted.
        Delete = "Delete",
        /// They are deleted, and the Kustomization stays until they are gone.
        WaitForTermination = "WaitForTermination",
        /// They stay.
        Orphan = "Orphan",
    }
}

open_enum! {
    /// Annotations of kustomize that tell where objects come from.
    pub enum BuildMetadata {
        /// `config.kubernetes.io/origin`.
        #[default]
        OriginAnnotations = "originAnnotations",
        /// `alpha.config.kubernetes.io/transformations`.
        TransformerAnnotations = "transformerAnnotations",
    }
}

open_enum! {
    /// How old releases validated before applying.
    pub enum Validation {
        /// Not at all.
        #[default]
        None = "none",
        /// In the controller.
        Client = "client",
        /// By a dry run on the API server.
        Server = "server",
    }
}
