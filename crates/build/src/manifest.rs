//! One file of manifests to objects.

use std::collections::VecDeque;

use flux_lang::yaml;
use serde_json::Value;

use crate::{BuildError, Object, Origin};

/// Largest file that is read, in MiB. The API server takes objects of 3 MiB at most.
const MAX_MIB: usize = 32;

/// The YAML documents of a file: value and first line.
///
/// # Errors
/// With file, line and column when it is not YAML.
pub(crate) fn documents(file: &str, content: &[u8]) -> Result<Vec<yaml::Document>, BuildError> {
    if content.len() > MAX_MIB << 20 {
        return Err(BuildError::TooLarge {
            what: file.to_owned(),
            limit: MAX_MIB,
        });
    }
    let text = std::str::from_utf8(content).map_err(|_| BuildError::Encoding {
        file: file.to_owned(),
    })?;
    yaml::read(text).map_err(|error| BuildError::Yaml {
        file: file.to_owned(),
        line: error.line,
        column: error.column,
        message: format!("{}{}", error.message, heredoc_hint(text, error.line)),
    })
}

/// Refuses a key that stands in a mapping twice, as kustomize does: with the last one in force what
/// the other said is lost, which is rarely meant.
///
/// # Errors
/// With file, line, column and key.
pub(crate) fn check_keys(file: &str, documents: &[yaml::Document]) -> Result<(), BuildError> {
    let mut repeated = documents.iter().flat_map(|document| &document.repeated);
    match repeated.next() {
        None => Ok(()),
        Some(repeated) => Err(BuildError::Yaml {
            file: file.to_owned(),
            line: repeated.line,
            column: repeated.column,
            message: format!(
                "key \"{}\" stands in this mapping already; keep one of the two",
                repeated.key
            ),
        }),
    }
}

/// The most common stray line in a manifest that was typed into a shell: the word that should have
/// ended a here-document and, being indented, did not.
fn heredoc_hint(text: &str, line: usize) -> &'static str {
    const WORDS: &[&str] = &["EOF", "EOT", "EOL", "END"];
    let at = |line: usize| text.lines().nth(line).map_or("", str::trim);
    // The parser may notice only on the following line.
    let stray = |line: usize| WORDS.contains(&at(line));
    if stray(line.saturating_sub(1)) || stray(line.saturating_sub(2)) {
        "; it looks like the end of a here-document that was taken for content: remove that line, and close here-documents at the start of a line"
    } else {
        ""
    }
}

/// The objects of a file, in kustomize's order: the items of a list come after the other
/// documents of its file.
///
/// # Errors
/// As [`documents`], and for every document that is not a Kubernetes object.
pub(crate) fn objects(file: &str, content: &[u8]) -> Result<Vec<Object>, BuildError> {
    objects_of(file, documents(file, content)?)
}

/// The same for documents that were read already.
///
/// # Errors
/// For every document that is not a Kubernetes object.
pub(crate) fn objects_of(
    file: &str,
    documents: Vec<yaml::Document>,
) -> Result<Vec<Object>, BuildError> {
    let mut queue: VecDeque<(Value, usize)> = documents
        .into_iter()
        .map(|document| (document.value, document.line))
        .collect();
    let mut objects = Vec::with_capacity(queue.len());
    while let Some((value, line)) = queue.pop_front() {
        let origin = Origin {
            file: file.to_owned(),
            line: Some(line),
        };
        if value.as_object().is_some_and(serde_json::Map::is_empty) {
            continue;
        }
        match list_items(value, &origin)? {
            List::Items(items) => queue.extend(items.into_iter().map(|item| (item, line))),
            List::No(value) => {
                check(&value).map_err(|problem| BuildError::Object {
                    origin: origin.clone(),
                    problem,
                })?;
                objects.push(Object {
                    value,
                    origin: Some(origin),
                });
            }
        }
    }
    Ok(objects)
}

enum List {
    Items(Vec<Value>),
    No(Value),
}

/// The items of an object of a kind `…List` with a field `items`.
fn list_items(mut value: Value, origin: &Origin) -> Result<List, BuildError> {
    let is_list = text(&value, "/kind").is_some_and(|kind| kind.ends_with("List"));
    match value.get_mut("items") {
        Some(items) if is_list => match items.take() {
            Value::Array(items) => Ok(List::Items(items)),
            Value::Null => Ok(List::Items(Vec::new())),
            _ => Err(BuildError::Object {
                origin: origin.clone(),
                problem: "the field items of a list is not a list".to_owned(),
            }),
        },
        _ => Ok(List::No(value)),
    }
}

