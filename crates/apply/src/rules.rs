//! The labels and annotations by which users steer apply and prune (those of Flux).

use flux_api::names;
use serde_json::Value;

use crate::object;

/// What to do with an object of the desired set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Apply it.
    Apply,
    /// Leave the live object alone; the text says which setting asked for it.
    Skip(&'static str),
}

/// Whether a label or annotation has a value, in any case of letters.
fn has(object: &Value, key: &str, value: &str) -> bool {
    ["annotations", "labels"].iter().any(|field| {
        object["metadata"][*field][key]
            .as_str()
            .is_some_and(|v| v.eq_ignore_ascii_case(value))
    })
}

/// Decides from the desired object and the live object's metadata (`None` when there is none).
pub fn decide(desired: &Value, live: Option<&Value>) -> Decision {
    let either = |key, value| has(desired, key, value) || live.is_some_and(|l| has(l, key, value));
    if either(names::RECONCILE, "disabled") {
        return Decision::Skip("reconcile: disabled");
    }
    if either(names::SSA, "Ignore") {
        return Decision::Skip("ssa: Ignore");
    }
    if live.is_some() && has(desired, names::SSA, "IfNotPresent") {
        return Decision::Skip("ssa: IfNotPresent");
    }
    Decision::Apply
}

/// Whether a field that cannot be changed may be changed by deleting and creating the object.
pub fn may_force(desired: &Value, live: Option<&Value>) -> bool {
    has(desired, names::FORCE, "enabled") || live.is_some_and(|l| has(l, names::FORCE, "enabled"))
}

/// Why a live object must not be pruned although it left the desired set; `None` when it may.
pub fn keeps_from_prune(live: &Value, owner: &object::Owner) -> Option<&'static str> {
    if !owner.owns(&object::string_map(live, "labels")) {
        return Some("it belongs to somebody else by its owner labels");
    }
    [
        (names::PRUNE, "disabled", "prune: disabled"),
        (names::RECONCILE, "disabled", "reconcile: disabled"),
        (names::SSA, "Ignore", "ssa: Ignore"),
    ]
    .into_iter()
    .find(|(key, value, _)| has(live, key, value))
    .map(|(_, _, why)| why)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn annotated(key: &str, value: &str) -> Value {
        json!({"metadata": {"annotations": {key: value}}})
    }

    #[test]
    fn apply_is_steered_by_annotations() {
        let plain = json!({"metadata": {}});
        let ssa = "kustomize.toolkit.fluxcd.io/ssa";
        let reconcile = "kustomize.toolkit.fluxcd.io/reconcile";
        for (desired, live, applied) in [
            (plain.clone(), None, true),
            (plain.clone(), Some(plain.clone()), true),
            (annotated(ssa, "ifnotpresent"), None, true),
            (annotated(ssa, "IfNotPresent"), Some(plain.clone()), false),
            (plain.clone(), Some(annotated(ssa, "IfNotPresent")), true),
            (plain.clone(), Some(annotated(ssa, "ignore")), false),
            (annotated(ssa, "Ignore"), None, false),
            (annotated(reconcile, "Disabled"), None, false),
            (plain.clone(), Some(annotated(reconcile, "disabled")), false),
        ] {
            let decision = decide(&desired, live.as_ref());
            assert_eq!(
                decision == Decision::Apply,
                applied,
                "{desired} over {live:?}"
            );
        }
    }

    #[test]
    fn prune_takes_only_what_is_owned() {
        let owner = object::Owner {
            name: "a".into(),
            namespace: "b".into(),
        };
        let owned = json!({"metadata": {"labels": {
            "kustomize.toolkit.fluxcd.io/name": "a", "kustomize.toolkit.fluxcd.io/namespace": "b"}}});
        assert_eq!(keeps_from_prune(&owned, &owner), None);
        assert!(keeps_from_prune(&json!({"metadata": {}}), &owner).is_some());
        let mut kept = owned;
        kept["metadata"]["annotations"] = json!({"kustomize.toolkit.fluxcd.io/prune": "Disabled"});
        assert_eq!(keeps_from_prune(&kept, &owner), Some("prune: disabled"));
    }
}
