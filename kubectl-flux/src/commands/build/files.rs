//! A local folder as a source: what the operator would have of it.

use std::fs;
use std::path::{Path, PathBuf};

use flux_build::Files;
use flux_lang::gitignore::{IGNORE_FILE, IgnoreList};
use serde_json::Value;

use crate::error::Error;

/// Most that is read of a folder, in MiB: a wrong path must not fill the memory.
const MAX_MIB: u64 = 512;

/// A source and the directory in it to build.
pub(super) struct Folder {
    pub(super) files: Files,
    pub(super) directory: String,
}

impl Folder {
    /// Reads a folder and, where its files or the components of a spec refer to what is above it, the
    /// Git repository that it belongs to. Symbolic links are left out, as in a source.
    pub(super) fn read(
        path: &Path,
        ignore: &[String],
        components: &[String],
    ) -> Result<Self, Error> {
        let path = path
            .canonicalize()
            .map_err(|error| unreadable(path, error))?;
        let alone = Self::of(&path, &path, ignore)?;
        let refers_up = alone.files.iter().any(|(name, content)| {
            let is_kustomization = name.rsplit('/').next().is_some_and(|name| {
                ["kustomization.yaml", "kustomization.yml", "Kustomization"].contains(&name)
            });
            is_kustomization && content.windows(2).any(|pair| pair == b"..")
        }) || components.iter().any(|path| path.contains(".."));
        let root = path.ancestors().find(|folder| folder.join(".git").exists());
        match root {
            Some(root) if refers_up && root != path => Self::of(root, &path, ignore),
            _ => Ok(alone),
        }
    }

    fn of(root: &Path, path: &Path, ignore: &[String]) -> Result<Self, Error> {
        let directory: Vec<String> = path
            .strip_prefix(root)
            .unwrap_or(Path::new(""))
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        let mut files = Files::new();
        let mut left = MAX_MIB << 20;
        collect(root, "", &mut files, &mut left)?;
        let mut tree = IgnoreList::new();
        for (name, content) in &files {
            let Some(parent) = name.strip_suffix(IGNORE_FILE) else {
                continue;
            };
            let domain: Vec<&str> = parent.split_terminator('/').collect();
            tree.extend(IgnoreList::parse(
                &String::from_utf8_lossy(content),
                &domain,
            ));
        }
        // Patterns of the command line are relative to the folder that was named.
        let domain: Vec<&str> = directory.iter().map(String::as_str).collect();
        let given = IgnoreList::parse(&ignore.join("\n"), &domain);
        let list = IgnoreList::effective(tree, &given);
        files.retain(|name, _| !list.ignores(name, false));
        Ok(Self {
            files,
            directory: directory.join("/"),
        })
    }
}

/// The manifests of these kinds in the Git repository around a folder, or in the folder itself where
/// there is none: with the file that each is in. Files that are no YAML hold none.
pub(super) fn manifests(folder: &Path, kinds: &[&str]) -> Result<Vec<(String, Value)>, Error> {
    let folder = folder
        .canonicalize()
        .map_err(|error| unreadable(folder, error))?;
    let root = folder.ancestors().find(|path| path.join(".git").exists());
    let mut files = Files::new();
    let mut left = MAX_MIB << 20;
    collect(root.unwrap_or(&folder), "", &mut files, &mut left)?;
    let mut found = Vec::new();
    for (name, content) in files {
        let is_yaml = name.ends_with(".yaml") || name.ends_with(".yml");
        let Some(text) = std::str::from_utf8(&content).ok().filter(|_| is_yaml) else {
            continue;
        };
        if !kinds.iter().any(|kind| text.contains(kind)) {
            continue;
        }
        for document in flux_lang::yaml::read(text).unwrap_or_default() {
            if kinds.iter().any(|kind| document.value["kind"] == *kind) {
                found.push((name.clone(), document.value));
            }
        }
    }
    Ok(found)
}

fn unreadable(path: &Path, source: std::io::Error) -> Error {
    Error::File {
        what: "cannot read",
        path: path.display().to_string(),
        source,
    }
}

/// Reads what is below a folder; `prefix` is its way from the root, with `/` at the end.
fn collect(folder: &Path, prefix: &str, files: &mut Files, left: &mut u64) -> Result<(), Error> {
    let mut open: Vec<(PathBuf, String)> = vec![(folder.to_owned(), prefix.to_owned())];
    while let Some((folder, prefix)) = open.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| unreadable(&folder, error))? {
            let entry = entry.map_err(|error| unreadable(&folder, error))?;
            let path = entry.path();
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let kind = entry
                .file_type()
                .map_err(|error| unreadable(&path, error))?;
            if kind.is_dir() && name != ".git" {
                open.push((path, format!("{prefix}{name}/")));
            } else if kind.is_file() {
                let size = entry
                    .metadata()
                    .map_err(|error| unreadable(&path, error))?
                    .len();
                *left = left.checked_sub(size).ok_or_else(|| {
                    Error::input(format!("{}: more than {MAX_MIB} MiB", path.display()))
                })?;
                let content = fs::read(&path).map_err(|error| unreadable(&path, error))?;
                files.insert(format!("{prefix}{name}"), content.into());
            }
        }
    }
    Ok(())
}
