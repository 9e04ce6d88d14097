//! From the schema that schemars derives to the one that an API server wants.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::json;

/// Removes what optional fields leave behind: `nullable`, and `null` among the words of an
/// enumeration. An API server would store such nulls, which Flux's schemas do not allow.
///
/// Descriptions lose the line breaks of the source.
pub(super) fn tidy(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.title = None;
    if let Some(words) = &mut schema.enum_ {
        words.retain(|word| !word.0.is_null());
    }
    if let Some(description) = &mut schema.description {
        *description = reflow(description);
    }
    for property in schema
        .properties
        .iter_mut()
        .flat_map(|map| map.values_mut())
    {
        tidy(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        tidy(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        tidy(values);
    }
}

/// Adds the fields that every object has, and the status of an object that nobody looked at yet.
pub(super) fn complete_root(root: &mut JSONSchemaProps) {
    root.required = None;
    let typed = |type_: &str, description: Option<&str>| JSONSchemaProps {
        type_: Some(type_.to_owned()),
        description: description.map(str::to_owned),
        ..JSONSchemaProps::default()
    };
    let properties = root.properties.get_or_insert_default();
    let api_version = typed(
        "string",
        Some("API group and version that this object is written in."),
    );
    properties.insert("apiVersion".to_owned(), api_version);
    properties.insert(
        "kind".to_owned(),
        typed("string", Some("Kind of this object.")),
    );
    properties.insert("metadata".to_owned(), typed("object", None));
    if let Some(status) = properties.get_mut("status") {
        status.default = Some(JSON(json!({ "observedGeneration": -1 })));
    }
}

/// The schema at a path such as `spec.include[].repository`.
pub(super) fn at<'a>(root: &'a mut JSONSchemaProps, path: &str) -> Option<&'a mut JSONSchemaProps> {
    path.split('.').try_fold(root, |schema, step| {
        let name = step.trim_end_matches("[]");
        let property = schema.properties.as_mut()?.get_mut(name)?;
        if name == step {
            return Some(property);
        }
        match property.items.as_mut()? {
            JSONSchemaPropsOrArray::Schema(items) => Some(items),
            JSONSchemaPropsOrArray::Schemas(_) => None,
        }
    })
}

/// Joins lines; an empty line stays the border of a paragraph.
fn reflow(text: &str) -> String {
    let paragraphs = text.split("\n\n");
    paragraphs
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_and_paragraphs_kept() {
        assert_eq!(reflow("a\nb\n\nc\n d"), "a b\n\nc d");
    }

    #[test]
    fn nulls_go() {
        let mut schema: JSONSchemaProps = serde_json::from_value(json!({
            "type": "object",
            "properties": { "a": { "type": "array", "items": {
                "type": "string", "nullable": true, "enum": ["x", null],
            } } },
        }))
        .unwrap();
        tidy(&mut schema);
        let item = at(&mut schema, "a[]").unwrap();
        assert_eq!(
            (item.nullable, &item.enum_),
            (None, &Some(vec![JSON(json!("x"))]))
        );
        assert!(at(&mut schema, "a.b").is_none());
        assert!(at(&mut schema, "b").is_none());
    }
}
