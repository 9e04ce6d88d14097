//! Names that Flux gave to things in the cluster: finalizers, annotations, labels, field managers,
//! condition types and reasons.
//!
//! Others read and write them, so they are fixed. The messages that go with them are not here.

/// Finalizer of every kind: lets the operator clean up before an object goes.
pub const FINALIZER: &str = "finalizers.fluxcd.io";

/// Label of what is installed: the distribution that it is of. Flux's own manifests have none.
pub const NAME_LABEL: &str = "app.kubernetes.io/name";
/// Value of [`NAME_LABEL`] by which what we install is told from what upstream's Flux installs.
pub const DISTRIBUTION: &str = "flux-sync";
/// Label of what is installed, by which upstream's tools and ours find it.
pub const PART_OF_LABEL: &str = "app.kubernetes.io/part-of";
/// Value of [`PART_OF_LABEL`].
pub const PART_OF: &str = "flux";
/// Label by which upstream's manifests say of which controller something is. Ours have it too,
/// except on definitions.
pub const COMPONENT_LABEL: &str = "app.kubernetes.io/component";

/// Annotation: any new value asks for a reconcile at once.
pub const REQUESTED_AT: &str = "reconcile.fluxcd.io/requestedAt";

/// Label of Secrets and ConfigMaps whose changes are to be acted upon at once.
pub const WATCH_LABEL: &str = "reconcile.fluxcd.io/watch";
/// Value of [`WATCH_LABEL`].
pub const WATCH_ENABLED: &str = "Enabled";

/// Label of an applied object: name of the Kustomization that owns it.
pub const OWNER_NAME_LABEL: &str = "kustomize.toolkit.fluxcd.io/name";
/// Label of an applied object: namespace of the Kustomization that owns it.
pub const OWNER_NAMESPACE_LABEL: &str = "kustomize.toolkit.fluxcd.io/namespace";

/// Label or annotation of an object; [`DISABLED`] keeps it from being pruned.
pub const PRUNE: &str = "kustomize.toolkit.fluxcd.io/prune";
/// Label or annotation of an object; [`DISABLED`] keeps it from being applied and pruned.
pub const RECONCILE: &str = "kustomize.toolkit.fluxcd.io/reconcile";
/// Label or annotation of an object: how to apply it (`Ignore`, `IfNotPresent`, `Merge`,
/// `Override`).
pub const SSA: &str = "kustomize.toolkit.fluxcd.io/ssa";
/// Label or annotation of an object; [`ENABLED`] recreates it when an immutable field changed.
pub const FORCE: &str = "kustomize.toolkit.fluxcd.io/force";
/// Label or annotation of an object; [`DISABLED`] keeps its variables from being replaced.
pub const SUBSTITUTE: &str = "kustomize.toolkit.fluxcd.io/substitute";
/// Annotation of an object; [`DISABLED`] keeps it from being decrypted.
pub const DECRYPT: &str = "kustomize.toolkit.fluxcd.io/decrypt";
/// Value of the annotations above that switch something off.
pub const DISABLED: &str = "disabled";
/// Value of the annotations above that switch something on.
pub const ENABLED: &str = "enabled";

/// Annotation of an event of a Kustomization: revision of the source.
pub const KUSTOMIZE_EVENT_REVISION: &str = "kustomize.toolkit.fluxcd.io/revision";
/// Annotation of an event of a Kustomization: revision of the source's own source.
pub const KUSTOMIZE_EVENT_ORIGIN_REVISION: &str = "kustomize.toolkit.fluxcd.io/originRevision";
/// Annotation of an event of a Kustomization: whether it should update a commit status.
pub const KUSTOMIZE_EVENT_COMMIT_STATUS: &str = "kustomize.toolkit.fluxcd.io/commit_status";
/// Annotation of an event of a source: revision.
pub const SOURCE_EVENT_REVISION: &str = "source.toolkit.fluxcd.io/revision";
/// Annotation of an event of a source: digest of the artifact.
pub const SOURCE_EVENT_DIGEST: &str = "source.toolkit.fluxcd.io/digest";

/// Annotation of a Deployment of Flux that was taken over: the replicas to give back.
pub const REPLICAS_BEFORE_TAKE_OVER: &str = "flux-sync/replicas-before-take-over";
/// Annotation next to [`REPLICAS_BEFORE_TAKE_OVER`]: what [`RECONCILE`] was before, if anything.
pub const RECONCILE_BEFORE_TAKE_OVER: &str = "flux-sync/reconcile-before-take-over";
/// Annotation of a Kustomization that a take-over suspended, with the value `true`.
pub const SUSPENDED_BY_TAKE_OVER: &str = "flux-sync/suspended-by-take-over";
/// Annotation of an object of Flux under whose name ours stands now: `labels` and `spec` that it
/// had, as JSON.
pub const FORM_BEFORE_TAKE_OVER: &str = "flux-sync/form-before-take-over";

