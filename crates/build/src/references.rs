//! What the `kustomize` program will read, found before it runs.
//!
//! The program itself would read any file of the machine that a kustomization file names. This
//! module follows all references first: a path that leaves the source is an error, a URL is one
//! unless allowed, and what remains is the list of what has to be copied. Whenever every file
//! lies below the directory that names it, the program runs with its own restriction on top.

use std::collections::{BTreeMap, BTreeSet};

use flux_lang::yaml;
use serde_json::{Map, Value};

use crate::decryption::Role;
use crate::kustomization::{self, Kustomization, fold, texts};
use crate::{BuildError, Files, paths};

/// Kustomization files followed, each once.
const MAX_DIRECTORIES: usize = 10_000;
/// Kustomization files that the program would read, each time they are named.
const MAX_VISITS: usize = 10_000;

/// Keys below which file names stand, in kustomization files and in the configurations of
/// built-in generators and transformers; upper case.
const PATH_KEYS: [&str; 10] = [
    "PATH",
    "PATHS",
    "FILE",
    "FILES",
    "ENV",
    "ENVS",
    "VALUESFILE",
    "ADDITIONALVALUESFILES",
    "CHARTHOME",
    "CONFIGHOME",
];
/// Keys below which such names mean something else: field paths, and free mappings.
const OTHER_KEYS: [&str; 10] = [
    "FIELDSPECS",
    "FIELDS",
    "LABELS",
    "COMMONLABELS",
    "COMMONANNOTATIONS",
    "OPTIONS",
    "GENERATOROPTIONS",
    "METADATA",
    "IMAGES",
    "LITERALS",
];

/// What the program needs.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// Directories whose files are all copied.
    pub(crate) directories: BTreeSet<String>,
    /// Files outside of them.
    pub(crate) files: BTreeSet<String>,
    /// What named files are for, where it is known.
    pub(crate) roles: BTreeMap<String, Role>,
    /// The names that files get in Secrets, where they are not their own.
    pub(crate) names: BTreeMap<String, String>,
    /// Whether a kustomization file names files that are not below its own directory.
    pub(crate) needs_parents: bool,
    /// Whether there is something that must run under the program's own restriction.
    pub(crate) must_be_confined: bool,
    /// Whether there are bases on other hosts.
    pub(crate) remote: bool,
}

/// Follows the references of a build that begins with a given kustomization file.
///
/// # Errors
/// [`BuildError::Escape`] and [`BuildError::RemoteBase`].
pub(crate) fn inputs(
    files: &Files,
    directory: &str,
    root: &Kustomization,
    remote_bases: bool,
) -> Result<Inputs, BuildError> {
    let mut scan = Scan {
        files,
        remote_bases,
        inputs: Inputs::default(),
        named: BTreeMap::new(),
        queue: Vec::new(),
        queued: BTreeSet::new(),
    };
    scan.inputs.directories.insert(directory.to_owned());
    scan.kustomization(
        &Place {
            directory,
            file: &root.file,
            plugin: false,
            role: Role::Other,
        },
        &root.fields,
    )?;
    while let Some((directory, plugin)) = scan.queue.pop() {
        if scan.inputs.directories.len() > MAX_DIRECTORIES {
            return Err(BuildError::Kustomization {
                file: root.file.clone(),
                problem: format!("more than {MAX_DIRECTORIES} directories belong to this build"),
            });
        }
        if let Some(kustomization) = kustomization::read(files, &directory)? {
            let place = Place {
                directory: &directory,
                file: &kustomization.file,
                plugin,
                role: Role::Other,
            };
            scan.kustomization(&place, &kustomization.fields)?;
        }
    }
    check_visits(directory, &scan.named).map_err(|()| BuildError::Kustomization {
        file: root.file.clone(),
        problem: format!(
            "kustomization files name each other too often (more than {MAX_VISITS} times in all), or \
             in a circle"
        ),
    })?;
    Ok(scan.inputs)
}

/// The program builds a directory anew each time it is named: ten files that name each other twice
/// are a thousand builds.
fn check_visits(directory: &str, named: &BTreeMap<String, Vec<String>>) -> Result<(), ()> {
    let mut open = vec![directory];
    let mut visits = 0;
    while let Some(directory) = open.pop() {
        visits += 1;
        if visits > MAX_VISITS {
            return Err(());
        }
        open.extend(
            named
                .get(directory)
                .into_iter()
                .flatten()
                .map(String::as_str),
        );
    }
    Ok(())
}

/// The kustomization file that names something.
#[derive(Clone, Copy)]
struct Place<'a> {
    directory: &'a str,
    file: &'a str,
    /// Whether it is read as a configuration of generators or transformers.
    plugin: bool,
    /// What the field at hand names files for.
    role: Role,
}

