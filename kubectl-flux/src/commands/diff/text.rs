//! Differences as text. Pure.

use serde_json::{Value, json};
use similar::TextDiff;

use super::Change;
use super::compare::{Comparison, Verdict};
use super::deletions::Deletion;
use crate::output::color::{Color, paint};

/// Unchanged lines around a change.
const CONTEXT: usize = 3;

/// What is printed about all Kustomizations; nothing where there is no difference.
pub(super) fn render(changes: &[Change], is_colored: bool) -> String {
    let mut text = String::new();
    for (index, change) in changes.iter().enumerate() {
        let mut part = String::new();
        for comparison in &change.comparisons {
            describe(comparison, is_colored, &mut part);
        }
        for deletion in &change.deletions {
            part.push_str(&deleted(deletion, is_colored));
        }
        if index > 0 && !part.is_empty() {
            let subject = &change.subject;
            let name = format!("Kustomization/{}/{}", subject.namespace, subject.name);
            text.push_str(&format!("\u{1f4c1} {name} changed\n"));
        }
        text.push_str(&part);
    }
    text
}

fn describe(comparison: &Comparison, is_colored: bool, text: &mut String) {
    let mut title = |word: &str, color: Color| {
        let line = format!("\u{25ba} {} {word}", comparison.what);
        text.push_str(&paint(&line, color, is_colored));
        text.push('\n');
    };
    let (before, after) = match &comparison.verdict {
        Verdict::Unchanged | Verdict::Failed(_) => return,
        Verdict::Created => return title("created", Color::Green),
        Verdict::Skipped(why) => return title(&format!("skipped ({why})"), Color::Yellow),
        Verdict::Drifted { before, after } => {
            title("drifted", Color::Yellow);
            (before, after)
        }
        Verdict::Recreated { before, after } => {
            title("deleted and created again", Color::Red);
            (before, after)
        }
    };
    let (mut before, mut after) = (before.clone(), after.clone());
    mask(&mut before, &mut after);
    text.push('\n');
    text.push_str(&body(&before, &after, is_colored));
    text.push('\n');
}

fn deleted(deletion: &Deletion, is_colored: bool) -> String {
    let what = flux_apply::object::display(&deletion.id);
    let (word, color) = match (&deletion.kept, &deletion.because) {
        (Some(why), _) => (format!("kept ({why})"), Color::Yellow),
        (None, Some(with)) => (format!("deleted (with {with})"), Color::Red),
        (None, None) => ("deleted".to_owned(), Color::Red),
    };
    let along = match deletion.id.kind.as_str() {
        _ if deletion.kept.is_some() => "",
        "Namespace" => ", and everything in it",
        "CustomResourceDefinition" => ", and all objects of that kind",
        _ => "",
    };
    let line = format!("\u{25ba} {what} {word}{along}");
    paint(&line, color, is_colored) + "\n"
}

/// The changed lines with some around them.
fn body(before: &Value, after: &Value, is_colored: bool) -> String {
    let before = flux_lang::yaml::to_string(before);
    let after = flux_lang::yaml::to_string(after);
    let diff = TextDiff::from_lines(&before, &after)
        .unified_diff()
        .context_radius(CONTEXT)
        .to_string();
    let mut text = String::new();
    for line in diff.lines() {
        let color = match line.bytes().next() {
            Some(b'+') => Some(Color::Green),
            Some(b'-') => Some(Color::Red),
            Some(b'@') => Some(Color::Cyan),
            _ => None,
        };
        match color {
            Some(color) => text.push_str(&paint(line, color, is_colored)),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// Hides the values of Secrets; that one changed can still be seen.
fn mask(before: &mut Value, after: &mut Value) {
    const SAME: &str = "***";
    if before["kind"] != "Secret" || before["apiVersion"] != "v1" {
        return;
    }
    for field in ["data", "stringData"] {
        let old = before[field].as_object().cloned().unwrap_or_default();
        let new = after[field].as_object().cloned().unwrap_or_default();
        let hide = |object: &mut Value, mark: &str| {
            for (key, value) in object[field].as_object_mut().into_iter().flatten() {
                let is_same = old.get(key) == new.get(key);
                let is_in_both = old.contains_key(key) && new.contains_key(key);
                *value = match is_in_both && !is_same {
                    true => json!(format!("{SAME} ({mark})")),
                    false => json!(SAME),
                };
            }
        };
        if before.get(field).is_some() {
            hide(before, "before");
        }
        if after.get(field).is_some() {
            hide(after, "after");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secrets_are_not_shown() {
        let secret = |data: Value| json!({"apiVersion": "v1", "kind": "Secret", "data": data});
        let mut before = secret(json!({"same": "YQ==", "changed": "Yg==", "gone": "Yw=="}));
        let mut after = secret(json!({"same": "YQ==", "changed": "ZA==", "new": "ZQ=="}));
        mask(&mut before, &mut after);
        assert_eq!(
            body(&before, &after, false),
            "@@ -1,6 +1,6 @@\n apiVersion: v1\n data:\n-  changed: '*** (before)'\n-  gone: \
             '***'\n+  changed: '*** (after)'\n+  new: '***'\n   same: '***'\n kind: Secret\n"
        );
    }

    #[test]
    fn colours_are_for_lines_that_change() {
        let text = body(&json!({"a": 1, "b": 2}), &json!({"a": 1, "b": 3}), true);
        assert!(text.contains("\u{1b}[31m-b: 2\u{1b}[0m\n"), "{text}");
        assert!(text.contains("\n a: 1\n"), "{text}");
    }
}
