//! The product's images, assembled from the programs of this tree and pushed to the sandbox's
//! registry.

use anyhow::Result;

use super::Env;
use crate::{
    image::{
        Compression,
        product::{self, Parts},
    },
    sandbox::programs::Program,
};

impl Env {
    /// Builds the programs and pushes `sync-operator` and `admission-webhook` with the tag that
    /// the manifests name. The operator's trusts the sandbox's authority, and no other.
    ///
    /// # Errors
    /// When a program does not compile, or the registry refuses.
    pub async fn push_images(&self) -> Result<()> {
        let binaries = self.build_binaries().await?.clone();
        let kustomize = self.programs.path(Program::Kustomize)?.clone();
        let authorities = self.sandbox.ca_file();
        let assemble = move || {
            let parts = Parts {
                operator: &binaries.operator,
                webhook: &binaries.webhook,
                kustomize: &kustomize,
                authorities: &authorities,
                version: env!("CARGO_PKG_VERSION"),
                compression: Compression::None,
            };
            Ok::<_, anyhow::Error>([
                (product::SYNC_OPERATOR, product::sync_operator(&parts)?),
                (
                    product::ADMISSION_WEBHOOK,
                    product::admission_webhook(&parts)?,
                ),
            ])
        };
        let tag = concat!("v", env!("CARGO_PKG_VERSION"));
        for (repository, image) in tokio::task::spawn_blocking(assemble).await?? {
            self.registry()?.push(repository, tag, &image).await?;
        }
        Ok(())
    }
}