/// Field manager of objects that a Kustomization applies.
pub const APPLY_FIELD_MANAGER: &str = "kustomize-controller";
/// Field manager of the status of a Kustomization.
pub const KUSTOMIZATION_STATUS_FIELD_MANAGER: &str = "gotk-kustomize-controller";
/// Field manager of GitRepositories.
pub const SOURCE_FIELD_MANAGER: &str = "source-controller";
/// Field manager of ImageRepositories and ImagePolicies.
pub const IMAGE_REFLECTOR_FIELD_MANAGER: &str = "image-reflector-controller";
/// Field manager of ImageUpdateAutomations.
pub const IMAGE_AUTOMATION_FIELD_MANAGER: &str = "image-automation-controller";

/// Condition of every kind: the last reconcile did what the spec asks for.
pub const READY: &str = "Ready";
/// Condition of every kind, present while true: work is in progress.
pub const RECONCILING: &str = "Reconciling";
/// Condition of every kind, present while true: nothing will happen until someone changes the
/// object or what it refers to.
pub const STALLED: &str = "Stalled";
/// Condition of a Kustomization: what it applied is healthy.
pub const HEALTHY: &str = "Healthy";
/// Condition of a source: the artifact can be downloaded.
pub const ARTIFACT_IN_STORAGE: &str = "ArtifactInStorage";
/// Condition of a source: the signatures are those that the spec demands.
pub const SOURCE_VERIFIED: &str = "SourceVerified";
/// Condition of a source, present while true: the last fetch failed.
pub const FETCH_FAILED: &str = "FetchFailed";
/// Condition of a source, present while true: the artifact is not of the newest revision.
pub const ARTIFACT_OUTDATED: &str = "ArtifactOutdated";
/// Condition of a source, present while true: the artifact could not be stored.
pub const STORAGE_OPERATION_FAILED: &str = "StorageOperationFailed";
/// Condition of a GitRepository, present while true: an included repository has no artifact.
pub const INCLUDE_UNAVAILABLE: &str = "IncludeUnavailable";

/// Reasons of conditions and events.
pub mod reason {
    /// It worked.
    pub const SUCCEEDED: &str = "Succeeded";
    /// It did not work.
    pub const FAILED: &str = "Failed";
    /// It did not work (kinds of the image group).
    pub const FAILURE: &str = "Failure";
    /// Work is in progress.
    pub const PROGRESSING: &str = "Progressing";
    /// Work is in progress after a failure.
    pub const PROGRESSING_WITH_RETRY: &str = "ProgressingWithRetry";
    /// The object is suspended.
    pub const SUSPENDED: &str = "Suspended";
    /// The object may not refer to what it refers to.
    pub const ACCESS_DENIED: &str = "AccessDenied";
    /// The spec asks for something that is switched off.
    pub const FEATURE_GATE_DISABLED: &str = "FeatureGateDisabled";
    /// Something that is referred to is not ready.
    pub const DEPENDENCY_NOT_READY: &str = "DependencyNotReady";
    /// Signing in failed.
    pub const AUTHENTICATION_FAILED: &str = "AuthenticationFailed";

