//! Writes kubeconfigs for users of the sandbox's API server.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::json;

use super::{
    error::Result,
    paths,
    pki::{Authority, Certificate},
};

/// Writes a kubeconfig that holds everything itself, for its owner's eyes only.
pub(super) fn write(
    path: &Path,
    server: &str,
    authority: &Authority,
    client: &Certificate,
) -> Result<()> {
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "sandbox",
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": "sandbox"}}],
        "clusters": [{"name": "sandbox", "cluster": {
            "server": server,
            "certificate-authority-data": BASE64.encode(authority.certificate()),
        }}],
        "users": [{"name": "sandbox", "user": {
            "client-certificate-data": BASE64.encode(&client.certificate),
            "client-key-data": BASE64.encode(&client.key),
        }}],
    });
    // JSON is YAML, and every reader of kubeconfigs takes it.
    paths::write_secret(path, &format!("{kubeconfig:#}\n"))
}
