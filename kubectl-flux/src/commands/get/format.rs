//! The forms of `-o`. Pure.

use flux_lang::jsonpath::Template;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::error::Error;
use crate::kind::Kind;
use crate::output::manifest;

/// What a column shows that an object does not have, as kubectl prints it.
const NONE: &str = "<none>";
/// Least space between columns, as in kubectl.
const GAP: usize = 3;

/// Forms of `-o`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Format {
    Json,
    Yaml,
    Name,
    Wide,
    /// `jsonpath=TEMPLATE`.
    JsonPath(Template),
    /// `custom-columns=HEADER:PATH,...`.
    Columns(Vec<(String, Template)>),
}

impl Format {
    /// Reads the flag.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None => match text {
                "json" => Ok(Self::Json),
                "yaml" => Ok(Self::Yaml),
                "name" => Ok(Self::Name),
                "wide" => Ok(Self::Wide),
                _ => Err(unknown(text)),
            },
            Some(("jsonpath", template)) => Template::parse(template)
                .map(Self::JsonPath)
                .map_err(|error| format!("jsonpath {template:?}: {error}")),
            Some(("custom-columns", columns)) => columns
                .split(',')
                .map(column)
                .collect::<Result<_, _>>()
                .map(Self::Columns),
            Some(_) => Err(unknown(text)),
        }
    }

    /// Whether the answer is a table of ours.
    pub(super) fn is_table(format: Option<&Self>) -> bool {
        matches!(format, None | Some(Self::Wide))
    }

    /// The objects as text; `single` when one was asked for by its name.
    ///
    /// # Errors
    /// None in practice: a JSON value always has a text.
    pub(super) fn render(
        &self,
        found: Vec<(Kind, Vec<DynamicObject>)>,
        single: bool,
        with_headers: bool,
    ) -> Result<String, Error> {
        if *self == Self::Name {
            let lines = found
                .iter()
                .flat_map(|(kind, objects)| objects.iter().map(|object| line(*kind, object)));
            return Ok(lines.collect());
        }
        let items: Vec<Value> = found
            .into_iter()
            .flat_map(|(kind, objects)| objects.into_iter().map(move |object| whole(kind, object)))
            .collect();
        if let Self::Columns(columns) = self {
            return Ok(table(columns, &items, with_headers));
        }
        let value = document(items, single);
        match self {
            Self::Yaml => Ok(flux_lang::yaml::to_string(&value)),
            Self::JsonPath(template) => Ok(template.render(&value)),
            _ => manifest::json(&value),
        }
    }
}

fn unknown(text: &str) -> String {
    format!(
        "format '{text}' not supported, must be one of: json, yaml, name, wide, \
         jsonpath=TEMPLATE, custom-columns=HEADER:PATH,..."
    )
}

fn column(text: &str) -> Result<(String, Template), String> {
    let Some((header, path)) = text
        .split_once(':')
        .filter(|(header, _)| !header.is_empty())
    else {
        return Err(format!(
            "column {text:?} is not HEADER:PATH, such as NAME:.metadata.name"
        ));
    };
    let template = Template::parse_relaxed(path)
        .map_err(|error| format!("path {path:?} of column {header}: {error}"))?;
    Ok((header.to_owned(), template))
}

/// Columns in kubectl's layout.
fn table(columns: &[(String, Template)], items: &[Value], with_headers: bool) -> String {
    let cell = |template: &Template, item: &Value| {
        let values = template.values(item);
        if values.is_empty() {
            NONE.to_owned()
        } else {
            values.join(",")
        }
    };
    let headers = with_headers.then(|| columns.iter().map(|(header, _)| header.clone()).collect());
    let rows: Vec<Vec<String>> = headers
        .into_iter()
        .chain(items.iter().map(|item| {
            let cells = columns.iter().map(|(_, template)| cell(template, item));
            cells.collect()
        }))
        .collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in &rows {
        let mut cells = row.iter().zip(&widths).peekable();
        while let Some((cell, width)) = cells.next() {
            match cells.peek() {
                Some(_) => text.push_str(&format!("{cell:<width$}", width = width + GAP)),
                None => text.push_str(cell),
            }
        }
        text.push('\n');
    }
    text
}

fn line(kind: Kind, object: &DynamicObject) -> String {
    format!(
        "{}/{}\n",
        kind.crd_name(),
        object.metadata.name.as_deref().unwrap_or_default()
    )
}

/// One object, or a List of them, as kubectl has it.
fn document(mut items: Vec<Value>, single: bool) -> Value {
    match items.pop() {
        Some(only) if single && items.is_empty() => only,
        last => {
            items.extend(last);
            json!({
                "apiVersion": "v1",
                "kind": "List",
                "items": items,
                "metadata": { "resourceVersion": "" },
            })
        }
    }
}

/// The object with its type, and without the bookkeeping of field managers.
fn whole(kind: Kind, mut object: DynamicObject) -> Value {
    object.metadata.managed_fields = None;
    let mut value = object.data;
    value["apiVersion"] = json!(kind.api_version());
    value["kind"] = json!(kind.name());
    value["metadata"] = json!(object.metadata);
    value
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use serde_json::json;

    use super::Format;
    use crate::kind::Kind;

    fn object(name: &str) -> DynamicObject {
        DynamicObject::new(name, &Kind::Kustomization.resource())
            .within("foo")
            .data(json!({"spec": {"prune": true}}))
    }

    fn render(format: &str, names: &[&str], single: bool) -> String {
        let objects = names.iter().map(|name| object(name)).collect();
        let found = vec![(Kind::Kustomization, objects)];
        let format = Format::parse(format).unwrap();
        format.render(found, single, true).unwrap()
    }

    #[test]
    fn one_object_is_printed_as_itself() {
        assert_eq!(
            render("yaml", &["a"], true),
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n\
             metadata:\n  name: a\n  namespace: foo\nspec:\n  prune: true\n"
        );
        assert_eq!(render("jsonpath={.metadata.name}", &["a"], true), "a");
    }

    #[test]
    fn several_objects_are_a_list() {
        let list: serde_json::Value =
            serde_json::from_str(&render("json", &["a", "b"], false)).unwrap();
        assert_eq!(list["kind"], "List");
        assert_eq!(list["items"][1]["metadata"]["name"], "b");
        assert!(render("json", &["a"], false).contains("\"List\""));
        assert_eq!(
            render("jsonpath={.items[*].metadata.name}", &["a", "b"], false),
            "a b"
        );
    }

    #[test]
    fn columns_of_ones_own() {
        assert_eq!(
            render(
                "custom-columns=NAME:.metadata.name,PRUNE:spec.prune,OWNER:.metadata.labels.x",
                &["a", "longer"],
                false
            ),
            "NAME     PRUNE   OWNER\na        true    <none>\nlonger   true    <none>\n"
        );
    }

    #[test]
    fn mistakes() {
        for (text, expected) in [
            ("xml", "format 'xml' not supported, must be one of: json"),
            (
                "jsonpath={.a",
                "jsonpath \"{.a\": } is missing at character 4",
            ),
            ("custom-columns=NAME", "column \"NAME\" is not HEADER:PATH"),
            ("custom-columns=A:.x[", "path \".x[\" of column A: "),
        ] {
            let error = Format::parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
