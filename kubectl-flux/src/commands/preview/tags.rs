//! Where the tags of a preview come from.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use flux_api::ImageRepositorySpec;
use flux_registry::{Client, ClientOptions, Credentials, Reference};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use serde_json::Value;

use crate::cluster::{Cluster, Scope, install_tls_provider};
use crate::error::Error;

/// Time for listing.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The lines of a file of tags.
pub(super) fn of_text(text: &str) -> Vec<String> {
    let lines = text.trim_start_matches('\u{feff}').lines();
    lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A registry to ask.
pub(super) struct Source {
    reference: Reference,
    options: ClientOptions,
}

impl Source {
    /// The image that was typed, else that of the ImageRepository, with the login of Docker's
    /// configuration on this machine.
    pub(super) fn offline(
        image: Option<&str>,
        repository: Option<&ImageRepositorySpec>,
    ) -> Result<Self, Error> {
        let known = repository.map(|repository| repository.image.as_str());
        let Some(image) = image.or(known) else {
            return Err(Error::input(
                "there are no tags to choose from: give them with --tags FILE, the image with \
                 --image REF, or the ImageRepository in the file of -f",
            ));
        };
        let reference = Reference::parse(image).map_err(|error| Error::input(error.to_string()))?;
        let credentials = docker_configuration()
            .and_then(|json| Credentials::from_docker_config(&json, &reference).ok())
            .unwrap_or_else(Credentials::anonymous);
        let options = ClientOptions {
            credentials,
            insecure: repository.is_some_and(|repository| repository.insecure),
            timeout: TIMEOUT,
            ..ClientOptions::default()
        };
        Ok(Self { reference, options })
    }

    /// Lists the tags; the error is for the answer.
    pub(super) async fn list(self) -> Result<Vec<String>, String> {
        install_tls_provider();
        let client = Client::new(self.options).map_err(|error| error.to_string())?;
        let tags = client.tags(&self.reference).await;
        Ok(tags
            .map_err(|error| error.to_string())?
            .iter()
            .map(str::to_owned)
            .collect())
    }
}

/// `$DOCKER_CONFIG/config.json`, by default in `~/.docker`.
fn docker_configuration() -> Option<Vec<u8>> {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| Some(std::env::home_dir()?.join(".docker")))?;
    std::fs::read(folder.join("config.json")).ok()
}

/// The tags of an ImageRepository of the cluster: from the registry, with the credentials that the
/// object names, else those that its status shows. The second part warns about the latter.
pub(super) async fn of_cluster(
    cluster: &Cluster,
    namespace: &str,
    object: &Value,
    repository: &ImageRepositorySpec,
    image: Option<&str>,
) -> (Result<Vec<String>, String>, Option<String>) {
    let listed = match source(cluster, namespace, repository, image).await {
        Ok(source) => source.list().await,
        Err(error) => Err(error),
    };
    let Err(error) = listed else {
        return (listed, None);
    };
    let scan = &object["status"]["lastScanResult"];
    let shown: Vec<String> = scan["latestTags"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tag| tag.as_str().map(str::to_owned))
        .collect();
    if shown.is_empty() || image.is_some() {
        return (Err(error), None);
    }
    let warning = format!(
        "the answer is from a sample, {} of {} tags, which the status of the ImageRepository \
         shows: {error}",
        shown.len(),
        scan["tagCount"]
    );
    (Ok(shown), Some(warning))
}

async fn source(
    cluster: &Cluster,
    namespace: &str,
    repository: &ImageRepositorySpec,
    image: Option<&str>,
) -> Result<Source, String> {
    let image = image.unwrap_or(&repository.image);
    let reference = Reference::parse(image).map_err(|error| error.to_string())?;
    let mut names: Vec<String> = repository
        .secret_ref
        .iter()
        .map(|r| r.name.clone())
        .collect();
    if let Some(name) = &repository.service_account_name {
        let api = cluster.typed::<ServiceAccount>(Scope::Namespace(namespace));
        let account = api.get(name).await.map_err(|error| {
            format!("ServiceAccount \"{namespace}/{name}\" cannot be read: {error}")
        })?;
        let secrets = account.image_pull_secrets.unwrap_or_default();
        names.extend(secrets.into_iter().map(|secret| secret.name));
    }
    let mut credentials = Credentials::anonymous();
    for name in names {
        let data = secret(cluster, namespace, &name).await?;
        let found = Credentials::from_secret(&data, &reference)
            .map_err(|error| format!("Secret \"{namespace}/{name}\": {error}"))?;
        if credentials.is_anonymous() {
            credentials = found;
        }
    }
    let certificates = match &repository.cert_secret_ref {
        Some(reference) => secret(cluster, namespace, &reference.name).await?,
        None => BTreeMap::new(),
    };
    let either = |new: &str, old: &str| certificates.get(new).or(certificates.get(old)).cloned();
    let options = ClientOptions {
        credentials,
        ca: either("ca.crt", "caFile"),
        client_cert: either("tls.crt", "certFile").zip(either("tls.key", "keyFile")),
        // The proxy of the Secret is one of the cluster's; here that of the environment counts.
        proxy: None,
        insecure: repository.insecure,
        timeout: TIMEOUT,
    };
    Ok(Source { reference, options })
}

async fn secret(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let api = cluster.typed::<Secret>(Scope::Namespace(namespace));
    let secret = api
        .get(name)
        .await
        .map_err(|error| format!("Secret \"{namespace}/{name}\" cannot be read: {error}"))?;
    let data = secret.data.unwrap_or_default();
    Ok(data
        .into_iter()
        .map(|(key, value)| (key, value.0))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::of_text;

    #[test]
    fn tags_are_taken_as_they_are() {
        assert_eq!(of_text("2.51\r\n\nv1 \nx\n"), ["2.51", "v1 ", "x"]);
    }
}