/// Checks for what every object must have.
///
/// # Errors
/// What is missing.
pub(crate) fn check(value: &Value) -> Result<(), String> {
    if !value.is_object() {
        let found = match value {
            Value::Array(_) => "a list",
            Value::String(_) => "a text",
            _ => "a single value",
        };
        return Err(format!(
            "the document is {found}, and should be a mapping with apiVersion, kind and \
             metadata.name"
        ));
    }
    for (pointer, field) in [
        ("/apiVersion", "apiVersion"),
        ("/kind", "kind"),
        ("/metadata/name", "metadata.name"),
    ] {
        match value.pointer(pointer) {
            Some(Value::String(text)) if !text.is_empty() => {}
            Some(Value::String(_) | Value::Null) | None => {
                let generated =
                    field == "metadata.name" && text(value, "/metadata/generateName").is_some();
                return Err(if generated {
                    "metadata.name is missing: a name made by generateName would be another one \
                     at each apply"
                        .to_owned()
                } else {
                    format!("{field} is missing")
                });
            }
            Some(_) => return Err(format!("{field} is not a text; put it in quotes")),
        }
    }
    for field in ["namespace", "labels", "annotations"] {
        let pointer = format!("/metadata/{field}");
        let sound = match value.pointer(&pointer) {
            None | Some(Value::Null) => true,
            Some(found) if field == "namespace" => found.is_string(),
            Some(found) => found.is_object(),
        };
        if !sound {
            let should = if field == "namespace" {
                "text"
            } else {
                "mapping"
            };
            return Err(format!("metadata.{field} is not a {should}"));
        }
    }
    Ok(())
}

/// Checks for what becomes part of a URL: nothing in it may lead elsewhere. A Deployment `web/scale`
/// would be the scale of another one. No text is shown, since it may come from a Secret.
///
/// # Errors
/// What is wrong.
pub(crate) fn check_path(value: &Value) -> Result<(), String> {
    for (pointer, slashes) in [
        ("/apiVersion", 1),
        ("/metadata/namespace", 0),
        ("/metadata/name", 0),
    ] {
        let field = pointer.trim_start_matches('/').replace('/', ".");
        let text = text(value, pointer).unwrap_or_default();
        let wrong = text
            .chars()
            .find(|c| matches!(c, '?' | '#' | '%' | '\\') || c.is_whitespace() || c.is_control())
            .or_else(|| text.chars().filter(|c| *c == '/').nth(slashes));
        if let Some(wrong) = wrong {
            return Err(format!("{field} must not hold {wrong:?} here"));
        }
        if text.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(format!("{field} must not be \".\" or \"..\""));
        }
    }
    Ok(())
}

/// Whether an object still is what SOPS made of it.
pub(crate) fn is_encrypted(value: &Value) -> bool {
    match value.get("sops") {
        None => false,
        Some(_) if text(value, "/kind") == Some("Secret") => true,
        Some(sops) => sops.get("mac").is_some(),
    }
}

/// `Kind/namespace/name`, as Flux's messages name objects.
pub(crate) fn describe(value: &Value) -> String {
    let part = |pointer| text(value, pointer).unwrap_or_default();
    let (kind, namespace, name) = (
        part("/kind"),
        part("/metadata/namespace"),
        part("/metadata/name"),
    );
    if namespace.is_empty() {
        format!("{kind}/{name}")
    } else {
        format!("{kind}/{namespace}/{name}")
    }
}

