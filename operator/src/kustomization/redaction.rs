//! Values of Secrets in the words of the API server: a refusal repeats what it refuses, and a manifest
//! may have that from `spec.postBuild.substituteFrom`.

use flux_apply::{Outcome, in_quotes};
use flux_build::Variables;

/// Shorter ones are no secrets, and stand in every text by chance.
const SHORTEST: usize = 4;

/// What to do where a text is wanted: quotes around a variable are gone before its value is there.
const QUOTES: &str = "(quotes count only as part of the variable's value: \"\\\"...\\\"\")";

/// Values that must not be shown, each with the variable to show instead.
#[derive(Default)]
pub(super) struct Redaction(Vec<(String, String)>);

impl Redaction {
    /// Of the variables that come from Secrets.
    pub(super) fn of(variables: &[Variables]) -> Self {
        let secret = variables.iter().filter(|v| v.source.starts_with("Secret/"));
        let mut values = Vec::new();
        for (name, value) in secret.flat_map(|variables| &variables.values) {
            // Quotes make it a text in the manifest, where they are lost.
            let value = value.trim().trim_matches(['"', '\'']);
            if value.len() < SHORTEST || matches!(value, "true" | "false" | "null") {
                continue;
            }
            let name = format!("${{{name}}}");
            // Values are repeated as they are, or as a literal between quotes.
            let quoted = value.escape_debug().to_string();
            if quoted != value {
                values.push((quoted, name.clone()));
            }
            values.push((value.to_owned(), name));
        }
        // One may be part of another.
        values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        Self(values)
    }

    /// The text with the names of variables in place of their values.
    pub(super) fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (value, name) in &self.0 {
            if text.contains(value.as_str()) {
                text = replace(&text, value, name).replace(&in_quotes(name), QUOTES);
            }
        }
        text
    }

    /// Hides them in all that is told of an apply.
    pub(super) fn hide_in(&self, outcome: &mut Outcome) {
        if self.0.is_empty() {
            return;
        }
        let failures = outcome.failures.iter_mut().map(|f| &mut f.message);
        let warnings = outcome.warnings.iter_mut().map(|(_, text)| text);
        let drifts = outcome.drifts.iter_mut().map(|(_, text)| text);
        for text in failures.chain(warnings).chain(drifts) {
            *text = self.hide(text);
        }
    }
}

/// Replaces a value where it stands for itself, not as a part of a word or number.
fn replace(text: &str, value: &str, name: &str) -> String {
    let mut found = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(value) {
        found.push_str(before);
        let joins = |a: Option<char>, b: Option<char>| {
            a.is_some_and(char::is_alphanumeric) && b.is_some_and(char::is_alphanumeric)
        };
        let is_part = joins(found.chars().next_back(), value.chars().next())
            || joins(value.chars().next_back(), after.chars().next());
        found.push_str(if is_part { value } else { name });
        rest = after;
    }
    found.push_str(rest);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secrets_are_not_repeated() {
        let variables = |source: &str, values: &[(&str, &str)]| Variables {
            source: source.to_owned(),
            values: values
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let redaction = Redaction::of(&[
            variables(
                "Secret/keys",
                &[
                    ("PIN", "4711"),
                    ("LONG", "4711-4711"),
                    ("ON", "true"),
                    ("ONE", "1"),
                    ("TWO", "two\nlines\n"),
                ],
            ),
            variables("ConfigMap/settings", &[("ZONE", "europe")]),
        ]);
        for (text, shown) in [
            (
                ".value: expected string, got 4711 (write it in quotes: \"4711\")",
                ".value: expected string, got ${PIN} (quotes count only as part of the variable's value: \"\\\"...\\\"\")",
            ),
            ("Invalid value: \"4711-4711\"", "Invalid value: \"${LONG}\""),
            ("\"two\\nlines\" and two\nlines", "\"${TWO}\" and ${TWO}"),
            ("port 14711, true, 1, europe", "port 14711, true, 1, europe"),
        ] {
            assert_eq!(redaction.hide(text), shown);
        }
    }
}
