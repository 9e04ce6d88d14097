//! Secret values in texts of others: kustomize and the API server repeat what they refuse.

use serde_json::Value;

/// Shorter ones are no secrets, and stand in every text by chance.
const SHORTEST: usize = 4;

/// Values that must not be shown, each with what to show instead.
#[derive(Default)]
pub struct Redaction(Vec<(String, String)>);

impl Redaction {
    /// Of values and what to show instead.
    pub fn of(values: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut found = Vec::new();
        let mut add = |value: &str, shown: &str| {
            if value.len() < SHORTEST || matches!(value, "true" | "false" | "null") {
                return;
            }
            // Values are repeated as they are, or as a literal between quotes.
            let quoted = Value::from(value).to_string();
            let quoted = quoted.trim_matches('"');
            if quoted != value {
                found.push((quoted.to_owned(), shown.to_owned()));
            }
            found.push((value.to_owned(), shown.to_owned()));
        };
        for (value, shown) in values {
            // Quotes make it a text in a manifest, where they are lost.
            let value = value.trim().trim_matches(['"', '\'']);
            add(value, &shown);
            if value.contains('\n') {
                value.lines().for_each(|line| add(line.trim(), &shown));
            }
        }
        // One may be part of another.
        found.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        found.dedup();
        Self(found)
    }

    /// Of a content that was encrypted: all its values, or its lines where it is no YAML.
    pub(crate) fn of_content(contents: &[bytes::Bytes], shown: &str) -> Self {
        let values = contents.iter().flat_map(|content| {
            let text = String::from_utf8_lossy(content);
            let leaves = flux_lang::yaml::leaves(&text).unwrap_or_default();
            let leaves = leaves.into_iter().flatten();
            let mut values: Vec<String> = leaves
                .filter(|leaf| leaf.value.is_string() || leaf.value.is_number())
                .map(|leaf| leaf.text)
                .collect();
            let pairs = text.lines().filter_map(|line| line.split_once('='));
            values.extend(pairs.map(|(_, value)| value.to_owned()));
            values.push(text.into_owned());
            values
        });
        Self::of(values.map(|value| (value, shown.to_owned())))
    }

    /// Whether there is nothing to hide.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text without the values.
    pub fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (value, shown) in &self.0 {
            if text.contains(value.as_str()) {
                text = replace(&text, value, shown);
            }
        }
        text
    }
}

/// The values of a Secret, each with the object and key to show instead.
pub fn secret_values(object: &Value) -> Vec<(String, String)> {
    if object["kind"] != "Secret" || object["apiVersion"] != "v1" {
        return Vec::new();
    }
    let name = crate::manifest::describe(object);
    let mut found = Vec::new();
    for field in ["data", "stringData"] {
        for (key, value) in object[field].as_object().into_iter().flatten() {
            let Some(value) = value.as_str() else {
                continue;
            };
            let shown = format!("({key} of {name})");
            if let Some(decoded) = crate::decryption::decode(value).filter(|_| field == "data") {
                found.extend(String::from_utf8(decoded).ok().map(|v| (v, shown.clone())));
            }
            found.push((value.to_owned(), shown));
        }
    }
    found
}

/// Replaces a value where it stands for itself, not as a part of a word or number.
fn replace(text: &str, value: &str, shown: &str) -> String {
    let mut found = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(value) {
        found.push_str(before);
        let joins = |a: Option<char>, b: Option<char>| {
            a.is_some_and(char::is_alphanumeric) && b.is_some_and(char::is_alphanumeric)
        };
        let is_part = joins(found.chars().next_back(), value.chars().next())
            || joins(value.chars().next_back(), after.chars().next());
        found.push_str(if is_part { value } else { shown });
        rest = after;
    }
    found.push_str(rest);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_hidden_where_they_stand_for_themselves() {
        let values = [
            ("4711", "PIN"),
            ("4711-4711", "LONG"),
            ("true", "ON"),
            ("1", "ONE"),
            ("two\nlines\n", "TWO"),
            ("\"quoted\"", "QUOTED"),
        ];
        let redaction = Redaction::of(values.map(|(v, s)| (v.to_owned(), format!("<{s}>"))));
        for (text, shown) in [
            ("got 4711 (\"4711\")", "got <PIN> (\"<PIN>\")"),
            ("Invalid value: \"4711-4711\"", "Invalid value: \"<LONG>\""),
            ("\"two\\nlines\" and two\nlines", "\"<TWO>\" and <TWO>"),
            ("|\n  two\n  lines", "|\n  two\n  <TWO>"),
            ("a quoted text", "a <QUOTED> text"),
            ("port 14711, true, 1", "port 14711, true, 1"),
        ] {
            assert_eq!(redaction.hide(text), shown);
        }
    }

    #[test]
    fn contents_and_secrets_have_values() {
        let contents = [
            "a: {b: hunter2}\nc: plain text\n",
            "KEY=value\nother line\n",
        ];
        let contents = contents.map(|text| text.to_owned().into());
        let redaction = Redaction::of_content(&contents, "***");
        for (text, shown) in [
            ("node contents:\n\"hunter2\"", "node contents:\n\"***\""),
            ("x: plain text!", "x: ***!"),
            ("is value, other line", "is ***, ***"),
        ] {
            assert_eq!(redaction.hide(text), shown);
        }
        let secret = serde_json::json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "db", "namespace": "a"},
            "data": {"pin": "NDcxMTQ3"}, "stringData": {"user": "somebody"}});
        let redaction = Redaction::of(secret_values(&secret));
        assert_eq!(
            redaction.hide("NDcxMTQ3 471147 somebody"),
            "(pin of Secret/a/db) (pin of Secret/a/db) (user of Secret/a/db)"
        );
    }
}
