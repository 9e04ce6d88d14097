//! Manifests in files: reading them, planning the edits, writing them back.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use flux_lang::yaml::{self, Places, YamlError};
use serde_json::Value;

use super::edit::{self, Edit};
use super::refused::{self, Finding, Mend};
use super::versions::Release;
use crate::disk;
use crate::error::Error;

/// Largest file that is read, in bytes: no manifest is larger than what the API server takes.
const MAX: u64 = 32 << 20;
/// Folders below each other that are read.
const DEPTH: usize = 64;

/// A file with manifests.
pub(crate) struct File {
    path: PathBuf,
    /// The path as messages show it.
    pub(crate) shown: String,
    pub(crate) text: String,
}

/// Writes files anew.
pub(super) fn replace(changed: &[(&File, String)]) -> Result<(), Error> {
    let files: Vec<(&Path, &str)> = changed
        .iter()
        .map(|(file, text)| (file.path.as_path(), text.as_str()))
        .collect();
    disk::write("cannot write", &files)
}

/// The files at a path whose names end in one of the extensions; a file that is named counts
/// whatever its name is. Symbolic links and folders with a leading dot are left out.
pub(crate) fn read(path: &Path, extensions: &[String]) -> Result<Vec<File>, Error> {
    let mut found = Vec::new();
    if path.is_file() {
        found.push(path.to_owned());
    } else {
        collect(path, extensions, DEPTH, &mut found)?;
        found.sort();
    }
    let mut files = Vec::new();
    for path in found {
        let shown = path.display().to_string();
        let size = fs::metadata(&path)
            .map_err(|error| unreadable(&path, error))?
            .len();
        if size > MAX {
            return Err(Error::input(format!(
                "{shown}: more than {} MiB",
                MAX >> 20
            )));
        }
        let bytes = fs::read(&path).map_err(|error| unreadable(&path, error))?;
        // What is no text holds no manifest.
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File { path, shown, text });
        }
    }
    Ok(files)
}

fn unreadable(path: &Path, source: std::io::Error) -> Error {
    Error::File {
        what: "cannot read",
        path: path.display().to_string(),
        source,
    }
}

fn collect(
    folder: &Path,
    extensions: &[String],
    depth: usize,
    found: &mut Vec<PathBuf>,
) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, error))? {
        let entry = entry.map_err(|error| unreadable(folder, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry
            .file_type()
            .map_err(|error| unreadable(&entry.path(), error))?;
        if kind.is_dir() && !name.starts_with('.') && depth > 0 {
            collect(&entry.path(), extensions, depth - 1, found)?;
        } else if kind.is_file() && extensions.iter().any(|end| name.ends_with(end.as_str())) {
            found.push(entry.path());
        }
    }
    Ok(())
}

/// A place in a file and what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) line: usize,
    pub(crate) what: String,
}

/// What becomes of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) text: String,
    pub(super) changes: Vec<Note>,
    /// What nobody but a person can change.
    pub(super) left: Vec<Note>,
}

/// What is wrong with the manifests of a file.
pub(crate) fn problems(text: &str) -> Result<Vec<Note>, YamlError> {
    let found = findings(text, Release::LATEST)?;
    let note = |(finding, places): (Finding, &Places)| Note {
        line: line(text, places, &finding.pointer),
        what: finding.problem,
    };
    let (found, all) = found;
    Ok(found
        .into_iter()
        .filter_map(|(document, finding)| Some((finding, all.get(document)?)))
        .map(note)
        .collect())
}

type Found = (Vec<(usize, Finding)>, Vec<Places>);

fn findings(text: &str, release: Release) -> Result<Found, YamlError> {
    let documents = yaml::read(text)?;
    let places = yaml::places(text)?;
    let found = documents
        .iter()
        .enumerate()
        .flat_map(|(index, document)| {
            let found = refused::findings(&document.value, "", release);
            found.into_iter().map(move |finding| (index, finding))
        })
        .collect();
    Ok((found, places))
}

/// Plans the edits of a file.
///
/// # Errors
/// If it is no YAML.
pub(super) fn plan(text: &str, release: &Release) -> Result<Plan, YamlError> {
    let (found, all) = findings(text, *release)?;
    let mut plan = Plan {
        text: text.to_owned(),
        changes: Vec::new(),
        left: Vec::new(),
    };
    let mut edits = Vec::new();
    for (document, finding) in found {
        let Some(places) = all.get(document) else {
            continue;
        };
        let line = line(text, places, &finding.pointer);
        match mend(text, places, &finding) {
            Some(edit) => {
                edits.push(edit);
                plan.changes.push(Note {
                    line,
                    what: finding.change,
                });
            }
            None => plan.left.push(Note {
                line,
                what: finding.problem,
            }),
        }
    }
    plan.text = edit::apply(text, edits);
    // An edit that made something else of the file would be worse than none.
    let is_sound = yaml::read(&plan.text).is_ok_and(|after| {
        yaml::read(text).is_ok_and(|before| after.len() == before.len())
            && after
                .iter()
                .all(|document| is_mended(&document.value, &plan.left, *release))
    });
    if !is_sound && !plan.changes.is_empty() {
        plan.text = text.to_owned();
        plan.left.append(&mut plan.changes);
    }
    Ok(plan)
}

