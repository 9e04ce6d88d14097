//! The product's images, assembled from the programs of this tree and pushed to the sandbox's
//! registry.

use std::path::Path;

use anyhow::Result;

use super::Env;
use crate::{
    image::{
        Compression, Image, Layer,
        product::{self, HOST_AUTHORITIES, Parts},
    },
    sandbox::{node, programs::Program},
};

/// The tag that the manifests name.
pub(crate) const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));

impl Env {
    /// Builds the programs and pushes `sync-operator` and `admission-webhook` with the tag that
    /// the manifests name.
    ///
    /// # Errors
    /// When a program does not compile, or the registry refuses.
    pub async fn push_images(&self) -> Result<()> {
        for (repository, image) in self.images().await? {
            self.registry()?.push(repository, VERSION, &image).await?;
        }
        Ok(())
    }

    /// Builds the programs and assembles `sync-operator` and `admission-webhook`.
    ///
    /// # Errors
    /// When a program does not compile or lacks a library.
    pub async fn images(&self) -> Result<[(&'static str, Image); 2]> {
        let binaries = self.build_binaries().await?.clone();
        let kustomize = self.programs.path(Program::Kustomize)?.clone();
        let assemble = move || {
            let parts = Parts {
                operator: &binaries.operator,
                webhook: &binaries.webhook,
                kustomize: &kustomize,
                authorities: Path::new(HOST_AUTHORITIES),
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
        tokio::task::spawn_blocking(assemble).await?
    }

    /// The files of the walk's app: agnhost, built when it is nowhere.
    ///
    /// # Errors
    /// When it cannot be built.
    pub async fn agnhost(&self) -> Result<Layer> {
        let programs = self.sandbox.programs(&[Program::Agnhost])?;
        let program = programs.path(Program::Agnhost)?.clone();
        Ok(tokio::task::spawn_blocking(move || node::agnhost(&program)).await??)
    }
}
