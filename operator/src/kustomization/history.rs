//! `status.history`: the last outcomes, newest first.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use flux_api::{GoDuration, HistoryEntry, Time};
use flux_build::Object;
use ring::digest::{Context, SHA256};

/// How many outcomes are kept.
const LENGTH: usize = 5;

/// The digest of what was built, and of who applies it: another version of this program may apply
/// the same objects differently, so it applies them once more.
pub fn digest(objects: &[Object]) -> String {
    let mut context = Context::new(&SHA256);
    context.update(env!("CARGO_PKG_VERSION").as_bytes());
    for object in objects {
        context.update(object.value.to_string().as_bytes());
        context.update(b"\n");
    }
    let mut text = String::from("sha256:");
    for byte in context.finish().as_ref() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Adds an outcome. The same digest with the same outcome counts up the entry that is there.
pub fn add(
    history: &mut Vec<HistoryEntry>,
    digest: &str,
    outcome: &str,
    revision: &str,
    took: Duration,
) {
    let now = Time(k8s_openapi::jiff::Timestamp::now());
    let same = |e: &HistoryEntry| e.digest == digest && e.last_reconciled_status == outcome;
    let position = history.iter().position(same);
    let mut entry = position
        .map(|at| history.remove(at))
        .unwrap_or_else(|| HistoryEntry {
            digest: digest.to_owned(),
            first_reconciled: now.clone(),
            last_reconciled: now.clone(),
            last_reconciled_duration: GoDuration::from_std(took),
            last_reconciled_status: outcome.to_owned(),
            total_reconciliations: 0,
            metadata: BTreeMap::new(),
        });
    entry.last_reconciled = now;
    entry.last_reconciled_duration = GoDuration::from_std(took);
    entry.total_reconciliations += 1;
    entry.metadata = BTreeMap::from([("revision".to_owned(), revision.to_owned())]);
    history.insert(0, entry);
    history.truncate(LENGTH);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_counted_and_bounded() {
        let mut history = Vec::new();
        for n in 0..7 {
            add(
                &mut history,
                &format!("sha256:{n}"),
                "ReconciliationSucceeded",
                "r",
                Duration::ZERO,
            );
        }
        add(
            &mut history,
            "sha256:5",
            "ReconciliationSucceeded",
            "r2",
            Duration::ZERO,
        );
        let digests: Vec<_> = history.iter().map(|e| e.digest.as_str()).collect();
        assert_eq!(
            digests,
            ["sha256:5", "sha256:6", "sha256:4", "sha256:3", "sha256:2"]
        );
        assert_eq!(history[0].total_reconciliations, 2);
        assert_eq!(history[0].metadata["revision"], "r2");
    }
}
