//! Objects of a file of manifests.

use flux_lang::yaml;
use serde_json::Value;

use super::read_text;
use crate::error::Error;

/// All objects of a YAML file, those inside of a List included.
pub(super) fn read(path: &str) -> Result<Vec<Value>, Error> {
    let text = read_text(path)?;
    let documents =
        yaml::read(&text).map_err(|error| Error::input(format!("{path} is not YAML: {error}")))?;
    let mut objects = Vec::new();
    for mut document in documents {
        match document.value.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => objects.extend(items),
            _ => objects.push(document.value),
        }
    }
    Ok(objects)
}

/// The objects of one of the kinds of images, in whatever version.
pub(super) fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let fits = |object: &&Value| {
        let group = object["apiVersion"].as_str().unwrap_or_default();
        object["kind"] == kind && group.starts_with("image.toolkit.fluxcd.io/")
    };
    objects.iter().filter(fits).collect()
}

/// `metadata.name`, or nothing.
pub(super) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// `metadata.namespace`, or the one given.
pub(super) fn namespace<'a>(object: &'a Value, default: &'a str) -> &'a str {
    object["metadata"]["namespace"].as_str().unwrap_or(default)
}
