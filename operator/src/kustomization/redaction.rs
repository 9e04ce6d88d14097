//! What must not be shown of what is told of a run: values of the Secrets that it reads and applies.

use flux_apply::{Outcome, in_quotes};
use flux_build::redaction::secret_values;
use flux_build::{Object, Redaction, Variables};

/// What to do where a text is wanted: quotes around a variable are gone before its value is there.
const QUOTES: &str = "(quotes count only as part of the variable's value: \"\\\"...\\\"\")";

/// The values of variables that come from Secrets, and of Secrets that are applied.
pub(super) fn of(variables: &[Variables], objects: &[Object]) -> Redaction {
    let secret = variables.iter().filter(|v| v.source.starts_with("Secret/"));
    let variables = secret
        .flat_map(|variables| &variables.values)
        .map(|(name, value)| (value.clone(), variable(name)));
    let secrets = objects.iter().flat_map(|o| secret_values(&o.value));
    Redaction::of(variables.chain(secrets))
}

fn variable(name: &str) -> String {
    format!("${{{name}}}")
}

/// Hides them in all that is told of an apply.
pub(super) fn hide_in(redaction: &Redaction, outcome: &mut Outcome) {
    if redaction.is_empty() {
        return;
    }
    let failures = outcome.failures.iter_mut().map(|f| &mut f.message);
    let warnings = outcome.warnings.iter_mut().map(|(_, text)| text);
    let drifts = outcome.drifts.iter_mut().map(|(_, text)| text);
    for text in failures.chain(warnings).chain(drifts) {
        *text = advise(&redaction.hide(text));
    }
}

/// Corrects the advice that a hidden variable does not follow.
fn advise(text: &str) -> String {
    let mut advised = String::with_capacity(text.len());
    let mut rest = text;
    let (open, close) = (in_quotes("${"), "}\")");
    let open = open.trim_end_matches("\")");
    while let Some((before, after)) = rest.split_once(open) {
        advised.push_str(before);
        match after.split_once(close) {
            Some((_, after)) => {
                advised.push_str(QUOTES);
                rest = after;
            }
            None => {
                advised.push_str(open);
                rest = after;
            }
        }
    }
    advised.push_str(rest);
    advised
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_named_with_the_advice_that_it_needs() {
        let variables = |source: &str, name: &str, value: &str| Variables {
            source: source.to_owned(),
            values: [(name.to_owned(), value.to_owned())].into(),
        };
        let variables = [
            variables("Secret/keys", "PIN", "4711"),
            variables("ConfigMap/settings", "ZONE", "europe"),
        ];
        let redaction = of(&variables, &[]);
        for (text, shown) in [
            (
                ".value: expected string, got 4711 (write it in quotes: \"4711\") [a.yaml:1]",
                ".value: expected string, got ${PIN} (quotes count only as part of the variable's value: \"\\\"...\\\"\") [a.yaml:1]",
            ),
            (
                "got 1 (write it in quotes: \"1\"), europe",
                "got 1 (write it in quotes: \"1\"), europe",
            ),
        ] {
            assert_eq!(advise(&redaction.hide(text)), shown);
        }
    }
}
