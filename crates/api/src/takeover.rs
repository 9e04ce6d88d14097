//! What is written on a Deployment of Flux's when it is put to rest, by the operator's `--take-over` or
//! by the plugin's, and what `kubectl flux uninstall --give-back` undoes:
//!
//! | what | value |
//! |---|---|
//! | `spec.replicas` | 0 |
//! | annotation [`names::REPLICAS_BEFORE_TAKE_OVER`] | the replicas it had |
//! | annotation [`names::RECONCILE_BEFORE_TAKE_OVER`] | what the next one was, if anything |
//! | annotation [`names::RECONCILE`] | `disabled`: the Kustomization that Flux installs itself by would wake it again |

use std::collections::BTreeMap;

use crate::names;

/// The annotations of a Deployment with so many replicas that is put to rest; `known` are those it
/// carries.
pub fn annotations(
    known: &BTreeMap<String, String>,
    replicas: i32,
) -> BTreeMap<&'static str, String> {
    let mut annotations = BTreeMap::from([
        (names::REPLICAS_BEFORE_TAKE_OVER, replicas.to_string()),
        (names::RECONCILE, names::DISABLED.to_owned()),
    ]);
    // One that was taken over before and woken by somebody carries ours.
    let ours = known.contains_key(names::REPLICAS_BEFORE_TAKE_OVER);
    if let (false, Some(reconcile)) = (ours, known.get(names::RECONCILE)) {
        annotations.insert(names::RECONCILE_BEFORE_TAKE_OVER, reconcile.clone());
    }
    annotations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_before_is_kept_when_it_is_taken_over_again() {
        let theirs = BTreeMap::from([(names::RECONCILE.to_owned(), "ignore".to_owned())]);
        let first = annotations(&theirs, 2);
        assert_eq!(first[names::RECONCILE_BEFORE_TAKE_OVER], "ignore");
        assert_eq!(first[names::RECONCILE], "disabled");
        let mut known: BTreeMap<_, _> = theirs;
        known.extend(first.into_iter().map(|(k, v)| (k.to_owned(), v)));
        let second = annotations(&known, 1);
        assert_eq!(second[names::REPLICAS_BEFORE_TAKE_OVER], "1");
        assert!(!second.contains_key(names::RECONCILE_BEFORE_TAKE_OVER));
    }
}
