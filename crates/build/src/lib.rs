//! From a source tree to Kubernetes objects.
//!
//! A Kustomization names a directory of a source. [`build`] turns it into objects:
//!
//! ```text
//! directory ─> decrypt ─> build ─> substitute ─> common metadata ─> objects
//! ```
//!
//! A directory without a kustomization file, and one whose kustomization file only lists
//! resources, are built here, without a file being written, also where that file names a `namespace`
//! or the Kustomization's spec a `targetNamespace`. Everything else (patches, generators, the spec's other overlays, …) is left
//! to the `kustomize` program, run on a private copy of what it needs. Wherever the in-process build
//! is not certain to give the same objects in the same order, it steps back for the program; a
//! differential test compares the two.
//!
//! Ownership labels, ordering for the apply and everything else about a cluster is not here.

mod aside;
mod backrefs;
mod decryption;
mod dialect;
#[cfg(test)]
mod differential;
mod error;
mod folder;
#[cfg(test)]
mod hostile;
mod identity;
mod kustomization;
mod manifest;
mod memory;
mod namespace;
mod native;
mod order;
pub mod overlay;
mod paths;
mod program;
pub mod redaction;
mod references;
mod sops;
mod substitute;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use flux_api::kustomize::KustomizationSpec;
use serde_json::Value;
use tracing::debug;

pub use decryption::{Decryption, is_mask};
pub use error::BuildError;
pub use flux_lang::envsubst::Unset;
pub use folder::remove_leftovers;
pub use redaction::Redaction;
pub use sops::{Keys, SopsError};
pub use substitute::{Unsubstituted, Variables};

use aside::aside;
use native::Native;

/// The bytes of a source that is built on the spot: a few milliseconds' work.
const SMALL: usize = 32 << 10;

/// A source: contents by path, relative to its root, separated by `/`.
pub type Files = BTreeMap<String, Bytes>;

/// A Kubernetes object and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// The object: a JSON object with `apiVersion`, `kind` and `metadata.name`.
    pub value: Value,
    /// Where in the source it is written, if that is known.
    pub origin: Option<Origin>,
}

/// A place in a source. Displays as `file:line`, or `file`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Path from the root of the source.
    pub file: String,
    /// Line, counted from 1; unknown for what went through `kustomize`.
    pub line: Option<usize>,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}", self.file),
            None => formatter.write_str(&self.file),
        }
    }
}

/// How to build.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// The `kustomize` program; looked up in `PATH` when left out.
    pub kustomize: Option<PathBuf>,
    /// Lets kustomization files name bases on other hosts.
    pub remote_bases: bool,
    /// Longest time for one run of the program.
    pub timeout: Duration,
    /// What `spec.postBuild.substituteFrom` names, in its order, as far as it could be read.
    pub substitute_from: Vec<Variables>,
    /// What happens to variables that are not set.
    pub unset: Unset,
    /// What happens to encrypted content.
    pub decryption: Decryption,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            kustomize: None,
            remote_bases: false,
            timeout: Duration::from_secs(120),
            substitute_from: Vec::new(),
            unset: Unset::Error,
            decryption: Decryption::Refuse,
        }
    }
}

/// Builds the directory `path` of a source (its root when empty) as the spec of a Kustomization
/// says. `namespace` is the Kustomization's own.
///
/// Objects come in the order that `kustomize` gives them. On a runtime of several threads, other tasks go
/// on elsewhere while this computes.
///
/// # Errors
/// [`BuildError`]; the source is never changed and nothing stays behind, unless the process is killed:
/// see [`remove_leftovers`].
pub async fn build(
    files: &Files,
    path: &str,
    spec: &KustomizationSpec,
    namespace: &str,
    options: &BuildOptions,
) -> Result<Vec<Object>, BuildError> {
    let directory = paths::directory(files, path)?;
    let compute = || in_process(files, &directory, spec, options);
    let built = match is_small(files) {
        true => compute(),
        false => aside(compute).await,
    };
    let why = match built? {
        Native::Objects(objects) => return Ok(objects),
        Native::Program(why) => why,
    };
    debug!(namespace, path = %directory, %why, "building with kustomize");
    let objects = program::build(files, &directory, spec, options, &why).await?;
    aside(|| finish(objects, files, spec, options)).await
}

/// Whether building a source is not worth the change of thread.
fn is_small(files: &Files) -> bool {
    files.values().map(Bytes::len).sum::<usize>() <= SMALL
}

/// The whole build, if the program is not needed.
fn in_process(
    files: &Files,
    directory: &str,
    spec: &KustomizationSpec,
    options: &BuildOptions,
) -> Result<Native, BuildError> {
    if let Some(field) = overlay::first_field(spec) {
        return Ok(Native::Program(format!("spec.{field} is set")));
    }
    let namespace = spec.target_namespace.as_deref();
    match native::build(files, directory, namespace, &options.decryption)? {
        Native::Objects(objects) => finish(objects, files, spec, options).map(Native::Objects),
        program => Ok(program),
    }
}

/// The steps after the build proper.
fn finish(
    mut objects: Vec<Object>,
    files: &Files,
    spec: &KustomizationSpec,
    options: &BuildOptions,
) -> Result<Vec<Object>, BuildError> {
    options
        .decryption
        .after(&mut objects, spec.decryption.is_some())?;
    substitute::all(
        &mut objects,
        files,
        spec,
        &options.substitute_from,
        options.unset,
    )?;
    for object in &mut objects {
        // Only now: before, variables may have been in it.
        manifest::check_path(&object.value).map_err(|problem| BuildError::Object {
            origin: object.origin.clone().unwrap_or(Origin {
                file: "the result of the build".to_owned(),
                line: None,
            }),
            problem,
        })?;
        if let Some(metadata) = &spec.common_metadata {
            overlay::common_metadata(&mut object.value, metadata);
        }
    }
    Ok(objects)
}
