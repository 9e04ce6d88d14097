//! `-k`: the objects that a kustomize overlay makes, with the places they come from.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use flux_api::kustomize::KustomizationSpec;
use flux_build::{BuildOptions, Files};
use flux_rules::files::{self, File, Located};
use serde_json::Value;

use crate::error::Error;

/// Largest file that takes part in a build.
const LARGEST: u64 = 3 * 1024 * 1024;

/// An object of an overlay.
pub(super) struct Built {
    /// Its text, under a name of its own.
    pub(super) file: File,
    kind: String,
    name: String,
    /// The file it comes from, or the one that makes it, and its text.
    source: File,
}

/// Builds all overlays.
pub(super) async fn build(overlays: &[String]) -> Result<Vec<Built>, Error> {
    let mut built = Vec::new();
    for overlay in overlays {
        built.extend(one(overlay).await?);
    }
    Ok(built)
}

async fn one(overlay: &str) -> Result<Vec<Built>, Error> {
    let misuse = |error: &dyn std::fmt::Display| {
        Error::Input(format!("cannot build the overlay {overlay}: {error}"))
    };
    let folder = fs::canonicalize(overlay).map_err(|error| misuse(&error))?;
    let root = root(&folder);
    let mut sources = Files::new();
    gather(&root, &root, &mut sources).map_err(|error| misuse(&error))?;
    let path = folder.strip_prefix(&root).unwrap_or(&folder);
    let path = path.to_string_lossy();
    let spec: KustomizationSpec = serde_json::from_value(serde_json::json!({
        "interval": "1m", "prune": false, "sourceRef": {"kind": "GitRepository", "name": "lint"},
    }))
    .map_err(|error| misuse(&error))?;
    let options = BuildOptions::default();
    let objects = flux_build::build(&sources, &path, &spec, "default", &options)
        .await
        .map_err(|error| misuse(&error))?;
    let text = |name: &str| {
        let bytes = sources.get(name).map(|bytes| bytes.to_vec());
        String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
    };
    let shown = |inside: &str| shown(&root, inside);
    let own = if path.is_empty() {
        "kustomization.yaml".to_owned()
    } else {
        format!("{path}/kustomization.yaml")
    };
    let built = objects.into_iter().enumerate().map(|(index, object)| {
        let field = |pointer: &str| {
            let value = object.value.pointer(pointer).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        let source = object
            .origin
            .as_ref()
            .map_or(own.as_str(), |origin| &origin.file);
        Built {
            file: File {
                // Every object in a folder of its own: what an overlay makes, it makes once.
                path: format!("{overlay}#{index}/object.yaml"),
                text: flux_lang::yaml::to_string(&object.value),
            },
            kind: field("/kind"),
            name: field("/metadata/name"),
            source: File {
                path: shown(source),
                text: text(source),
            },
        }
    });
    Ok(built.collect())
}

/// The folder that bases may be in: the repository, the working directory, or the overlay itself.
fn root(folder: &Path) -> PathBuf {
    let repository = folder
        .ancestors()
        .find(|ancestor| ancestor.join(".git").exists());
    let here = std::env::current_dir()
        .and_then(fs::canonicalize)
        .ok()
        .filter(|here| folder.starts_with(here));
    repository
        .map(Path::to_owned)
        .or(here)
        .unwrap_or_else(|| folder.to_owned())
}

/// A file of the root as seen from the working directory.
fn shown(root: &Path, inside: &str) -> String {
    let full = root.join(inside);
    let here = std::env::current_dir().and_then(fs::canonicalize);
    let short = here
        .ok()
        .and_then(|here| Some(full.strip_prefix(here).ok()?.to_owned()));
    short.unwrap_or(full).display().to_string()
}

fn gather(root: &Path, folder: &Path, files: &mut Files) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if entry.file_name().to_string_lossy() == ".git" {
            continue;
        }
        if kind.is_dir() {
            gather(root, &entry.path(), files)?;
        } else if kind.is_file() && entry.metadata()?.len() <= LARGEST {
            let path = entry.path();
            let inside = path.strip_prefix(root).unwrap_or(&path);
            let name = inside.to_string_lossy().into_owned();
            files.insert(name, fs::read(&path)?.into());
        }
    }
    Ok(())
}

/// Moves findings about built objects to where the objects are written.
pub(super) fn relocate(
    findings: &mut [Located],
    built: &[Built],
    texts: &mut BTreeMap<String, String>,
) {
    for built in built {
        texts.remove(&built.file.path);
        texts
            .entry(built.source.path.clone())
            .or_insert_with(|| built.source.text.clone());
        for found in findings
            .iter_mut()
            .filter(|found| found.file == built.file.path)
        {
            let text = &built.source.text;
            let spot = files::spot(text, &built.kind, &built.name, &found.pointer);
            found.file.clone_from(&built.source.path);
            // What was built cannot be fixed where it is built from.
            found.fix = None;
            if let Some(spot) = spot {
                (found.line, found.column, found.span) = (spot.line, spot.column, spot.span);
            } else {
                (found.line, found.column, found.span) = (1, 1, 0..0);
            }
        }
    }
}
