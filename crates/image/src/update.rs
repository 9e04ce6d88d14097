//! What an automation makes of all files: the part that the operator and the preview share.

use crate::marker::{self, Change, Lookup, MarkerError, Markers, Plan, Problem};

/// What has to be known of a file to update it. Depends on its bytes alone, so that it can be
/// kept as long as those do not change.
#[derive(Clone, Debug)]
pub enum Content {
    /// The markers.
    Markers(Markers),
    /// A file with markers that is not YAML.
    NotYaml(MarkerError),
    /// A file with markers that is not UTF-8.
    NotText,
}

impl Content {
    /// Looks for markers; `None` when there is no trace of one.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if !marker::may_have_markers(bytes) {
            return None;
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Some(Self::NotText);
        };
        match marker::find(text) {
            Ok(markers) if markers.is_empty() => None,
            Ok(markers) => Some(Self::Markers(markers)),
            Err(error) => Some(Self::NotYaml(error)),
        }
    }
}

/// The folder of `update.path`, as Git writes it; empty for the whole repository. What leads out of
/// the repository ends at its root.
#[must_use]
pub fn folder(path: Option<&str>) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.unwrap_or_default().split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Where markers are applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The [`folder`] of the update.
    pub path: String,
    /// Folders that other updates of the same files take care of: their markers are none of ours.
    pub elsewhere: Vec<String>,
}

impl Scope {
    fn reason(&self) -> String {
        format!("the file is outside of update.path \"./{}\"", self.path)
    }
}

fn contains(folder: &str, path: &str) -> bool {
    folder.is_empty()
        || path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What is to be done.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// The files that change, in the order given.
    pub files: Vec<(String, Plan)>,
    /// All changes, in the same order.
    pub changes: Vec<Change>,
    /// Markers that are current already: file, line and what they name.
    pub current: Vec<(String, usize, String)>,
    /// Markers and files for which nothing could be done.
    pub problems: Vec<Problem>,
}

/// Decides about files, given by path and what is known of them.
pub fn plan<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a Content)>,
    scope: &Scope,
    policies: &dyn Fn(&str, &str) -> Lookup,
) -> Update {
    let mut update = Update::default();
    for (path, content) in files {
        let inside = contains(&scope.path, path);
        let problem = |reason: &str| Problem::of_file(path, reason);
        match content {
            Content::Markers(markers) if inside => {
                let plan = markers.plan(path, policies);
                update.problems.extend(plan.problems.iter().cloned());
                let current = plan.current.iter().cloned();
                update
                    .current
                    .extend(current.map(|(line, setter)| (path.to_owned(), line, setter)));
                if !plan.changes.is_empty() {
                    update.changes.extend(plan.changes.iter().cloned());
                    update.files.push((path.to_owned(), plan));
                }
            }
            Content::Markers(markers) => {
                if !scope.elsewhere.iter().any(|other| contains(other, path)) {
                    let skipped = markers.all_skipped(path, &scope.reason());
                    update.problems.extend(skipped);
                }
            }
            // One file that does not parse keeps no other from being updated.
            Content::NotYaml(error) if inside => {
                update.problems.push(problem(&error.to_string()));
            }
            Content::NotText if inside => {
                update.problems.push(problem("the file is not UTF-8 text"));
            }
            Content::NotYaml(_) | Content::NotText => {}
        }
    }
    update
}

#[cfg(test)]
mod tests {
    use flux_api::ImageRef;

    use super::*;

    #[test]
    fn paths_stay_inside_the_repository() {
        for (path, want) in [
            (None, ""),
            (Some("./"), ""),
            (Some("./foo"), "foo"),
            (Some("/foo/bar/"), "foo/bar"),
            (Some("../../etc"), "etc"),
            (Some("a/../b"), "b"),
        ] {
            assert_eq!(folder(path), want, "{path:?}");
        }
    }

    #[test]
    fn files_and_what_is_said_of_them() {
        let marked = "i: x # {\"$imagepolicy\": \"ns:app:tag\"}\n";
        let current = "i: v1 # {\"$imagepolicy\": \"ns:app:tag\"}\n";
        let broken = "a: b: c # {\"$imagepolicy\": \"ns:app:tag\"}\n";
        let latin = b"i: \xff # {\"$imagepolicy\": \"ns:app:tag\"}\n";
        let files: Vec<(&str, Content)> = [
            ("app/a.yaml", marked.as_bytes()),
            ("app/b.yaml", current.as_bytes()),
            ("app/c.yaml", broken.as_bytes()),
            ("app/d.yaml", latin),
            ("app/plain.yaml", b"a: b\n"),
            ("application/a.yaml", marked.as_bytes()),
            ("other/a.yaml", marked.as_bytes()),
        ]
        .into_iter()
        .filter_map(|(path, bytes)| Some((path, Content::of(bytes)?)))
        .collect();
        assert_eq!(files.len(), 6, "a file without markers is not kept");
        let scope = Scope {
            path: "app".to_owned(),
            elsewhere: vec!["other".to_owned()],
        };
        let lookup = |_: &str, _: &str| {
            Lookup::Ref(ImageRef {
                name: "app".to_owned(),
                tag: "v1".to_owned(),
                digest: None,
            })
        };
        let files = files.iter().map(|(path, content)| (*path, content));
        let update = plan(files, &scope, &lookup);
        let changed: Vec<_> = update.files.iter().map(|(path, _)| &**path).collect();
        assert_eq!(changed, ["app/a.yaml"]);
        assert_eq!(update.files[0].1.rewrite(marked), current);
        assert_eq!(
            update.current,
            [("app/b.yaml".to_owned(), 1, "ns:app:tag".to_owned())]
        );
        let problems: Vec<_> = update.problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].starts_with("app/c.yaml: not valid YAML, left as it is: line 1"));
        assert_eq!(problems[1], "app/d.yaml: the file is not UTF-8 text");
        assert_eq!(
            problems[2],
            "application/a.yaml:1 ns:app:tag the file is outside of update.path \"./app\""
        );
    }
}
