//! The files of a folder as the operator would find them in Git.

use std::fs;
use std::path::{Path, PathBuf};

use flux_image::marker;
use flux_image::update::Content;

use crate::disk;
use crate::error::Error;

/// A file that holds markers.
pub(super) struct Marked {
    /// Below the folder, with `/`.
    pub(super) path: String,
    pub(super) content: Content,
}

/// All files with markers, sorted by path. Symbolic links and `.git` are left out: Git's trees
/// hold neither as files.
pub(super) fn find(dir: &Path) -> Result<Vec<Marked>, Error> {
    let mut found = Vec::new();
    let mut folders = vec![(dir.to_owned(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))? {
            let entry = entry.map_err(|error| unreadable(&folder, &error))?;
            let kind = entry
                .file_type()
                .map_err(|error| unreadable(&entry.path(), &error))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                continue;
            };
            let path = format!("{prefix}{name}");
            if kind.is_dir() && name != ".git" {
                folders.push((entry.path(), format!("{path}/")));
            } else if kind.is_file() && marker::is_candidate(name) {
                let bytes =
                    fs::read(entry.path()).map_err(|error| unreadable(&entry.path(), &error))?;
                if let Some(content) = Content::of(&bytes) {
                    found.push(Marked { path, content });
                }
            }
        }
    }
    found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// The text of a file that holds markers.
pub(super) fn read(dir: &Path, path: &str) -> Result<String, Error> {
    let file = dir.join(path);
    fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))
}

/// Replaces files.
pub(super) fn write(dir: &Path, files: &[(&str, &str)]) -> Result<(), Error> {
    let paths: Vec<PathBuf> = files.iter().map(|(path, _)| dir.join(path)).collect();
    let files: Vec<(&Path, &str)> = paths
        .iter()
        .zip(files)
        .map(|(path, (_, text))| (path.as_path(), *text))
        .collect();
    disk::write("cannot write", &files).map_err(|error| Error::input(error.to_string()))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::input(format!("cannot read {}: {error}", path.display()))
}
