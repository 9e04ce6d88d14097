//! Findings as the person at `kubectl apply` reads them.

use flux_rules::{Finding, Review, Severity};

/// Most warnings per request: more are not read.
const MOST: usize = 5;

/// Longest warning, in characters. The API server cuts warnings at 256 when a request's warnings
/// exceed 4096 in total, and ours are not the only ones.
const LONGEST: usize = 240;

/// The text of a denial: everything that is wrong at once, errors first, one line each.
#[must_use]
pub(crate) fn denial(review: &Review) -> String {
    let told: Vec<&Finding> = review
        .findings
        .iter()
        .filter(|finding| finding.severity > Severity::Note)
        .collect();
    match told.as_slice() {
        [only] => only.to_string(),
        several => {
            let lines: Vec<String> = several
                .iter()
                .map(|finding| format!("\n{finding}"))
                .collect();
            lines.concat()
        }
    }
}

/// Warnings, most useful first: one per rule, which names the other places it was found at.
#[must_use]
pub(crate) fn warnings(findings: &[&Finding]) -> Vec<String> {
    let mut groups: Vec<(&Finding, Vec<&str>)> = Vec::new();
    for finding in findings {
        match groups
            .iter_mut()
            .find(|(first, _)| first.rule == finding.rule)
        {
            Some((_, places)) => places.push(&finding.path),
            None => groups.push((finding, Vec::new())),
        }
    }
    let hidden = groups.len().saturating_sub(MOST);
    let mut lines: Vec<String> = groups
        .into_iter()
        .take(if hidden == 0 { MOST } else { MOST - 1 })
        .map(|(finding, places)| line(finding, &places))
        .collect();
    if hidden > 0 {
        lines.push(format!(
            "{} more findings: see kubectl flux lint",
            hidden + 1
        ));
    }
    lines
}

/// A finding and the other places where its rule found something.
fn line(finding: &Finding, others: &[&str]) -> String {
    let message = finding.to_string();
    let also = match others {
        [] => return shorten(&message),
        [only] => format!(" (also: {only})"),
        [first, rest @ ..] => format!(" (also: {first} and {} more)", rest.len()),
    };
    // The remedy is worth more than the list of places.
    if message.chars().count() + also.chars().count() <= LONGEST {
        message + &also
    } else {
        let also = format!(" (and {} more)", others.len());
        let room = LONGEST.saturating_sub(also.chars().count());
        cut(&message, room) + &also
    }
}

/// A text that fits into one warning.
#[must_use]
pub(crate) fn shorten(text: &str) -> String {
    cut(text, LONGEST)
}

fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let kept: String = text.chars().take(limit.saturating_sub(3)).collect();
    kept + "..."
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(rule: &'static str, severity: Severity, path: &str, message: &str) -> Finding {
        let (path, message) = (path.to_owned(), message.to_owned());
        Finding {
            rule,
            severity,
            pointer: String::new(),
            path,
            message,
            fix: None,
        }
    }

    #[test]
    fn a_rule_speaks_once_and_names_the_other_places() {
        let findings = [
            finding("IN15", Severity::Warning, "a", "no."),
            finding("IN30", Severity::Warning, "b", "none."),
            finding("IN15", Severity::Warning, "c", "no."),
            finding("IN30", Severity::Warning, "d", "none."),
            finding("IN30", Severity::Warning, "e", "none."),
        ];
        let lines = warnings(&findings.iter().collect::<Vec<_>>());
        assert_eq!(
            lines,
            ["[IN15] no. (also: c)", "[IN30] none. (also: d and 1 more)"]
        );
    }

    #[test]
    fn five_warnings_are_enough() {
        let ids = ["A", "B", "C", "D", "E", "F", "G"];
        let findings = ids.map(|id| finding(id, Severity::Warning, "x", &"y".repeat(300)));
        let lines = warnings(&findings.iter().collect::<Vec<_>>());
        assert_eq!(lines.len(), MOST);
        assert_eq!(
            lines.last().expect("five"),
            "3 more findings: see kubectl flux lint"
        );
        assert!(lines.iter().all(|line| line.chars().count() <= LONGEST));
    }

    #[test]
    fn a_denial_tells_everything_but_notes() {
        let mut review = Review::default();
        review
            .findings
            .push(finding("A", Severity::Error, "x", "one."));
        assert_eq!(denial(&review), "[A] one.");
        review
            .findings
            .push(finding("B", Severity::Warning, "x", "two."));
        review
            .findings
            .push(finding("C", Severity::Note, "x", "three."));
        assert_eq!(denial(&review), "\n[A] one.\n[B] two.");
    }
}