struct Scan<'a> {
    files: &'a Files,
    remote_bases: bool,
    inputs: Inputs,
    /// Which directories a directory's kustomization file names, as often as it does.
    named: BTreeMap<String, Vec<String>>,
    /// Directories to read, and whether as configurations of plugins.
    queue: Vec<(String, bool)>,
    queued: BTreeSet<(String, bool)>,
}

impl Scan<'_> {
    fn kustomization(
        &mut self,
        place: &Place<'_>,
        fields: &Map<String, Value>,
    ) -> Result<(), BuildError> {
        for (field, value) in fields {
            let role = match field.as_str() {
                "resources" | "patches" | "patchesStrategicMerge" | "patchesJson6902" => {
                    Role::Manifests
                }
                "secretGenerator" => Role::Secret,
                _ => Role::Other,
            };
            let place = &Place { role, ..*place };
            match field.as_str() {
                "resources"
                | "bases"
                | "components"
                | "crds"
                | "configurations"
                | "patchesStrategicMerge" => {
                    for entry in texts(Some(value)) {
                        self.entry(place, entry)?;
                    }
                }
                "generators" | "transformers" | "validators" => {
                    let place = Place {
                        plugin: true,
                        ..*place
                    };
                    for entry in texts(Some(value)) {
                        self.configuration(&place, entry.as_bytes())?;
                        self.entry(&place, entry)?;
                    }
                }
                _ => self.nested(place, &fold(field), value)?,
            }
        }
        Ok(())
    }

    /// File names anywhere below a key.
    fn nested(&mut self, place: &Place<'_>, key: &str, value: &Value) -> Result<(), BuildError> {
        match value {
            _ if OTHER_KEYS.contains(&key) => Ok(()),
            Value::Object(map) => map
                .iter()
                .try_for_each(|(key, value)| self.nested(place, &fold(key), value)),
            Value::Array(list) => list
                .iter()
                .try_for_each(|value| self.nested(place, key, value)),
            Value::String(text) if PATH_KEYS.contains(&key) => {
                // Files of generators may be given a name: `name=path`.
                match text.split_once('=') {
                    Some((name, path)) if key == "FILES" => {
                        if let Some(path) = paths::join(place.directory, path)
                            && place.role == Role::Secret
                        {
                            self.inputs.names.insert(path, name.to_owned());
                        }
                        self.entry(place, path)
                    }
                    _ => self.entry(place, text),
                }
            }
            _ => Ok(()),
        }
    }

    /// Objects that configure a generator or transformer, inline or in a file.
    fn configuration(&mut self, place: &Place<'_>, content: &[u8]) -> Result<(), BuildError> {
        // What cannot be read is for the program to complain about.
        let documents = std::str::from_utf8(content)
            .ok()
            .and_then(|text| yaml::read(text).ok());
        for document in documents
            .into_iter()
            .flatten()
            .filter(|one| one.value.is_object())
        {
            self.nested(place, "", &document.value)?;
        }
        Ok(())
    }

    /// A file, a directory, a URL, or (in some fields) the content itself.
    fn entry(&mut self, place: &Place<'_>, entry: &str) -> Result<(), BuildError> {
        let inline = entry.contains('\n') || entry.starts_with('{');
        let escape = || BuildError::Escape {
            file: place.file.to_owned(),
            entry: shorten(entry),
        };
        let Some(path) = paths::join(place.directory, entry) else {
            if inline {
                // Text that happens to look like a path: the program must not take it for one.
                self.inputs.must_be_confined = true;
                return Ok(());
            }
            return Err(escape());
        };
        if let Some(content) = self.files.get(&path) {
            let content = content.clone();
            self.inputs.needs_parents |= !paths::is_within(&path, place.directory);
            // What is read for several things is decrypted for none of them before the build: a
            // Secret gets its file afterwards, a ConfigMap must not get it at all.
            let role = if place.plugin {
                Role::Other
            } else {
                place.role
            };
            let known = self.inputs.roles.entry(path.clone()).or_insert(role);
            if *known != role {
                *known = Role::Other;
            }
            self.inputs.files.insert(path);
            return if place.plugin {
                self.configuration(place, &content)
            } else {
                Ok(())
            };
        }
        if paths::is_directory(self.files, &path) {
            self.inputs.directories.insert(path.clone());
            let named = self.named.entry(place.directory.to_owned());
            named.or_default().push(path.clone());
            if self.queued.insert((path.clone(), place.plugin)) {
                self.queue.push((path, place.plugin));
            }
            return Ok(());
        }
        if inline || !looks_remote(entry) {
            return Ok(());
        }
        if entry.to_ascii_lowercase().contains("file://") {
            return Err(escape());
        }
        if !self.remote_bases {
            let (file, entry) = (place.file.to_owned(), shorten(entry));
            return Err(BuildError::RemoteBase { file, entry });
        }
        self.inputs.remote = true;
        Ok(())
    }
}