/// The text at a JSON pointer.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let objects = objects("a.yaml", text.as_bytes()).unwrap();
        objects
            .iter()
            .map(|object| {
                format!(
                    "{} {}",
                    describe(&object.value),
                    object.origin.as_ref().unwrap()
                )
            })
            .collect()
    }

    #[test]
    fn lists_are_expanded_after_the_rest() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: \
                    {name: s}}\n- {apiVersion: v1, kind: ConfigMapList, items: [{apiVersion: v1, \
                    kind: ConfigMap, metadata: {name: c, namespace: ns}}]}\n---\n---\napiVersion: v1\n\
                    kind: Pod\nmetadata:\n  name: p\n";
        assert_eq!(
            names(text),
            [
                "Pod/p a.yaml:8",
                "Secret/s a.yaml:1",
                "ConfigMap/ns/c a.yaml:1"
            ]
        );
        assert!(names("kind: FooList\napiVersion: v1\nitems:\n").is_empty());
        assert!(names("# nothing\n---\n{}\n").is_empty());
        assert_eq!(
            names("{kind: AllowList, apiVersion: x/v1, metadata: {name: a}}").len(),
            1
        );
    }

    #[test]
    fn problems_name_file_and_line() {
        for (content, error) in [
            (
                "a: 1\n---\n\n- x\n",
                "a.yaml:1: not a Kubernetes object: apiVersion is missing",
            ),
            (
                "\n- x\n",
                "a.yaml:2: not a Kubernetes object: the document is a list, and should be a \
                 mapping with apiVersion, kind and metadata.name",
            ),
            (
                "apiVersion: v1\nkind: Pod\nmetadata: {}\n",
                "a.yaml:1: not a Kubernetes object: metadata.name is missing",
            ),
            (
                "apiVersion: v1\nkind: Pod\nmetadata: {name: 12}\n",
                "a.yaml:1: not a Kubernetes object: metadata.name is not a text; put it in quotes",
            ),
            (
                "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: []}\n",
                "a.yaml:1: not a Kubernetes object: metadata.labels is not a mapping",
            ),
        ] {
            let found = objects("a.yaml", content.as_bytes())
                .unwrap_err()
                .to_string();
            assert_eq!(found, error);
        }
        let yaml = objects("a.yaml", b"a:\n  - b\n c: d\n")
            .unwrap_err()
            .to_string();
        assert!(yaml.starts_with("a.yaml:3:2: invalid YAML: "), "{yaml}");
        assert!(matches!(
            objects("a", b"\xff"),
            Err(BuildError::Encoding { .. })
        ));
    }

    #[test]
    fn what_becomes_part_of_a_url_leads_nowhere_else() {
        for (version, namespace, name, problem) in [
            ("apps/v1", "ns", "web", None),
            ("rbac.authorization.k8s.io/v1", "", "system:a.b", None),
            (
                "apps/v1",
                "ns",
                "web/scale",
                Some("metadata.name must not hold '/' here"),
            ),
            (
                "v1",
                "ns",
                "a?dryRun=All",
                Some("metadata.name must not hold '?' here"),
            ),
            (
                "v1",
                "ns",
                "a#b",
                Some("metadata.name must not hold '#' here"),
            ),
            (
                "v1",
                "ns",
                "a%2fb",
                Some("metadata.name must not hold '%' here"),
            ),
            (
                "v1",
                "ns",
                "..",
                Some("metadata.name must not be \".\" or \"..\""),
            ),
            (
                "v1",
                "a/b",
                "c",
                Some("metadata.namespace must not hold '/' here"),
            ),
            (
                "apps/v1/x",
                "a",
                "c",
                Some("apiVersion must not hold '/' here"),
            ),
            (
                "apps/..",
                "a",
                "c",
                Some("apiVersion must not be \".\" or \"..\""),
            ),
        ] {
            let object = serde_json::json!({"apiVersion": version, "kind": "A",
                "metadata": {"name": name, "namespace": namespace}});
            let found = check_path(&object).err();
            assert_eq!(found.as_deref(), problem);
        }
    }

    #[test]
    fn the_end_of_a_here_document_is_recognised() {
        let text = "kind: Service\nspec:\n  ports:\n  - port: 8080\n    EOF\n";
        assert!(heredoc_hint(text, 5).contains("here-document"));
        assert!(heredoc_hint(text, 6).contains("here-document"));
        assert_eq!(heredoc_hint(text, 3), "");
        assert_eq!(heredoc_hint("", 1), "");
    }

    #[test]
    fn encrypted() {
        for (json, expected) in [
            (r#"{"kind": "Secret", "sops": {}}"#, true),
            (r#"{"kind": "ConfigMap", "sops": {"mac": "x"}}"#, true),
            (r#"{"kind": "ConfigMap", "sops": {}}"#, false),
            (r#"{"kind": "Secret", "data": {"sops": "x"}}"#, false),
        ] {
            assert_eq!(
                is_encrypted(&serde_json::from_str(json).unwrap()),
                expected,
                "{json}"
            );
        }
    }
}
