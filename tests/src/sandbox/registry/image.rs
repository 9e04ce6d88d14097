//! Pushes tiny images: the few calls of the OCI distribution specification that it takes.
//!
//! Not the product's registry client: that one only reads, and is what the tests test.

use reqwest::{Certificate, Client, Method, RequestBuilder, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::super::{
    error::{Error, Result},
    pki::Authority,
};

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The empty layer that Docker itself uses: an empty tar archive (1024 zero bytes), compressed.
const LAYER: [u8; 32] = [
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x09, 0x6e, 0x88, 0x00, 0xff, 0x62, 0x18, 0x05, 0xa3, 0x60, 0x14,
    0x8c, 0x58, 0x00, 0x08, 0x00, 0x00, 0xff, 0xff, 0x2e, 0xaf, 0xb5, 0xef, 0x00, 0x04, 0x00, 0x00,
];

/// Digest of the layer before compression, which the image's config lists.
const LAYER_DIFF_ID: &str =
    "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

/// How much of an unexpected answer is shown.
const BODY_SHOWN: usize = 500;

/// Talks to the sandbox's registry.
#[derive(Debug)]
pub(super) struct Pusher {
    client: Client,
    base: String,
}

impl Pusher {
    pub(super) fn new(host: &str, authority: &Authority) -> Result<Self> {
        let ca = Certificate::from_pem(authority.certificate().as_bytes())?;
        let client = Client::builder().tls_certs_only([ca]).no_proxy().build()?;
        Ok(Self {
            client,
            base: format!("https://{host}"),
        })
    }

    pub(super) async fn push(&self, repository: &str, tags: &[&str]) -> Result<()> {
        let layer = self.push_blob(repository, &LAYER).await?;
        for tag in tags {
            let config = json!({
                "architecture": "amd64",
                "os": "linux",
                // What tells the images of different tags apart.
                "config": {"Labels": {"org.opencontainers.image.version": tag}},
                "rootfs": {"type": "layers", "diff_ids": [LAYER_DIFF_ID]},
            })
            .to_string();
            let digest = self.push_blob(repository, config.as_bytes()).await?;
            let manifest = json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": {"mediaType": CONFIG_TYPE, "digest": digest, "size": config.len()},
                "layers": [{"mediaType": LAYER_TYPE, "digest": layer, "size": LAYER.len()}],
            });
            let request = self
                .request(Method::PUT, &format!("/v2/{repository}/manifests/{tag}"))
                .header(header::CONTENT_TYPE, MANIFEST_TYPE)
                .body(manifest.to_string());
            send(request, StatusCode::CREATED).await?;
        }
        Ok(())
    }

    /// Uploads a blob unless it is there; its digest.
    async fn push_blob(&self, repository: &str, content: &[u8]) -> Result<String> {
        let digest = digest(content);
        let blob = format!("/v2/{repository}/blobs/{digest}");
        if self
            .request(Method::HEAD, &blob)
            .send()
            .await?
            .status()
            .is_success()
        {
            return Ok(digest);
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
            .query(&[("digest", &digest)])
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .body(content.to_vec());
        send(upload, StatusCode::CREATED).await?;
        Ok(digest)
    }

    pub(super) async fn tags(&self, repository: &str) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Tags {
            tags: Option<Vec<String>>,
        }
        let request = self.request(Method::GET, &format!("/v2/{repository}/tags/list"));
        let answer: Tags = send(request, StatusCode::OK).await?.json().await?;
        Ok(answer.tags.unwrap_or_default())
    }

    pub(super) async fn digest(&self, repository: &str, tag: &str) -> Result<String> {
        let request = self
            .request(Method::GET, &format!("/v2/{repository}/manifests/{tag}"))
            .header(header::ACCEPT, MANIFEST_TYPE);
        Ok(digest(&send(request, StatusCode::OK).await?.bytes().await?))
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

fn digest(content: &[u8]) -> String {
    let hex: String = Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layer_is_the_well_known_empty_one() {
        assert_eq!(
            digest(&LAYER),
            "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4"
        );
        assert_eq!(digest(&[0; 1024]), LAYER_DIFF_ID);
    }
}
