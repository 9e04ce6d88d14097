//! Objects as text: exported manifests, and the forms of `-o`.

use flux_lang::yaml;
use serde_json::Value;

use crate::error::Error;

/// Forms of `-o` for what is not a list of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

impl Format {
    /// Reads the flag; the error is worded as Flux words it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Self::Json),
            "yaml" => Ok(Self::Yaml),
            _ => Err(format!(
                "format '{text}' not supported, must be one of: json, yaml"
            )),
        }
    }
}

/// A manifest as Flux exports it: document start, then keys in alphabetical order.
pub(crate) fn export(object: &Value) -> String {
    format!("---\n{}", yaml::to_string(object))
}

/// Indented JSON with a final newline.
///
/// # Errors
/// None in practice: a [`Value`] always has a JSON text.
pub(crate) fn json(value: &Value) -> Result<String, Error> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|error| Error::input(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn exports_start_a_document_and_sort_keys() {
        let object = json!({"kind": "K", "apiVersion": "v1", "metadata": {"name": "x"}});
        assert_eq!(
            super::export(&object),
            "---\napiVersion: v1\nkind: K\nmetadata:\n  name: x\n"
        );
    }
}
