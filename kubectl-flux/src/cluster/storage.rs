//! In which version the API server stores objects.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use serde_json::json;

use super::{Cluster, ClusterError, FIELD_MANAGER, Scope, errors, write_params};

impl Cluster {
    /// Replaces an object as a whole, in a namespace or cluster-wide; says whether it was still the
    /// one that was read.
    ///
    /// # Errors
    /// What the API server refuses.
    pub(crate) async fn replace_in(
        &self,
        resource: &ApiResource,
        scope: Scope<'_>,
        name: &str,
        object: &DynamicObject,
    ) -> Result<bool, ClusterError> {
        let api = self.dynamic(resource, scope);
        match api.replace(name, &write_params(), object).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_conflict() => Ok(false),
            Err(kube::Error::Api(status)) if errors::is_missing_object(&status) => Ok(false),
            Err(error) => Err(self.error(error)),
        }
    }

    /// Notes that all objects of a definition are stored in one version.
    ///
    /// # Errors
    /// What the API server refuses.
    pub(crate) async fn set_stored_versions(
        &self,
        definition: &str,
        version: &str,
    ) -> Result<(), ClusterError> {
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(json!({"status": {"storedVersions": [version]}}));
        api.patch_status(definition, &params, &patch)
            .await
            .map(drop)
            .map_err(|error| self.error(error))
    }
}
