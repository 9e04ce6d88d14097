//! Files from folders: everything that may be a manifest, except what is none by its place.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use flux_lang::gitignore::{IGNORE_FILE, IgnoreList};
use flux_rules::files::File;

use crate::error::Error;
use crate::output;

/// Largest file that is read; a file may hold many manifests.
const LARGEST: u64 = 32 * 1024 * 1024;

/// Name of standard input in findings.
const STDIN: &str = "-";

/// The files that are named or below the folders named, and where each was read from.
pub(super) fn all(paths: &[String]) -> Result<(BTreeMap<String, PathBuf>, Vec<File>), Error> {
    let mut sources = BTreeMap::new();
    let mut named = BTreeSet::new();
    let mut files = Vec::new();
    for name in paths {
        if name == STDIN {
            let mut text = String::new();
            std::io::stdin()
                .take(LARGEST + 1)
                .read_to_string(&mut text)
                .map_err(|source| failed(STDIN, source))?;
            small("standard input", text.len() as u64)?;
            files.push(File {
                path: STDIN.to_owned(),
                text,
            });
            continue;
        }
        let path = Path::new(name);
        let metadata = fs::metadata(path)
            .map_err(|error| Error::Input(format!("cannot read {name}: {error}")))?;
        if metadata.is_dir() {
            let mut found = Vec::new();
            Walk::new(path)?.folder(path, &mut found)?;
            for path in found {
                add(&path, &mut sources);
            }
        } else {
            named.insert(add(path, &mut sources));
        }
    }
    let names: Vec<(String, PathBuf)> = sources
        .iter()
        .map(|(name, path)| (name.clone(), path.clone()))
        .collect();
    for (name, path) in names {
        match read(&name, &path) {
            Ok(text) => files.push(File { path: name, text }),
            // One that nobody named does not keep the others from being read.
            Err(Error::Input(why)) if !named.contains(&name) => {
                output::warning(format!("{why}; it is left out"));
                sources.remove(&name);
            }
            Err(error) => return Err(error),
        }
    }
    Ok((sources, files))
}

/// The name under which it is shown.
fn add(path: &Path, sources: &mut BTreeMap<String, PathBuf>) -> String {
    let shown = path.strip_prefix(".").unwrap_or(path);
    let shown = shown.display().to_string();
    sources.insert(shown.clone(), path.to_owned());
    shown
}

fn small(name: &str, size: u64) -> Result<(), Error> {
    if size > LARGEST {
        return Err(Error::Input(format!(
            "{name} has more than the {} MiB that are read: split it",
            LARGEST >> 20
        )));
    }
    Ok(())
}

fn read(name: &str, path: &Path) -> Result<String, Error> {
    let size = fs::metadata(path)
        .map_err(|source| failed(name, source))?
        .len();
    small(name, size)?;
    let bytes = fs::read(path).map_err(|source| failed(name, source))?;
    String::from_utf8(bytes)
        .map_err(|_| Error::Input(format!("{name} is not UTF-8 text: save it as such")))
}

fn failed(name: &str, source: std::io::Error) -> Error {
    Error::File {
        what: "cannot read",
        path: name.to_owned(),
        source,
    }
}

/// A walk through a folder, with the patterns of the repository it is in.
struct Walk {
    root: PathBuf,
    ignored: IgnoreList,
}

impl Walk {
    fn new(folder: &Path) -> Result<Self, Error> {
        let full = fs::canonicalize(folder)
            .map_err(|source| failed(&folder.display().to_string(), source))?;
        let root = full
            .ancestors()
            .find(|ancestor| ancestor.join(".git").exists())
            .unwrap_or(&full)
            .to_owned();
        let mut walk = Self {
            root,
            ignored: IgnoreList::new(),
        };
        // The patterns of the folders above count as well.
        let mut above: Vec<&Path> = full
            .ancestors()
            .skip(1)
            .take_while(|ancestor| ancestor.starts_with(&walk.root))
            .collect();
        above.reverse();
        for folder in above {
            walk.ignored.extend(patterns(&walk.root, folder));
        }
        Ok(walk)
    }

    fn folder(&mut self, folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Error> {
        let shown = folder.display().to_string();
        let full = fs::canonicalize(folder).map_err(|source| failed(&shown, source))?;
        self.ignored.extend(patterns(&self.root, &full));
        let entries = fs::read_dir(folder).map_err(|source| failed(&shown, source))?;
        let mut entries = entries
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| failed(&shown, source))?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        let chart = folder.join("Chart.yaml").exists();
        for entry in entries {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let kind = entry.file_type().map_err(|source| failed(&shown, source))?;
            let inside = segments(&self.root, &full.join(name.as_ref())).join("/");
            if name.starts_with('.') || self.ignored.ignores(&inside, kind.is_dir()) {
                continue;
            }
            if kind.is_dir() {
                // Templates are not YAML, and what is below charts is somebody else's.
                if !(chart && matches!(name.as_ref(), "templates" | "charts")) {
                    self.folder(&entry.path(), found)?;
                }
            } else if is_manifest(&name) && entry.path().is_file() {
                found.push(entry.path());
            }
        }
        Ok(())
    }
}

fn is_manifest(name: &str) -> bool {
    name.ends_with(".yaml") || name.ends_with(".yml") || name == "Kustomization"
}

fn patterns(root: &Path, folder: &Path) -> IgnoreList {
    match fs::read_to_string(folder.join(IGNORE_FILE)) {
        Ok(text) => {
            let domain = segments(root, folder);
            let domain: Vec<&str> = domain.iter().map(String::as_str).collect();
            IgnoreList::parse(&text, &domain)
        }
        Err(_) => IgnoreList::new(),
    }
}

/// The parts of a path below the root.
fn segments(root: &Path, path: &Path) -> Vec<String> {
    let below = path.strip_prefix(root).unwrap_or(path);
    below
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect()
}