    /// GitRepository, ImageUpdateAutomation: speaking with the Git server failed.
    pub const GIT_OPERATION_FAILED: &str = "GitOperationFailed";
    /// GitRepository: nothing new at the Git server.
    pub const GIT_OPERATION_SUCCEEDED: &str = "GitOperationSucceeded";
    /// GitRepository: the URL cannot be used.
    pub const URL_INVALID: &str = "URLInvalid";
    /// GitRepository: provider and credentials do not fit.
    pub const INVALID_PROVIDER_CONFIGURATION: &str = "InvalidProviderConfiguration";
    /// GitRepository: the repository has no commit.
    pub const EMPTY_GIT_REPOSITORY: &str = "EmptyGitRepository";
    /// GitRepository: a signature could not be checked.
    pub const VERIFICATION_ERROR: &str = "VerificationError";
    /// GitRepository: the mode of verification does not fit the reference.
    pub const INVALID_VERIFICATION_MODE: &str = "InvalidVerificationMode";
    /// GitRepository: the object to verify is not what it should be.
    pub const INVALID_GIT_OBJECT: &str = "InvalidGitObject";
    /// GitRepository: the signature of a tag is not good.
    pub const INVALID_TAG_SIGNATURE: &str = "InvalidTagSignature";
    /// GitRepository: the signature of a commit is not good.
    pub const INVALID_COMMIT_SIGNATURE: &str = "InvalidCommitSignature";
    /// GitRepository: an included repository does not exist.
    pub const NOT_FOUND: &str = "NotFound";
    /// GitRepository: an included repository has no artifact.
    pub const NO_ARTIFACT: &str = "NoArtifact";
    /// GitRepository: an included artifact changed.
    pub const INCLUDE_CHANGE: &str = "IncludeChange";
    /// GitRepository: the Git server has a new revision.
    pub const NEW_REVISION: &str = "NewRevision";
    /// GitRepository: a new artifact is stored.
    pub const NEW_ARTIFACT: &str = "NewArtifact";
    /// GitRepository: the artifact is of the newest revision.
    pub const ARTIFACT_UP_TO_DATE: &str = "ArtifactUpToDate";
    /// GitRepository: a path leads out of the repository.
    pub const ILLEGAL_PATH: &str = "IllegalPath";
    /// GitRepository: copying an included artifact failed.
    pub const COPY_FAILURE: &str = "CopyFailure";
    /// GitRepository: the ignore rules could not be read.
    pub const SOURCE_IGNORE_ERROR: &str = "SourceIgnoreError";
    /// GitRepository: a directory could not be made.
    pub const DIRECTORY_CREATION_FAILED: &str = "DirectoryCreationFailed";
    /// GitRepository: a file could not be looked at.
    pub const STAT_OPERATION_FAILED: &str = "StatOperationFailed";
    /// GitRepository: a path cannot be used.
    pub const INVALID_PATH: &str = "InvalidPath";
    /// GitRepository: packing the artifact failed.
    pub const ARCHIVE_OPERATION_FAILED: &str = "ArchiveOperationFailed";
    /// GitRepository: writing the object failed.
    pub const PATCH_OPERATION_FAILED: &str = "PatchOperationFailed";
    /// GitRepository: old artifacts could not be removed.
    pub const GARBAGE_COLLECTION_FAILED: &str = "GarbageCollectionFailed";
    /// GitRepository: old artifacts were removed.
    pub const GARBAGE_COLLECTION_SUCCEEDED: &str = "GarbageCollectionSucceeded";
    /// GitRepository: the artifact on disk is not what the status says.
    pub const ARTIFACT_VERIFICATION_FAILED: &str = "ArtifactVerificationFailed";

    /// Kustomization: everything is applied.
    pub const RECONCILIATION_SUCCEEDED: &str = "ReconciliationSucceeded";
    /// Kustomization: applying failed.
    pub const RECONCILIATION_FAILED: &str = "ReconciliationFailed";
    /// Kustomization: the source has no usable artifact.
    pub const ARTIFACT_FAILED: &str = "ArtifactFailed";
    /// Kustomization: building the manifests failed.
    pub const BUILD_FAILED: &str = "BuildFailed";
    /// Kustomization: pruning failed.
    pub const PRUNE_FAILED: &str = "PruneFailed";
    /// Kustomization: what was applied did not become healthy.
    pub const HEALTH_CHECK_FAILED: &str = "HealthCheckFailed";
    /// Kustomization: waiting for health was given up for something newer.
    pub const HEALTH_CHECK_CANCELED: &str = "HealthCheckCanceled";
    /// Kustomization: a CEL expression does not compile.
    pub const INVALID_CEL_EXPRESSION: &str = "InvalidCELExpression";

    /// ImageRepository, ImagePolicy: the name of the image cannot be used.
    pub const IMAGE_URL_INVALID: &str = "ImageURLInvalid";
    /// ImageRepository: tags could not be listed.
    pub const READ_OPERATION_FAILED: &str = "ReadOperationFailed";
    /// ImagePolicy: the policy cannot be used.
    pub const INVALID_POLICY: &str = "InvalidPolicy";
    /// ImagePolicy: `Always` without an interval.
    pub const INTERVAL_NOT_CONFIGURED: &str = "IntervalNotConfigured";

    /// ImageUpdateAutomation: the source or `spec.git` cannot be used.
    pub const INVALID_SOURCE_CONFIGURATION: &str = "InvalidSourceConfiguration";
    /// ImageUpdateAutomation: the strategy is not known.
    pub const INVALID_UPDATE_STRATEGY: &str = "InvalidUpdateStrategy";
    /// ImageUpdateAutomation: the selector of policies cannot be used.
    pub const INVALID_POLICY_SELECTOR: &str = "InvalidPolicySelector";
    /// ImageUpdateAutomation: the template uses a field that is gone.
    pub const REMOVED_TEMPLATE_FIELD: &str = "RemovedTemplateField";
    /// ImageUpdateAutomation: updating the files failed.
    pub const UPDATE_FAILED: &str = "UpdateFailed";
    /// ImageUpdateAutomation: the source could not be prepared.
    pub const SOURCE_MANAGER_FAILED: &str = "SourceManagerFailed";
}

/// Annotation of a Lease of leader election: who holds it, or held it last, when that is one of our
/// processes. Flux's controllers use the same Leases and keep annotations: it is ours as long as
/// the Lease itself names the same holder, or none.
pub const LEASE_HOLDER: &str = "flux-sync/lease-holder";
