//! `spec.decryption`: the private keys, read with the operator's own rights.

use std::sync::Arc;

use flux_api::KustomizationSpec;
use flux_api::kustomize::DecryptionProvider;
use flux_api::names::reason;
use flux_build::{Decryption, Keys};

use super::run::Run;
use crate::args::Args;
use crate::conclusion::Verdict;
use crate::key::Key;

/// What the names of age keys in a Secret end with.
const AGE: &str = ".agekey";

/// The Secret of `--sops-age-secret`, where a spec decrypts and names none of its own.
pub(super) fn common_secret(spec: &KustomizationSpec, args: &Args) -> Option<Key> {
    let decryption = spec.decryption.as_ref()?;
    let name = args.sops_age_secret.as_ref()?;
    decryption
        .secret_ref
        .is_none()
        .then(|| Key::new(&args.runtime_namespace, name))
}

impl Run<'_> {
    /// The keys that the spec names.
    pub(super) async fn decryption(&self) -> Result<Decryption, Verdict> {
        let Some(spec) = &self.object.spec.decryption else {
            return Ok(Decryption::Refuse);
        };
        if spec.provider != DecryptionProvider::Sops {
            let message = format!(
                "spec.decryption.provider {} is not known; use sops",
                spec.provider
            );
            return Err(self.failed(reason::BUILD_FAILED, message));
        }
        let mut keys = Keys::default();
        if let Some(reference) = &spec.secret_ref {
            let namespace = &self.key.namespace;
            self.keys_of(namespace, &reference.name, &mut keys).await?;
        } else if let Some(secret) = common_secret(&self.object.spec, &self.context.args) {
            self.keys_of(&secret.namespace, &secret.name, &mut keys)
                .await?;
        }
        Ok(Decryption::Keys(Arc::new(keys)))
    }

    async fn keys_of(&self, namespace: &str, name: &str, keys: &mut Keys) -> Result<(), Verdict> {
        let failed = |message: String| {
            self.failed(
                reason::BUILD_FAILED,
                format!("decryption failed: {message}"),
            )
        };
        let data = self
            .context
            .secret(namespace, name)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let secret = Key::new(namespace, name);
        for (entry, value) in &data {
            if !entry.ends_with(AGE) {
                continue;
            }
            let text = std::str::from_utf8(value)
                .map_err(|_| failed(format!("Secret \"{secret}\": {entry} is not a text")))?;
            keys.add(text)
                .map_err(|why| failed(format!("Secret \"{secret}\": {entry}: {why}")))?;
        }
        // A Secret with keys of other kinds only may belong to files that have none for age.
        if data.is_empty() {
            return Err(failed(format!(
                "Secret \"{secret}\" is empty; put an age private key into it under a name that ends with {AGE}"
            )));
        }
        Ok(())
    }
}
