//! What an API server and the readers of a definition rely on.

use std::collections::BTreeSet;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use super::*;

fn schema<'a>(crd: &'a CustomResourceDefinition, version: &str) -> &'a JSONSchemaProps {
    let version = crd
        .spec
        .versions
        .iter()
        .find(|v| v.name == version)
        .unwrap();
    version
        .schema
        .as_ref()
        .unwrap()
        .open_api_v3_schema
        .as_ref()
        .unwrap()
}

/// Calls `visit` with the path and schema of every field.
fn walk(path: &str, schema: &JSONSchemaProps, visit: &mut dyn FnMut(&str, &JSONSchemaProps)) {
    visit(path, schema);
    for (name, property) in schema.properties.iter().flatten() {
        walk(&format!("{path}.{name}"), property, visit);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        walk(&format!("{path}[]"), items, visit);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        walk(&format!("{path}{{}}"), values, visit);
    }
}

fn paths(crd: &CustomResourceDefinition, version: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    walk("", schema(crd, version), &mut |path, _| {
        paths.insert(path.to_owned());
    });
    paths
}

#[test]
fn every_version_has_every_field() {
    for crd in all() {
        let stored = paths(&crd, STORED);
        assert!(stored.len() > 30, "{}", crd.spec.names.kind);
        for version in DEPRECATED {
            assert_eq!(
                paths(&crd, version),
                stored,
                "{} {version}",
                crd.spec.names.kind
            );
        }
    }
}

#[test]
fn every_field_is_described_and_none_takes_null() {
    for crd in all() {
        walk(
            &crd.spec.names.kind,
            schema(&crd, STORED),
            &mut |path, field| {
                let named = !path.ends_with("[]") && !path.ends_with("{}");
                if named && !path.ends_with(".metadata") {
                    assert!(field.description.is_some(), "{path} has no description");
                }
                assert_eq!(field.nullable, None, "{path}");
                let null = |words: &Vec<_>| words.iter().any(|word: &JSON| word.0.is_null());
                assert!(!field.enum_.as_ref().is_some_and(null), "{path}");
            },
        );
    }
}

#[test]
fn structural_schemas_have_a_type_or_keep_everything() {
    for crd in all() {
        walk(
            &crd.spec.names.kind,
            schema(&crd, STORED),
            &mut |path, field| {
                let anything = field.x_kubernetes_preserve_unknown_fields == Some(true);
                assert!(field.type_.is_some() || anything, "{path}");
                assert!(field.any_of.is_none() && field.one_of.is_none(), "{path}");
            },
        );
    }
}

#[test]
fn old_versions_say_what_to_write() {
    for crd in all() {
        let [stored, older @ ..] = crd.spec.versions.as_slice() else {
            panic!("no version")
        };
        assert!(stored.served && stored.storage && stored.deprecated.is_none());
        assert_eq!(
            older.iter().map(|v| v.name.as_str()).collect::<Vec<_>>(),
            DEPRECATED
        );
        for version in older {
            assert!(version.served && !version.storage && version.deprecated == Some(true));
            let warning = version.deprecation_warning.as_deref().unwrap();
            let remedy = format!("write apiVersion: {}/v1", crd.spec.group);
            assert!(warning.contains(&remedy), "{warning}");
            // The API server refuses longer ones.
            assert!(warning.len() <= 256);
        }
    }
}

#[test]
fn columns_of_old_versions_show_fields_that_exist() {
    for crd in all() {
        for version in &crd.spec.versions {
            for column in version.additional_printer_columns.as_ref().unwrap() {
                let path = column.json_path.split('[').next().unwrap();
                let known = path.starts_with(".metadata.") || paths(&crd, STORED).contains(path);
                assert!(known, "{} {}: {path}", crd.spec.names.kind, version.name);
            }
        }
    }
}

#[test]
fn an_image_policy_of_an_old_version_shows_its_latest_image() {
    let crd = all()
        .into_iter()
        .find(|crd| crd.spec.names.kind == "ImagePolicy")
        .unwrap();
    for version in &crd.spec.versions[1..] {
        let columns = version.additional_printer_columns.as_ref().unwrap();
        let names: Vec<_> = columns
            .iter()
            .map(|column| column.name.to_uppercase())
            .collect();
        assert_eq!(names, ["LATESTIMAGE"]);
    }
}
