//! Why a source does not become objects: with file and line where they are known.

use std::time::Duration;

use thiserror::Error;

use crate::Origin;
use crate::sops::SopsError;
use crate::substitute::{self, Unsubstituted};

/// A build that did not succeed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// `spec.path` is not a directory of the source. The first words are Flux's.
    #[error("kustomization path not found: {path} is not a directory of the source{hint}")]
    PathNotFound {
        /// The path, from the root of the source, as `./path`.
        path: String,
        /// What there is instead.
        hint: String,
    },
    /// A file is not YAML.
    #[error("{file}:{line}:{column}: invalid YAML: {message}")]
    Yaml {
        /// Path from the root of the source.
        file: String,
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// A file is not text.
    #[error("{file}: not a UTF-8 text; save it as UTF-8 or keep it out of the directory")]
    Encoding {
        /// Path from the root of the source.
        file: String,
    },
    /// A file or output is larger than we read.
    #[error("{what} is larger than {limit} MiB, the most that is read")]
    TooLarge {
        /// What is too large.
        what: String,
        /// In MiB.
        limit: usize,
    },
    /// A YAML document is not a Kubernetes object.
    #[error("{origin}: not a Kubernetes object: {problem}")]
    Object {
        /// Where the document begins.
        origin: Origin,
        /// What is missing or wrong.
        problem: String,
    },
    /// The same object is written twice. The first words are Flux's.
    #[error(
        "kustomize build failed: {object} is defined twice, at {first} and {second}: remove one of them"
    )]
    Duplicate {
        /// `Kind/namespace/name` with its group and version.
        object: String,
        /// The first place.
        first: Origin,
        /// The second place.
        second: Origin,
    },
    /// A kustomization file is wrong. The first words are Flux's.
    #[error("kustomize build failed: {file}: {problem}")]
    Kustomization {
        /// Path from the root of the source.
        file: String,
        /// What is wrong with it, and what to write.
        problem: String,
    },
    /// A kustomization file names a path outside of the source.
    #[error(
        "kustomize build failed: {file}: '{entry}' leads out of the source: only paths inside of \
         it, relative to the kustomization file, can be used"
    )]
    Escape {
        /// Path from the root of the source.
        file: String,
        /// The path as written.
        entry: String,
    },
    /// A kustomization file names a base on another host, and that is not allowed.
    #[error(
        "kustomize build failed: {file}: '{entry}' is on another host, and remote bases are not \
         allowed here: copy it into the source, or start the operator with --remote-bases"
    )]
    RemoteBase {
        /// Path from the root of the source.
        file: String,
        /// The URL as written.
        entry: String,
    },
    /// The `kustomize` program is needed and cannot be started.
    #[error("the kustomize program is needed ({why}) and cannot be started: {problem}")]
    Program {
        /// What needs it.
        why: String,
        /// What happened.
        problem: String,
    },
    /// The `kustomize` program failed. The first words are Flux's.
    #[error("kustomize build failed: {message}")]
    Kustomize {
        /// The program's words, with paths from the root of the source.
        message: String,
    },
    /// The `kustomize` program did not end in time. The first words are Flux's.
    #[error("kustomize build failed: no result within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// The `kustomize` program got no more memory.
    #[error(
        "kustomize build failed: it takes more than {0} MiB of memory; split the Kustomization into \
         smaller ones, or raise the memory limit of the container: a build gets a quarter of it, \
         1024 MiB at most"
    )]
    Memory(u64),
    /// A temporary file could not be written.
    #[error("cannot write the copy of the source that kustomize works on: {0}")]
    Copy(#[source] std::io::Error),
    /// An object is encrypted.
    #[error(
        "{object}{} is encrypted with SOPS: {advice}", at(.origin)
    )]
    Encrypted {
        /// `Kind/namespace/name`.
        object: String,
        /// Where it is written.
        origin: Option<Origin>,
        /// What to do.
        advice: &'static str,
    },
    /// A content could not be decrypted. The first words are Flux's.
    #[error("decryption failed for {what}: {source}")]
    Decryption {
        /// The file, and the objects in it where their names are readable.
        what: String,
        /// Why.
        source: SopsError,
    },
    /// A variable has a name that no text can use.
    #[error(
        "post build failed: '{name}' var name is invalid, must match '{names}' (from {source_name})"
    )]
    Variable {
        /// The name.
        name: String,
        /// Where it comes from.
        source_name: String,
        /// What names look like.
        names: &'static str,
    },
    /// Variables could not be replaced. The first words are Flux's.
    #[error("{}", substitute::describe(.0))]
    Substitution(Vec<Unsubstituted>),
}

impl BuildError {
    /// The reason that Flux puts into the Ready condition for such a failure.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::PathNotFound { .. } => "ArtifactFailed",
            _ => "BuildFailed",
        }
    }
}

fn at(origin: &Option<Origin>) -> String {
    origin
        .as_ref()
        .map(|origin| format!(" ({origin})"))
        .unwrap_or_default()
}
