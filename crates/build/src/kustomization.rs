//! Kustomization files: finding and reading them.

use serde_json::{Map, Value};

use crate::{BuildError, Files, manifest, paths};

/// The names that kustomize knows, in its order.
pub(crate) const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// The fields of a kustomization file, as kustomize 5.8 writes them.
const FIELDS: [&str; 34] = [
    "apiVersion",
    "kind",
    "metadata",
    "openapi",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "commonLabels",
    "labels",
    "commonAnnotations",
    "patchesStrategicMerge",
    "patchesJson6902",
    "patches",
    "images",
    "imageTags",
    "replacements",
    "replicas",
    "vars",
    "sortOptions",
    "resources",
    "components",
    "crds",
    "bases",
    "configMapGenerator",
    "secretGenerator",
    "helmGlobals",
    "helmCharts",
    "helmChartInflationGenerator",
    "generatorOptions",
    "configurations",
    "generators",
    "transformers",
    "validators",
    "buildMetadata",
];

/// A kustomization file.
pub(crate) struct Kustomization {
    /// Its path from the root of the source.
    pub(crate) file: String,
    /// Its fields, known ones under their exact names.
    pub(crate) fields: Map<String, Value>,
}

/// What a kustomization file says that lists resources and at most puts them into a namespace.
pub(crate) enum Listing {
    /// Paths, in order, and the namespace.
    Resources(Vec<String>, Option<String>),
    /// It has no content, which kustomize takes for a mistake.
    Empty,
    /// It says more; the text names what.
    More(String),
}

/// Whether a directory has a kustomization file.
pub(crate) fn exists(files: &Files, directory: &str) -> bool {
    NAMES
        .iter()
        .any(|name| files.contains_key(&paths::child(directory, name)))
}

/// The kustomization file of a directory, if there is one.
///
/// # Errors
/// When there are several, or it is not a mapping.
pub(crate) fn read(files: &Files, directory: &str) -> Result<Option<Kustomization>, BuildError> {
    let mut found = NAMES
        .iter()
        .filter_map(|name| files.get_key_value(&paths::child(directory, name)));
    let Some((file, content)) = found.next() else {
        return Ok(None);
    };
    let problem = |problem: String| BuildError::Kustomization {
        file: file.clone(),
        problem,
    };
    if let Some((other, _)) = found.next() {
        return Err(problem(format!(
            "there is also {other}: keep one of the two"
        )));
    }
    let mut documents = manifest::documents(file, content)?.into_iter();
    let fields = match documents.next().map(|document| document.value) {
        Some(Value::Object(fields)) => fields,
        Some(_) => return Err(problem("a kustomization file is a mapping".to_owned())),
        None => Map::new(),
    };
    if documents.next().is_some() {
        return Err(problem(
            "a kustomization file is one document; remove the others".to_owned(),
        ));
    }
    let fields = fields
        .into_iter()
        .map(|(key, value)| (canonical(key), value))
        .collect();
    Ok(Some(Kustomization {
        file: file.clone(),
        fields,
    }))
}

impl Kustomization {
    /// What the file lists, if that is all it does.
    pub(crate) fn listing(&self) -> Listing {
        let (mut resources, mut namespace) = (Vec::new(), None);
        let mut empty = true;
        for (field, value) in &self.fields {
            let known = match (field.as_str(), value.as_str()) {
                ("apiVersion", Some("kustomize.config.k8s.io/v1beta1"))
                | ("kind", Some("Kustomization")) => true,
                ("namespace", Some(text)) if !text.is_empty() => {
                    namespace = Some(text.to_owned());
                    empty = false;
                    true
                }
                ("metadata", _) => {
                    empty &= value.is_null();
                    value.is_null() || value.is_object()
                }
                ("resources" | "bases", _) => match value {
                    Value::Null => true,
                    Value::Array(list) => {
                        empty = false;
                        list.iter().all(Value::is_string)
                    }
                    _ => false,
                },
                _ => false,
            };
            if !known {
                return Listing::More(format!("{} uses {field}", self.file));
            }
        }
        if empty {
            return Listing::Empty;
        }
        // kustomize appends the deprecated field to the current one.
        for field in ["resources", "bases"] {
            resources.extend(texts(self.fields.get(field)).map(str::to_owned));
        }
        Listing::Resources(resources, namespace)
    }
}

/// The texts of a list.
pub(crate) fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// A key without regard to case, as Go's JSON decoder matches it.
pub(crate) fn fold(key: &str) -> String {
    key.to_lowercase().to_uppercase()
}

fn canonical(key: String) -> String {
    if FIELDS.contains(&key.as_str()) {
        return key;
    }
    let folded = fold(&key);
    FIELDS
        .iter()
        .find(|field| fold(field) == folded)
        .map_or(key, |field| (*field).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Option<Kustomization>, BuildError> {
        let files = [("a/kustomization.yml".to_owned(), text.to_owned().into())].into();
        read(&files, "a")
    }

    #[test]
    fn listings() {
        let listing = |text: &str| match read_text(text).unwrap().unwrap().listing() {
            Listing::Resources(resources, None) => resources.join(" "),
            Listing::Resources(resources, Some(namespace)) => {
                format!("{} in {namespace}", resources.join(" "))
            }
            Listing::Empty => "empty".to_owned(),
            Listing::More(why) => why,
        };
        for (text, expected) in [
            ("resources: [a, b]\n", "a b"),
            ("bases: [c]\nresources:\n- a\n", "a c"),
            ("Resources: [a]\n", "a"),
            (
                "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: []\n",
                "",
            ),
            ("", "empty"),
            ("kind: Kustomization\n", "empty"),
            ("resources:\n", "empty"),
            ("resources: [1]\n", "a/kustomization.yml uses resources"),
            ("resources: [a]\nnamespace: x\n", "a in x"),
            ("bases: [a]\nmetadata:\n", "a"),
            ("namespace: x\n", " in x"),
            ("namespace: 1\n", "a/kustomization.yml uses namespace"),
            (
                "resources: [a]\nnamePrefix: x\n",
                "a/kustomization.yml uses namePrefix",
            ),
            (
                "kind: Component\nresources: [a]\n",
                "a/kustomization.yml uses kind",
            ),
        ] {
            assert_eq!(listing(text), expected, "{text}");
        }
    }

    #[test]
    fn reading() {
        assert!(read(&Files::new(), "").unwrap().is_none());
        assert!(read_text("- a").is_err());
        assert!(read_text("resources: []\n---\nresources: []\n").is_err());
        let two = ["Kustomization", "kustomization.yaml"]
            .map(|name| (name.to_owned(), bytes::Bytes::new()))
            .into();
        let error = read(&two, "").err().unwrap().to_string();
        assert_eq!(
            error,
            "kustomize build failed: kustomization.yaml: there is also Kustomization: keep one of the two"
        );
    }
}
