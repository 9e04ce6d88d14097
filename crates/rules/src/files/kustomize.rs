//! What kustomize's own files say about the files beside them.

use serde_json::Value;

/// The names under which kustomize looks for its file.
const RESERVED: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Whether kustomize takes a file of this name for its own.
pub(super) fn is_reserved(path: &str) -> bool {
    RESERVED.contains(&path.rsplit('/').next().unwrap_or(path))
}

/// A path without `.` and `..`, as far as possible.
pub(super) fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." => {}
            "" if !parts.is_empty() => {}
            ".." if parts.last().is_some_and(|last| !matches!(*last, ".." | "")) => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The files that a kustomization lists as patches, transformers and other parts of objects. They
/// are not objects as they stand.
pub(super) fn patches<'v>(path: &str, documents: impl Iterator<Item = &'v Value>) -> Vec<String> {
    if !is_reserved(path) {
        return Vec::new();
    }
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut found = Vec::new();
    for document in documents {
        let list = |key: &str| {
            document
                .get(key)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
        };
        for key in ["patches", "patchesJson6902", "replacements"] {
            found.extend(list(key).filter_map(|entry| entry.get("path")?.as_str()));
        }
        for key in ["patchesStrategicMerge", "configurations", "transformers"] {
            let names = list(key).filter_map(Value::as_str);
            // An entry may also be the patch itself.
            found.extend(names.filter(|name| !name.contains('\n')));
        }
        let files = list("configMapGenerator")
            .chain(list("secretGenerator"))
            .filter_map(|generator| generator.get("files")?.as_array())
            .flatten()
            .filter_map(Value::as_str);
        found.extend(files.map(|file| file.rsplit('=').next().unwrap_or(file)));
    }
    found
        .into_iter()
        .map(|name| normal(&format!("{directory}/{name}")))
        .map(|name| {
            if directory.is_empty() {
                name.trim_start_matches('/').to_owned()
            } else {
                name
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use flux_lang::yaml;

    use super::*;

    #[test]
    fn listed_parts_are_found_relative_to_the_file() {
        let text = "resources: [app.yaml]\npatches:\n- path: ../patches/a.yaml\n- patch: |\n    x\npatchesStrategicMerge:\n- b.yaml\nconfigMapGenerator:\n- files: [x=values.yaml]\n";
        let documents = yaml::read(text).expect("YAML");
        let patches = |path: &str| super::patches(path, documents.iter().map(|d| &d.value));
        assert_eq!(
            patches("apps/foo/kustomization.yaml"),
            [
                "apps/patches/a.yaml",
                "apps/foo/b.yaml",
                "apps/foo/values.yaml"
            ]
        );
        assert_eq!(patches("kustomization.yaml")[1], "b.yaml");
        assert!(patches("app.yaml").is_empty());
    }

    #[test]
    fn paths_are_compared_in_one_form() {
        assert_eq!(normal("./a//b/../c.yaml"), "a/c.yaml");
        assert_eq!(normal("/a/./b"), "/a/b");
        assert_eq!(normal("../a"), "../a");
    }
}