fn looks_remote(entry: &str) -> bool {
    entry.contains("://")
        || entry.contains("git@")
        || entry.contains("git::")
        || entry.starts_with("gh:")
        || entry.starts_with("github.com")
        || (entry.contains('@') && entry.contains(':'))
        || entry.contains("?ref=")
}

fn shorten(entry: &str) -> String {
    // A URL may carry a password.
    let entry = match (entry.split_once("://"), entry.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => entry.to_owned(),
    };
    entry
        .chars()
        .filter(|character| !character.is_control())
        .take(200)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(root: &str) -> Result<Inputs, BuildError> {
        let contents = [
            ("app/kustomization.yaml", root),
            ("app/a.yaml", ""),
            (
                "base/kustomization.yaml",
                "resources: [b.yaml]\ncomponents: [../base/c]\n",
            ),
            ("base/b.yaml", ""),
            (
                "base/c/kustomization.yaml",
                "kind: Component\nresources: [../../shared.yaml]\n",
            ),
            ("shared.yaml", ""),
            (
                "plugin/x.yaml",
                "apiVersion: builtin\nkind: ConfigMapGenerator\nfiles: [a=/etc/passwd]\n",
            ),
            ("plugin/kustomization.yaml", "resources: [x.yaml]\n"),
        ];
        let files: Files = contents
            .map(|(path, text)| (path.to_owned(), text.to_owned().into()))
            .into();
        let root = kustomization::read(&files, "app")?.unwrap();
        inputs(&files, "app", &root, false)
    }

    #[test]
    fn references_are_followed() {
        let found = scan("resources: [a.yaml, ../base]\n").unwrap();
        let directories: Vec<_> = found.directories.iter().map(String::as_str).collect();
        assert_eq!(directories, ["app", "base", "base/c"]);
        assert!(found.files.contains("shared.yaml"));
        assert!(found.needs_parents, "base/c names a file above itself");
        assert!(!scan("resources: [a.yaml]\n").unwrap().needs_parents);
        assert!(
            scan("patchesStrategicMerge: ['{/../../../etc/passwd']")
                .unwrap()
                .must_be_confined
        );
    }

    #[test]
    fn ways_out_are_refused() {
        for text in [
            "resources: [/etc/passwd]",
            "resources: [../../etc/passwd]",
            "Resources: [/etc/passwd]",
            "re\u{17f}ources: [/etc/passwd]",
            "resources: ['file:///srv/repo']",
            "patches: [{path: /etc/passwd}]",
            "patches: [{PATH: ../../x}]",
            "replacements: [{path: ../../x}]",
            "openapi: {path: /x}",
            "configMapGenerator: [{name: a, files: [k=/etc/passwd]}]",
            "configMapGenerator: [{name: a, envs: [../../x]}]",
            "secretGenerator: [{name: a, env: /proc/self/environ}]",
            "helmCharts: [{valuesFile: /x}]",
            "configurations: [/x]",
            "crds: [../../x]",
            "transformers: [../plugin]",
            "generators: [../plugin/x.yaml]",
            "generators: ['{apiVersion: builtin, kind: X, metadata: {name: a}, files: [/x]}']",
            "generators: [\"apiVersion: builtin\\nkind: X\\nenvs: [/x]\\n\"]",
        ] {
            let error = scan(text)
                .err()
                .unwrap_or_else(|| panic!("{text} must be refused"));
            assert!(
                matches!(error, BuildError::Escape { .. }),
                "{text}: {error}"
            );
        }
        for text in [
            "resources: ['https://user:secret@example.com/x.yaml']",
            "resources: ['git@github.com:a/b']",
            "resources: ['github.com/a/b//c?ref=v1']",
            "patches: [{path: 'http://x/y'}]",
        ] {
            let error = scan(text)
                .err()
                .unwrap_or_else(|| panic!("{text} must be refused"));
            assert!(
                matches!(error, BuildError::RemoteBase { .. }),
                "{text}: {error}"
            );
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        for text in [
            "commonAnnotations: {path: /x}",
            "labels: [{pairs: {path: a}, fields: [{path: /spec}]}]",
            "configMapGenerator: [{name: a, literals: [k=/etc/passwd]}]",
            "patches: [{patch: '[{\"op\": \"remove\", \"path\": \"/a\"}]'}]",
        ] {
            assert!(scan(text).is_ok(), "{text}");
        }
    }
}
