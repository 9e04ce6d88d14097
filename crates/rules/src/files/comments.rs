//! `# flux-lint: disable=IP17 reason`: rules that somebody switched off for a line.

use std::collections::BTreeMap;

use super::{At, Fix, Found};
use crate::finding::Severity;
use crate::text::quote;

const MARK: &str = "flux-lint:";

/// Rules that are switched off, by line.
#[derive(Debug, Default)]
pub(super) struct Suppressions {
    lines: BTreeMap<usize, Vec<String>>,
    wrong: Vec<(usize, usize, String)>,
}

/// Reads the comments of a text. One on a line of its own is about the next line that is none.
pub(super) fn read(text: &str) -> Suppressions {
    let mut suppressions = Suppressions::default();
    if !text.contains(MARK) {
        return suppressions;
    }
    let mut waiting: Vec<String> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let content = line.trim_start();
        let alone = content.starts_with('#') || content.is_empty();
        let mut ids = Vec::new();
        if let Some((before, comment)) = comment(line) {
            for id in disabled(comment) {
                let known =
                    crate::rule(id).is_some() || super::RULES.iter().any(|rule| rule.id == id);
                if known {
                    ids.push(id.to_owned());
                } else {
                    let column = before.chars().count() + 1;
                    suppressions.wrong.push((number, column, id.to_owned()));
                }
            }
        }
        if alone {
            waiting.append(&mut ids);
        } else {
            ids.append(&mut waiting);
        }
        if !ids.is_empty() {
            suppressions.lines.entry(number).or_default().extend(ids);
        }
    }
    suppressions
}

/// What stands before the comment, and what follows its mark.
fn comment(line: &str) -> Option<(&str, &str)> {
    let at = line.find(MARK)?;
    let (before, rest) = (line.get(..at)?, line.get(at + MARK.len()..)?);
    let hash = before.rfind('#')?;
    before.get(hash + 1..)?.trim().is_empty().then_some(())?;
    Some((before.get(..hash)?, rest))
}

/// The ids of `disable=ID,ID reason`.
fn disabled(comment: &str) -> impl Iterator<Item = &str> {
    comment
        .trim_start()
        .strip_prefix("disable=")
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap_or_default()
        .split(',')
        .filter(|id| !id.is_empty())
}

impl Suppressions {
    /// Whether a rule is switched off in a line.
    pub(super) fn hide(&self, line: usize, rule: &str) -> bool {
        self.lines
            .get(&line)
            .is_some_and(|ids| ids.iter().any(|id| id == rule))
    }

    /// Comments that switch off what there is not.
    pub(super) fn mistakes(&self) -> impl Iterator<Item = Found> {
        self.wrong.iter().map(|(line, column, id)| Found {
            rule: "FL12",
            severity: Severity::Warning,
            object: String::new(),
            at: At::Line(*line, *column),
            message: format!(
                "There is no rule {}: this comment switches nothing off. All rules: kubectl flux \
                 explain.",
                quote(id)
            ),
            fix: Fix::None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_about_their_line_or_the_next() {
        let text = "a: 1 # flux-lint: disable=IP17,GR05 for a reason\n# flux-lint: disable=IP18\n\nb: 2\nc: '# flux-lint'\n";
        let read = read(text);
        assert!(read.hide(1, "IP17") && read.hide(1, "GR05") && !read.hide(1, "IP18"));
        assert!(read.hide(4, "IP18") && !read.hide(5, "IP18"));
        assert_eq!(read.mistakes().count(), 0);
    }

    #[test]
    fn ids_that_do_not_exist_are_told() {
        let read = read("a: 1 # flux-lint: disable=XX99\n");
        assert_eq!(read.mistakes().count(), 1);
    }
}
