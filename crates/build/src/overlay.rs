//! What the spec of a Kustomization changes: in the kustomization file before the build, and in
//! the objects after it. The rules are those of Flux's generator.

use std::collections::BTreeMap;

use flux_api::kustomize::{CommonMetadata, Image, KustomizationSpec, Patch, Selector};
use serde_json::{Map, Value, json};

use crate::kustomization::Kustomization;
use crate::{BuildError, Files, paths};

/// The first field of a spec that only kustomize can do, by its JSON name.
pub(crate) fn first_field(spec: &KustomizationSpec) -> Option<&'static str> {
    [
        ("namePrefix", spec.name_prefix.is_some()),
        ("nameSuffix", spec.name_suffix.is_some()),
        ("patches", !spec.patches.is_empty()),
        (
            "patchesStrategicMerge",
            !spec.patches_strategic_merge.is_empty(),
        ),
        ("patchesJson6902", !spec.patches_json6902.is_empty()),
        ("images", !spec.images.is_empty()),
        ("components", !spec.components.is_empty()),
        ("buildMetadata", !spec.build_metadata.is_empty()),
    ]
    .into_iter()
    .find_map(|(field, set)| set.then_some(field))
}

/// Labels and annotations for one object; they win over its own.
pub fn common_metadata(object: &mut Value, common: &CommonMetadata) {
    merge(object, "labels", &common.labels);
    merge(object, "annotations", &common.annotations);
}

fn merge(object: &mut Value, field: &str, values: &BTreeMap<String, String>) {
    if values.is_empty() {
        return;
    }
    let Some(object) = object.as_object_mut() else {
        return;
    };
    let metadata = mapping(object, "metadata");
    let target = mapping(metadata, field);
    for (key, value) in values {
        target.insert(key.clone(), Value::String(value.clone()));
    }
}

/// The mapping in a field; made anew when there is none.
fn mapping<'a>(parent: &'a mut Map<String, Value>, field: &str) -> &'a mut Map<String, Value> {
    let value = parent.entry(field).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        #[expect(clippy::unreachable, reason = "it was made an object above")]
        _ => unreachable!(),
    }
}

/// Writes the overlays of a spec into the kustomization file of `directory`.
///
/// # Errors
/// When a component is not a relative path.
pub(crate) fn apply(
    kustomization: &mut Kustomization,
    spec: &KustomizationSpec,
    files: &Files,
    directory: &str,
) -> Result<(), BuildError> {
    let fields = &mut kustomization.fields;
    for (field, value) in [
        ("namespace", &spec.target_namespace),
        ("namePrefix", &spec.name_prefix),
        ("nameSuffix", &spec.name_suffix),
    ] {
        if let Some(value) = value {
            fields.insert(field.to_owned(), Value::String(value.clone()));
        }
    }
    append(fields, "patches", spec.patches.iter().map(patch).collect());
    // The old forms: each patch is inline text, which JSON is as well.
    let texts = spec
        .patches_strategic_merge
        .iter()
        .map(|patch| match patch {
            Value::String(text) => json!(text),
            patch => json!(patch.to_string()),
        });
    append(fields, "patchesStrategicMerge", texts.collect());
    let operations = spec.patches_json6902.iter().map(
        |patch| json!({"patch": json!(patch.patch).to_string(), "target": selector(&patch.target)}),
    );
    append(fields, "patchesJson6902", operations.collect());
    merge_images(fields, &spec.images);
    append(fields, "components", components(spec, files, directory)?);
    if !spec.build_metadata.is_empty() {
        fields.insert("buildMetadata".to_owned(), json!(spec.build_metadata));
    }
    Ok(())
}

fn append(fields: &mut Map<String, Value>, field: &str, mut values: Vec<Value>) {
    if values.is_empty() {
        return;
    }
    match fields.get_mut(field) {
        Some(Value::Array(list)) => list.append(&mut values),
        _ => {
            fields.insert(field.to_owned(), Value::Array(values));
        }
    }
}

fn patch(patch: &Patch) -> Value {
    match &patch.target {
        Some(target) => json!({"patch": patch.patch, "target": selector(target)}),
        None => json!({"patch": patch.patch}),
    }
}

/// Flux's selector has kustomize's field names.
fn selector(selector: &Selector) -> Value {
    json!(selector)
}

/// Images by name: a new name replaces the old one; tag and digest are replaced as a unit.
fn merge_images(fields: &mut Map<String, Value>, images: &[Image]) {
    let mut list = match fields.get("images") {
        Some(Value::Array(list)) => list.clone(),
        _ => Vec::new(),
    };
    for image in images {
        let known = list
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .find(|known| known.get("name").and_then(Value::as_str) == Some(&image.name));
        match known {
            Some(known) => {
                if let Some(name) = &image.new_name {
                    known.insert("newName".to_owned(), json!(name));
                }
                if image.new_tag.is_some() || image.digest.is_some() {
                    for (field, value) in [("newTag", &image.new_tag), ("digest", &image.digest)] {
                        match value {
                            Some(value) => known.insert(field.to_owned(), json!(value)),
                            None => known.remove(field),
                        };
                    }
                }
            }
            None => list.push(json!(image)),
        }
    }
    if !images.is_empty() {
        fields.insert("images".to_owned(), Value::Array(list));
    }
}

