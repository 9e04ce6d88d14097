//! Rules for Kustomization (the one of `kustomize.toolkit.fluxcd.io`).

pub(super) mod build;
pub(super) mod order;
pub(super) mod others;
pub(super) mod references;
pub(super) mod timing;
