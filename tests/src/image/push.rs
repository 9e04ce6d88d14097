//! Puts images into a registry: the few calls of the OCI distribution specification that it takes.
//!
//! Not the product's registry client: that one only reads, and is what the tests test.

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, header};
use serde::Deserialize;

use super::{Error, Image, MANIFEST_TYPE, Result, digest};

/// How much of an unexpected answer is shown.
const BODY_SHOWN: usize = 500;

/// A registry.
#[derive(Debug)]
pub struct Remote {
    client: Client,
    base: String,
}

impl Remote {
    /// The registry at `base`, `https://host:port`, spoken to with this client.
    pub fn new(base: impl Into<String>, client: Client) -> Self {
        let base = base.into();
        Self { client, base }
    }

    /// Uploads what is not there yet, and lets the tag name the image.
    ///
    /// # Errors
    /// When the registry cannot be reached or refuses.
    pub async fn push(&self, repository: &str, tag: &str, image: &Image) -> Result<()> {
        for (digest, content) in image.blobs() {
            self.push_blob(repository, digest, content).await?;
        }
        let request = self
            .request(Method::PUT, &format!("/v2/{repository}/manifests/{tag}"))
            .header(header::CONTENT_TYPE, MANIFEST_TYPE)
            .body(image.manifest().to_vec());
        send(request, StatusCode::CREATED).await?;
        Ok(())
    }

    async fn push_blob(&self, repository: &str, digest: &str, content: &[u8]) -> Result<()> {
        let blob = format!("/v2/{repository}/blobs/{digest}");
        let there = self.request(Method::HEAD, &blob).send().await?;
        if there.status().is_success() {
            return Ok(());
        }
        let uploads = format!("/v2/{repository}/blobs/uploads/");
        let answer = send(self.request(Method::POST, &uploads), StatusCode::ACCEPTED).await?;
        let location = answer
            .headers()
            .get(header::LOCATION)
            .and_then(|location| location.to_str().ok())
            .unwrap_or_default();
        let url = if location.starts_with('/') {
            format!("{}{location}", self.base)
        } else {
            location.to_owned()
        };
        let upload = self
            .client
            .put(url)
            .query(&[("digest", digest)])
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .body(content.to_vec());
        send(upload, StatusCode::CREATED).await?;
        Ok(())
    }

    /// All tags of a repository as the registry lists them.
    ///
    /// # Errors
    /// When there is no such repository.
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Tags {
            tags: Option<Vec<String>>,
        }
        let request = self.request(Method::GET, &format!("/v2/{repository}/tags/list"));
        let answer: Tags = send(request, StatusCode::OK).await?.json().await?;
        Ok(answer.tags.unwrap_or_default())
    }

    /// Digest of the manifest that a tag (or digest) names, computed from what is sent.
    ///
    /// # Errors
    /// When there is no such tag.
    pub async fn digest(&self, repository: &str, tag: &str) -> Result<String> {
        Ok(digest(&self.manifest(repository, tag).await?))
    }

    /// The manifest that a tag or digest names.
    ///
    /// # Errors
    /// When there is none.
    pub async fn manifest(&self, repository: &str, reference: &str) -> Result<Vec<u8>> {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let request = self
            .request(Method::GET, &path)
            .header(header::ACCEPT, MANIFEST_TYPE);
        Ok(send(request, StatusCode::OK).await?.bytes().await?.into())
    }

    /// A layer or configuration.
    ///
    /// # Errors
    /// When there is none with this digest.
    pub async fn blob(&self, repository: &str, digest: &str) -> Result<Vec<u8>> {
        let request = self.request(Method::GET, &format!("/v2/{repository}/blobs/{digest}"));
        Ok(send(request, StatusCode::OK).await?.bytes().await?.into())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }
}

/// Sends a request that must be answered with this status.
async fn send(request: RequestBuilder, expected: StatusCode) -> Result<Response> {
    let (client, request) = request.build_split();
    let request = request?;
    let text = format!("{} {}", request.method(), request.url().path());
    let answer = client.execute(request).await?;
    let status = answer.status();
    if status == expected {
        return Ok(answer);
    }
    let body: String = answer
        .text()
        .await
        .unwrap_or_default()
        .chars()
        .take(BODY_SHOWN)
        .collect();
    Err(Error::Registry {
        request: text,
        status: status.as_u16(),
        body,
    })
}
