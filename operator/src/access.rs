//! Who may read what lies in another namespace: `accessFrom` of an ImageRepository.

use flux_api::ImageRepository;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt};

use crate::context::Context;
use crate::words::api_error;

/// Whether the repository's `accessFrom` admits a namespace, by its labels. Its own always is;
/// without `accessFrom` no other.
///
/// # Errors
/// In words, when the namespace cannot be read.
pub async fn grants(
    repository: &ImageRepository,
    namespace: &str,
    context: &Context,
) -> Result<bool, String> {
    if repository.namespace().as_deref() == Some(namespace) {
        return Ok(true);
    }
    let Some(access) = &repository.spec.access_from else {
        return Ok(false);
    };
    let api: Api<Namespace> = Api::all(context.client.clone());
    let object = api.get(namespace).await.map_err(|error| {
        format!(
            "namespace {namespace} cannot be read: {}",
            api_error(&error)
        )
    })?;
    let labels = object.labels();
    Ok(access.namespace_selectors.iter().any(|selector| {
        selector
            .match_labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
    }))
}
