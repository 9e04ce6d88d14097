//! Paths inside a source: pure arithmetic, so that nothing outside can be named.

use crate::{BuildError, Files};

/// How many directories are suggested when one is not found.
const SUGGESTIONS: usize = 3;
/// Directories looked at for suggestions, so that a huge source does not make an error slow.
const SUGGESTION_POOL: usize = 5_000;

/// The directory that `spec.path` names, without `./` and slashes around; empty for the root.
/// A path that would leave the source ends at its root, as in Flux.
///
/// # Errors
/// [`BuildError::PathNotFound`], with the directories that come closest.
pub(crate) fn directory(files: &Files, path: &str) -> Result<String, BuildError> {
    let mut elements: Vec<&str> = Vec::new();
    for element in path.split('/') {
        match element {
            "" | "." => {}
            ".." => {
                elements.pop();
            }
            _ => elements.push(element),
        }
    }
    let directory = elements.join("/");
    if is_directory(files, &directory) {
        return Ok(directory);
    }
    let hint = if files.contains_key(&directory) {
        let parent = parent(&directory);
        format!(", but a file; name its directory ./{parent}")
    } else {
        suggest(files, &directory)
    };
    Err(BuildError::PathNotFound {
        path: format!("./{directory}"),
        hint,
    })
}

/// Whether there are files below a path. The root always is a directory.
pub(crate) fn is_directory(files: &Files, path: &str) -> bool {
    path.is_empty() || below(files, path).next().is_some()
}

/// The files below a directory, in the order of their whole paths.
pub(crate) fn below<'a>(
    files: &'a Files,
    directory: &str,
) -> impl Iterator<Item = (&'a str, &'a bytes::Bytes)> + use<'a> {
    let prefix = if directory.is_empty() {
        String::new()
    } else {
        format!("{directory}/")
    };
    files
        .range(prefix.clone()..)
        .take_while(move |(path, _)| path.starts_with(&prefix))
        .map(|(path, content)| (path.as_str(), content))
}

/// A path as written in a kustomization file of `directory`; `None` when it leads out.
pub(crate) fn join(directory: &str, relative: &str) -> Option<String> {
    if relative.starts_with('/') {
        return None;
    }
    let mut elements: Vec<&str> = directory
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    for element in relative.split('/') {
        match element {
            "" | "." => {}
            ".." => {
                elements.pop()?;
            }
            _ => elements.push(element),
        }
    }
    Some(elements.join("/"))
}

/// A name inside a directory.
pub(crate) fn child(directory: &str, name: &str) -> String {
    if directory.is_empty() {
        name.to_owned()
    } else {
        format!("{directory}/{name}")
    }
}

/// The directory that a path is in.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Whether a path is a directory or lies below it.
pub(crate) fn is_within(path: &str, directory: &str) -> bool {
    directory.is_empty()
        || path
            .strip_prefix(directory)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a path of the source can be written to disk as it is.
pub(crate) fn is_plain(path: &str) -> bool {
    !path.contains('\0') && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn suggest(files: &Files, wanted: &str) -> String {
    let mut directories: Vec<&str> = Vec::new();
    for path in files.keys() {
        let mut directory = parent(path);
        while !directory.is_empty() && directories.last() != Some(&directory) {
            directories.push(directory);
            directory = parent(directory);
        }
        if directories.len() > SUGGESTION_POOL {
            break;
        }
    }
    directories.sort_unstable();
    directories.dedup();
    directories.sort_by_key(|directory| distance(directory, wanted));
    directories.truncate(SUGGESTIONS);
    if directories.is_empty() {
        return "; the source has no directories, leave spec.path out".to_owned();
    }
    format!("; the nearest are ./{}", directories.join(", ./"))
}

/// Levenshtein's distance between two paths.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, one) in left.chars().enumerate() {
        let mut diagonal = line;
        let mut before = line + 1;
        if let Some(first) = row.first_mut() {
            *first = before;
        }
        for (cell, other) in row.iter_mut().skip(1).zip(&right) {
            let cost = diagonal + usize::from(one != *other);
            diagonal = *cell;
            *cell = cost.min(diagonal + 1).min(before + 1);
            before = *cell;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(paths: &[&str]) -> Files {
        paths
            .iter()
            .map(|path| ((*path).to_owned(), bytes::Bytes::new()))
            .collect()
    }

    #[test]
    fn spec_path_is_normalised_and_confined() {
        let files = files(&["apps/foo/a.yaml", "apps/foo-bar/a.yaml", "README.md"]);
        for (path, directory_of) in [
            ("", ""),
            ("./", ""),
            ("/", ""),
            ("./apps/foo", "apps/foo"),
            ("/apps/foo/", "apps/foo"),
            ("apps//./foo", "apps/foo"),
            ("apps/x/../foo", "apps/foo"),
            ("../../apps", "apps"),
        ] {
            assert_eq!(directory(&files, path).unwrap(), directory_of, "{path}");
        }
        let text = |path| directory(&files, path).unwrap_err().to_string();
        assert_eq!(
            text("./apps/fo"),
            "kustomization path not found: ./apps/fo is not a directory of the source; the \
             nearest are ./apps/foo, ./apps, ./apps/foo-bar"
        );
        assert_eq!(
            text("README.md"),
            "kustomization path not found: ./README.md is not a directory of the source, but a \
             file; name its directory ./"
        );
        assert_eq!(
            directory(&files, "x").unwrap_err().reason(),
            "ArtifactFailed"
        );
    }

    #[test]
    fn joins_stay_inside() {
        for (from, relative, joined) in [
            ("apps/foo", "a.yaml", Some("apps/foo/a.yaml")),
            ("apps/foo", "../base", Some("apps/base")),
            ("apps/foo", "../..", Some("")),
            ("apps/foo", "../../..", None),
            ("", "..", None),
            ("apps", "/etc/passwd", None),
            ("apps", "./x//y/", Some("apps/x/y")),
        ] {
            assert_eq!(join(from, relative).as_deref(), joined, "{from} {relative}");
        }
        assert!(is_within("a/b", "a") && is_within("a", "a") && is_within("a", ""));
        assert!(!is_within("ab", "a"));
        assert!(is_plain("a/b") && !is_plain("a/../b") && !is_plain("/a") && !is_plain("a\0"));
    }

    #[test]
    fn distances() {
        for (left, right, steps) in [
            ("", "", 0),
            ("kitten", "sitting", 3),
            ("a", "", 1),
            ("", "ab", 2),
        ] {
            assert_eq!(distance(left, right), steps, "{left} {right}");
        }
    }
}
