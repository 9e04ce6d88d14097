//! The labels and annotations by which users steer apply and prune (those of Flux).

use flux_api::names;
use serde_json::Value;

use crate::object::Owner;
use crate::seen::Seen;

/// What to do with an object of the desired set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Apply it.
    Apply,
    /// Leave the live object alone; the text says which setting asked for it.
    Skip(&'static str),
}

/// What the labels and annotations of an object ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// `reconcile: disabled`.
    pub reconcile_disabled: bool,
    /// `prune: disabled`.
    pub prune_disabled: bool,
    /// `force: enabled`.
    pub force: bool,
    /// `ssa: Ignore`.
    pub ignore: bool,
    /// `ssa: IfNotPresent`.
    pub if_not_present: bool,
    /// `ssa: Merge`.
    pub merge: bool,
}

impl Marks {
    /// Reads them; `values` gives the label and the annotation of a key. Values count in any case
    /// of letters.
    pub fn read<'a>(values: impl Fn(&'static str) -> [Option<&'a str>; 2]) -> Self {
        let has = |key, value: &str| {
            values(key)
                .into_iter()
                .flatten()
                .any(|found| found.eq_ignore_ascii_case(value))
        };
        Self {
            reconcile_disabled: has(names::RECONCILE, "disabled"),
            prune_disabled: has(names::PRUNE, "disabled"),
            force: has(names::FORCE, "enabled"),
            ignore: has(names::SSA, "Ignore"),
            if_not_present: has(names::SSA, "IfNotPresent"),
            merge: has(names::SSA, "Merge"),
        }
    }

    /// Those of an object.
    pub fn of(object: &Value) -> Self {
        let metadata = &object["metadata"];
        Self::read(|key| {
            [
                metadata["labels"][key].as_str(),
                metadata["annotations"][key].as_str(),
            ]
        })
    }
}

/// Decides from the marks of the desired object and of the live one (`None` when there is none).
pub fn decide(desired: Marks, live: Option<Marks>) -> Decision {
    let any = live.unwrap_or_default();
    if desired.reconcile_disabled || any.reconcile_disabled {
        return Decision::Skip("reconcile: disabled");
    }
    if desired.ignore || any.ignore {
        return Decision::Skip("ssa: Ignore");
    }
    if live.is_some() && desired.if_not_present {
        return Decision::Skip("ssa: IfNotPresent");
    }
    Decision::Apply
}

/// Why a live object must not be pruned although it left the desired set; `None` when it may.
pub fn keeps_from_prune(live: &Seen, owner: &Owner) -> Option<&'static str> {
    if live.owner.as_ref() != Some(owner) {
        return Some("it belongs to somebody else by its owner labels");
    }
    [
        (live.marks.prune_disabled, "prune: disabled"),
        (live.marks.reconcile_disabled, "reconcile: disabled"),
        (live.marks.ignore, "ssa: Ignore"),
    ]
    .into_iter()
    .find(|(asked, _)| *asked)
    .map(|(_, why)| why)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::seen::Reading;

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
            let decision = decide(Marks::of(&desired), live.as_ref().map(Marks::of));
            assert_eq!(
                decision == Decision::Apply,
                applied,
                "{desired} over {live:?}"
            );
        }
    }

    #[test]
    fn prune_takes_only_what_is_owned() {
        let owner = Owner {
            name: "a".into(),
            namespace: "b".into(),
        };
        let seen = |object: &Value| {
            let text = object.to_string();
            Reading::parse(text.as_bytes(), &"m".into()).unwrap().seen
        };
        let owned = json!({"metadata": {"labels": {
            "kustomize.toolkit.fluxcd.io/name": "a", "kustomize.toolkit.fluxcd.io/namespace": "b"}}});
        assert_eq!(keeps_from_prune(&seen(&owned), &owner), None);
        assert!(keeps_from_prune(&seen(&json!({"metadata": {}})), &owner).is_some());
        let mut kept = owned;
        kept["metadata"]["annotations"] = json!({"kustomize.toolkit.fluxcd.io/prune": "Disabled"});
        assert_eq!(
            keeps_from_prune(&seen(&kept), &owner),
            Some("prune: disabled")
        );
    }
}
