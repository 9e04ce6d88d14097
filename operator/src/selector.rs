//! `--watch-label-selector`: the syntax of `kubectl get -l`, decided here rather than by the API
//! server, because objects of other shards are still read as sources and dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use kube::core::{Expression, Selector, SelectorExt};

/// A selector and how it was written: Flux derives the names of Leases from the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    text: String,
    selector: Selector,
}

/// Why a text is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a label selector; write for example key=value, key!=value, key, !key or key in (a, b)"
)]
pub struct SelectorError(String);

impl LabelSelector {
    /// Whether labels match.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.selector.matches(labels)
    }

    /// As it was written; empty when everything matches.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for LabelSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut selector = Selector::default();
        for part in requirements(text) {
            let expression =
                requirement(part).ok_or_else(|| SelectorError(part.trim().to_owned()))?;
            selector.extend([expression]);
        }
        Ok(Self {
            text: text.to_owned(),
            selector,
        })
    }
}

/// Splits at commas outside of parentheses.
fn requirements(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    text.split(move |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .filter(move |_| !text.trim().is_empty())
}

fn requirement(text: &str) -> Option<Expression> {
    let text = text.trim();
    if let Some(key) = text.strip_prefix('!') {
        return Some(Expression::DoesNotExist(key_of(key)?));
    }
    if let Some((key, value)) = text.split_once("!=") {
        return Some(Expression::NotEqual(key_of(key)?, value_of(value)?));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Some(Expression::Equal(key_of(key)?, value_of(value)?));
    }
    let Some((key, rest)) = text.split_once(char::is_whitespace) else {
        return Some(Expression::Exists(key_of(text)?));
    };
    let (operator, values) = rest.split_once('(')?;
    let values: Option<BTreeSet<String>> = values
        .trim()
        .strip_suffix(')')?
        .split(',')
        .map(value_of)
        .collect();
    match operator.trim() {
        "in" => Some(Expression::In(key_of(key)?, values?)),
        "notin" => Some(Expression::NotIn(key_of(key)?, values?)),
        _ => None,
    }
}

/// Letters, digits and `-_.`, with at most one slash before the name.
fn key_of(text: &str) -> Option<String> {
    let key = text.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    (!key.is_empty() && key.chars().all(plain) && key.matches('/').count() < 2)
        .then(|| key.to_owned())
}

/// Like a key without slash; may be empty.
fn value_of(text: &str) -> Option<String> {
    let value = text.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    value.chars().all(plain).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_as_kubectl_does() {
        let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        };
        let shard = labels(&[("sharding.fluxcd.io/key", "shard1"), ("team", "a")]);
        let none = labels(&[]);
        // selector, matches the shard, matches no labels
        for (text, of_shard, of_none) in [
            ("", true, true),
            ("sharding.fluxcd.io/key=shard1", true, false),
            ("sharding.fluxcd.io/key==shard1,team=a", true, false),
            ("sharding.fluxcd.io/key=shard2", false, false),
            ("!sharding.fluxcd.io/key", false, true),
            ("sharding.fluxcd.io/key", true, false),
            ("team!=a", false, true),
            (
                "sharding.fluxcd.io/key in (shard1, shard2),team",
                true,
                false,
            ),
            ("sharding.fluxcd.io/key notin (shard1)", false, true),
        ] {
            let selector: LabelSelector = text.parse().unwrap();
            assert_eq!(selector.matches(&shard), of_shard, "{text}");
            assert_eq!(selector.matches(&none), of_none, "{text}");
            assert_eq!(selector.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for text in [
            "a in b", "a in (b", "=x", "a b", "a/b/c=d", "a=b c", ",", "a>1",
        ] {
            let error = text.parse::<LabelSelector>().unwrap_err().to_string();
            assert!(error.contains("is not a label selector"), "{text}: {error}");
        }
    }
}
