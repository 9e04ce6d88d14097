//! Manifests that tests commit, and reading what objects say.

use base64::Engine as _;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The manifest of a ConfigMap with one value.
pub(super) fn config_map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  value: \"{value}\"\n"
    )
}

/// The manifest of a Deployment whose pods carry this label.
pub(super) fn deployment(name: &str, label: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\nspec:\n  selector:\n    \
         matchLabels:\n      app: {name}\n  template:\n    metadata:\n      labels:\n        \
         app: {label}\n    spec:\n      containers:\n        - name: app\n          image: app:1\n"
    )
}

/// What `ssh-keygen -l` prints of a public key: `SHA256:...`.
pub(super) fn fingerprint(public_key: &str) -> String {
    let data = public_key.split_whitespace().nth(1).unwrap();
    let data = base64::engine::general_purpose::STANDARD
        .decode(data)
        .unwrap();
    let digest = base64::engine::general_purpose::STANDARD_NO_PAD.encode(Sha256::digest(data));
    format!("SHA256:{digest}")
}

/// A condition of an object, or null.
pub(super) fn condition(object: &Value, type_: &str) -> Value {
    let conditions = object["status"]["conditions"].as_array();
    conditions
        .and_then(|all| all.iter().find(|condition| condition["type"] == type_))
        .cloned()
        .unwrap_or_default()
}

/// Whether an object is ready as it is written now; the error is its Ready condition.
pub(super) fn is_ready(object: &Value) -> Result<(), String> {
    let ready = condition(object, "Ready");
    let observed = object["status"]["observedGeneration"] == object["metadata"]["generation"];
    (observed && ready["status"] == "True")
        .then_some(())
        .ok_or_else(|| ready.to_string())
}
