//! Runs the rules over an object and applies the laws that hold for all of them.

use std::cmp::Reverse;
use std::collections::HashSet;

use serde_json::Value;

use crate::context::Context;
use crate::finding::{Finding, Review, Severity};
use crate::kind::Kind;
use crate::rule::Report;
use crate::subject::Subject;

/// Annotation that switches rules off for one object: ids separated by commas, e.g. `GR05,IN06`.
pub const SKIP_ANNOTATION: &str = "admission.flux-sync.io/skip";

/// Says what is wrong with `object` and which required fields to fill in.
///
/// `old` is the object before an update: an error that it had as well is only a warning now.
/// Objects of kinds without rules and objects that are being deleted get an empty answer.
#[must_use]
pub fn review(object: &Value, old: Option<&Value>, context: &Context) -> Review {
    review_with(object, old, context, |_| {})
}

/// The same, with what an administrator decided about findings: before the ratchet, which holds
/// for those decisions as well.
pub(crate) fn review_with(
    object: &Value,
    old: Option<&Value>,
    context: &Context,
    decide: impl FnOnce(&mut Vec<Finding>),
) -> Review {
    let subject = Subject::new(object);
    let Some(kind) = Kind::of(object) else {
        return Review::default();
    };
    if subject.has("/metadata/deletionTimestamp") {
        return Review::default();
    }
    let skipped: HashSet<&str> = subject
        .annotation(SKIP_ANNOTATION)
        .map(|ids| ids.split(',').map(str::trim).collect())
        .unwrap_or_default();

    let _forget = Forget;
    let mut review = Review::default();
    for rule in crate::rules().filter(|rule| rule.concerns(kind)) {
        let before = review.findings.len();
        (rule.check)(
            subject,
            context,
            &mut Report::new(rule.id, &mut review.findings),
        );
        if skipped.contains(rule.id) {
            if review.findings.len() > before {
                review.skipped.push(rule.id);
            }
            review.findings.truncate(before);
        }
        if let Some(fill) = rule.fill {
            review.defaults.extend(fill(subject));
        }
    }
    decide(&mut review.findings);
    if let Some(old) = old {
        ratchet(&mut review.findings, kind, Subject::new(old), context);
    }
    review
        .findings
        .sort_by_key(|finding| Reverse(finding.severity));
    review
}

/// Lets go of what rules keep for each other while they look at one object.
struct Forget;

impl Drop for Forget {
    fn drop(&mut self) {
        crate::rules::forget_pattern();
    }
}

/// Downgrades errors that the old object has in the same words. Messages name the offending
/// value, so a new mistake of the same sort stays an error; places may shift and do not count.
fn ratchet(findings: &mut [Finding], kind: Kind, old: Subject<'_>, context: &Context) {
    let errors: HashSet<&str> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| finding.rule)
        .collect();
    let mut before = Vec::new();
    for rule in crate::rules().filter(|rule| rule.concerns(kind) && errors.contains(rule.id)) {
        (rule.check)(old, context, &mut Report::new(rule.id, &mut before));
    }
    for finding in findings
        .iter_mut()
        .filter(|finding| finding.severity == Severity::Error)
    {
        let known =
            |other: &Finding| other.rule == finding.rule && other.message == finding.message;
        if before.iter().any(known) {
            finding.severity = Severity::Warning;
        }
    }
}
