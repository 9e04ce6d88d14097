//! Container images without a container engine: layers, configuration and manifest as the OCI
//! image specification 1.1 has them, archives of them, and the push to a registry.
//!
//! [`product`] says what is in our two images. The sandbox runs its pods from them and the release
//! publishes them, so that what is tested is what people get. Everything is reproducible: the same
//! files make the same digests, on any machine and at any time.

pub mod archive;
pub mod elf;
mod error;
pub mod layer;
pub mod product;
pub mod push;
pub mod target;

use serde_json::{Value, json};

pub use self::{
    error::{Error, Result},
    layer::{Compression, Layer, Tree},
};

/// Media type of an image's manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an image's configuration.
pub const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";

/// What a runtime must know to run an image, apart from its files.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Architecture under Go's name: `amd64`, `arm64`.
    pub architecture: String,
    /// User and group as numbers, `65532:65532`; empty for root.
    pub user: String,
    /// Program with its arguments.
    pub entrypoint: Vec<String>,
    /// Variables, `NAME=value`.
    pub env: Vec<String>,
    /// Labels; the manifest carries the same as annotations.
    pub labels: Vec<(String, String)>,
}

/// An image for one platform, in memory.
#[derive(Clone, Debug)]
pub struct Image {
    config: Blob,
    manifest: Blob,
    layers: Vec<Layer>,
}

impl Image {
    /// Puts layers, the lowest first, and settings together.
    pub fn new(settings: &Settings, layers: Vec<Layer>) -> Self {
        let config = Blob::new(config(settings, &layers).to_string().into_bytes());
        let annotations = pairs(&settings.labels);
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": config.descriptor(CONFIG_TYPE),
            "layers": layers.iter().map(Layer::descriptor).collect::<Vec<_>>(),
        });
        if !settings.labels.is_empty() {
            manifest["annotations"] = annotations;
        }
        Self {
            config,
            manifest: Blob::new(manifest.to_string().into_bytes()),
            layers,
        }
    }

    /// Digest of the manifest, `sha256:...`: what an image is pinned by.
    pub fn digest(&self) -> &str {
        &self.manifest.digest
    }

    /// The manifest as it is pushed.
    pub fn manifest(&self) -> &[u8] {
        &self.manifest.content
    }

    /// The layers, the lowest first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Bytes that a node fetches: layers as they are stored, and the configuration.
    pub fn size(&self) -> usize {
        self.blobs().map(|(_, content)| content.len()).sum()
    }

    /// Digest and content of all that the manifest names: the configuration, then the layers.
    pub fn blobs(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let layers = self.layers.iter().map(Layer::blob);
        std::iter::once(&self.config)
            .chain(layers)
            .map(|blob| (blob.digest.as_str(), blob.content.as_slice()))
    }

    fn manifest_descriptor(&self) -> Value {
        self.manifest.descriptor(MANIFEST_TYPE)
    }
}

fn config(settings: &Settings, layers: &[Layer]) -> Value {
    let mut run = json!({});
    if !settings.user.is_empty() {
        run["User"] = json!(settings.user);
    }
    if !settings.entrypoint.is_empty() {
        run["Entrypoint"] = json!(settings.entrypoint);
        run["WorkingDir"] = json!("/");
    }
    if !settings.env.is_empty() {
        run["Env"] = json!(settings.env);
    }
    if !settings.labels.is_empty() {
        run["Labels"] = pairs(&settings.labels);
    }
    // No time of creation: it would be the only thing to differ between two builds.
    json!({
        "architecture": settings.architecture,
        "os": "linux",
        "config": run,
        "rootfs": {
            "type": "layers",
            "diff_ids": layers.iter().map(Layer::diff_id).collect::<Vec<_>>(),
        },
    })
}

fn pairs(labels: &[(String, String)]) -> Value {
    labels
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Content and its digest.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    content: Vec<u8>,
    digest: String,
}

impl Blob {
    fn new(content: Vec<u8>) -> Self {
        let digest = digest(&content);
        Self { content, digest }
    }

    fn descriptor(&self, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": self.digest, "size": self.content.len()})
    }
}

/// The SHA-256 of a content as OCI writes it: `sha256:` and 64 hexadecimal digits.
///
/// Ring's, which is assembly: programs of a hundred megabytes are hashed by debug builds, too.
pub fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex(content))
}

/// The SHA-256 of a content in hexadecimal digits.
pub(crate) fn hex(content: &[u8]) -> String {
    ring::digest::digest(&ring::digest::SHA256, content)
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