fn is_mended(object: &Value, left: &[Note], release: Release) -> bool {
    let found = refused::findings(object, "", release);
    found
        .iter()
        .all(|finding| left.iter().any(|note| note.what == finding.problem))
}

/// The line of a node, counted from 1.
fn line(text: &str, places: &Places, pointer: &str) -> usize {
    let start = places.nearest(pointer).map_or(0, |(place, _)| {
        let key = place.key.as_ref().map(|key| key.start);
        key.unwrap_or(place.value.start)
    });
    let before = text.get(..start).unwrap_or_default();
    before.bytes().filter(|byte| *byte == b'\n').count() + 1
}

fn mend(text: &str, places: &Places, finding: &Finding) -> Option<Edit> {
    let place = places.get(&finding.pointer)?;
    let key = place.key.as_ref()?;
    match finding.mend {
        Mend::ByHand => None,
        Mend::Remove => edit::removal(text, place),
        Mend::Version(version) => {
            let written = text.get(place.value.clone())?;
            let (start, rest) = written.split_once('/')?;
            let old: &str = rest.trim_end_matches(['"', '\'']);
            let quote = rest.get(old.len()..)?;
            Some(Edit {
                range: place.value.clone(),
                text: format!("{start}/{version}{quote}"),
            })
        }
        Mend::Template => {
            let range =
                edit::block(text, key, place).filter(|_| place.style == Some(yaml::Style::Block));
            let range = range.unwrap_or_else(|| place.value.clone());
            Some(Edit {
                text: refused::rewritten(text.get(range.clone())?)?,
                range,
            })
        }
        Mend::ToPatches { has_target } => to_patches(text, places, finding, has_target),
    }
}

/// `patchesStrategicMerge` and `patchesJson6902` as `patches`: the same patches as texts, with the
/// comments that are in them.
fn to_patches(text: &str, places: &Places, finding: &Finding, has_target: bool) -> Option<Edit> {
    let place = places.get(&finding.pointer)?;
    let key = place.key.as_ref()?;
    let line = text.get(..key.start)?.rfind('\n').map_or(0, |at| at + 1);
    let column = key.start - line;
    // Within braces there is no room for texts of several lines.
    if !text.get(line..key.start)?.trim().is_empty() {
        return None;
    }
    let indent = " ".repeat(column);
    let mut lines = vec![format!("{indent}patches:")];
    for index in 0.. {
        let pointer = format!("{}/{index}", finding.pointer);
        if places.get(&pointer).is_none() {
            break;
        }
        let mut prefix = "- ";
        if has_target && let Some(target) = places.get(&format!("{pointer}/target")) {
            let range = edit::block(text, target.key.as_ref()?, target)?;
            push(
                text,
                &range,
                &mut lines,
                &format!("{indent}{prefix}target:"),
                &format!("{indent}    "),
            )?;
            prefix = "  ";
        }
        let patch = match has_target {
            true => {
                let patch = places.get(&format!("{pointer}/patch"))?;
                // A text is one already.
                patch.style.is_none().then_some(())?;
                edit::block(text, patch.key.as_ref()?, patch)?
            }
            false => item(text, places, &pointer)?,
        };
        push(
            text,
            &patch,
            &mut lines,
            &format!("{indent}{prefix}patch: |"),
            &format!("{indent}    "),
        )?;
    }
    let mut edit = edit::removal(text, place)?;
    edit.text = lines.join("\n") + "\n";
    Some(edit)
}

/// Bytes of an item of a list.
fn item(text: &str, places: &Places, pointer: &str) -> Option<Range<usize>> {
    let place = places.get(pointer)?;
    let start = place.value.start;
    // As deep as its first word; what follows the dash belongs to it.
    let line = text.get(..start)?.rfind('\n').map_or(0, |at| at + 1);
    let dash = text.get(line..start)?.rfind('-')? + line;
    edit::block(text, &(dash + 1..dash + 1), place).map(|range| start..range.end)
}

fn push(
    text: &str,
    range: &Range<usize>,
    lines: &mut Vec<String>,
    head: &str,
    indent: &str,
) -> Option<()> {
    lines.push(head.to_owned());
    for line in edit::outdented(text, range)? {
        lines.push(match line.is_empty() {
            true => line,
            false => format!("{indent}{line}"),
        });
    }
    Some(())
}

#[cfg(test)]
#[path = "files/tests.rs"]
mod tests;