fn components(
    spec: &KustomizationSpec,
    files: &Files,
    directory: &str,
) -> Result<Vec<Value>, BuildError> {
    let mut components = Vec::new();
    for component in &spec.components {
        let wrong = |problem: &str| BuildError::Kustomization {
            file: "spec.components".to_owned(),
            problem: format!("'{component}' {problem}"),
        };
        if component.contains("://") || component.starts_with('/') || component.contains('@') {
            return Err(wrong("must be a path relative to spec.path"));
        }
        let path =
            paths::join(directory, component).ok_or_else(|| wrong("leads out of the source"))?;
        if paths::is_directory(files, &path) {
            components.push(json!(component));
        } else if !spec.ignore_missing_components {
            return Err(wrong(&format!(
                "does not exist (./{path}); set spec.ignoreMissingComponents if it may be missing"
            )));
        }
    }
    Ok(components)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlaid(fields: Value, spec: Value) -> Result<Value, BuildError> {
        let mut full = json!({"interval": "1m", "prune": true,
            "sourceRef": {"kind": "GitRepository", "name": "a"}});
        full.as_object_mut()
            .unwrap()
            .append(&mut spec.as_object().unwrap().clone());
        let spec: KustomizationSpec = serde_json::from_value(full).unwrap();
        let Value::Object(fields) = fields else {
            panic!("fields")
        };
        let mut kustomization = Kustomization {
            file: "k".into(),
            fields,
        };
        let files = [("apps/c/kustomization.yaml".to_owned(), bytes::Bytes::new())].into();
        apply(&mut kustomization, &spec, &files, "apps/a")?;
        Ok(Value::Object(kustomization.fields))
    }

    #[test]
    fn fields_of_the_spec() {
        for (fields, spec, expected) in [
            (
                json!({"namespace": "old"}),
                json!({"targetNamespace": "new", "namePrefix": "p-"}),
                json!({"namespace": "new", "namePrefix": "p-"}),
            ),
            (
                json!({"patches": [{"path": "a"}]}),
                json!({"patches": [{"patch": "b", "target": {"kind": "Pod"}}]}),
                json!({"patches": [{"path": "a"}, {"patch": "b", "target": {"kind": "Pod"}}]}),
            ),
            (
                json!({}),
                json!({"patchesStrategicMerge": [{"kind": "A"}]}),
                json!({"patchesStrategicMerge": ["{\"kind\":\"A\"}"]}),
            ),
            (
                json!({}),
                json!({"patchesJson6902": [{"patch": [{"op": "remove", "path": "/a"}], "target": {"name": "x"}}]}),
                json!({"patchesJson6902": [{"patch": "[{\"op\":\"remove\",\"path\":\"/a\"}]", "target": {"name": "x"}}]}),
            ),
            (
                json!({"images": [{"name": "a", "newName": "n", "newTag": "1"}]}),
                json!({"images": [{"name": "a", "digest": "sha256:0"}, {"name": "b", "newTag": "2"}]}),
                json!({"images": [{"name": "a", "newName": "n", "digest": "sha256:0"}, {"name": "b", "newTag": "2"}]}),
            ),
            (
                json!({}),
                json!({"components": ["../c", "../gone"], "ignoreMissingComponents": true}),
                json!({"components": ["../c"]}),
            ),
            (
                json!({"buildMetadata": ["managedByLabel"]}),
                json!({"buildMetadata": ["originAnnotations"]}),
                json!({"buildMetadata": ["originAnnotations"]}),
            ),
        ] {
            assert_eq!(overlaid(fields, spec.clone()).unwrap(), expected, "{spec}");
        }
        for component in ["https://x/y", "/abs", "../../../x", "../gone"] {
            assert!(
                overlaid(json!({}), json!({"components": [component]})).is_err(),
                "{component}"
            );
        }
    }

    #[test]
    fn common_metadata_wins() {
        let common = CommonMetadata {
            labels: [("a".into(), "new".into())].into(),
            annotations: BTreeMap::new(),
        };
        let mut object = json!({"metadata": {"labels": {"a": "old", "b": "old"}}});
        common_metadata(&mut object, &common);
        assert_eq!(
            object,
            json!({"metadata": {"labels": {"a": "new", "b": "old"}}})
        );
        let mut object = json!({"metadata": {"name": "x", "labels": null}});
        common_metadata(&mut object, &common);
        assert_eq!(
            object,
            json!({"metadata": {"name": "x", "labels": {"a": "new"}}})
        );
    }
}
