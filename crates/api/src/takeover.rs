//! Which Deployments are controllers of Flux's that work on our objects, by one rule for operator and
//! plugin, and what is written on them.
//!
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

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;

use crate::{flags, names};

/// Label selector of Flux's Deployments; ours have the first label, too.
pub const SELECTOR: &str = "app.kubernetes.io/part-of=flux,app.kubernetes.io/name!=flux-sync";

/// Which of Flux's controllers a Deployment runs, as its label says: a shard has a name of its own.
/// Old installations have the names only.
pub fn component(deployment: &impl ResourceExt) -> String {
    let label = deployment.labels().get(names::COMPONENT_LABEL).cloned();
    label.unwrap_or_else(|| deployment.name_any())
}

/// The `--watch-label-selector` of a Deployment; empty if it works on everything.
pub fn watch_label_selector(deployment: &Deployment) -> String {
    let mut args = flags::arguments(deployment);
    while let Some(arg) = args.next() {
        match arg.strip_prefix("--watch-label-selector") {
            Some("") => return args.next().unwrap_or_default().to_owned(),
            Some(value) => return value.trim_start_matches('=').to_owned(),
            None => {}
        }
    }
    String::new()
}

/// Whether two processes with these selectors may meet at an object: always, unless it is plain that
/// no object has labels for both.
pub fn overlap(ours: &str, theirs: &str) -> bool {
    let theirs: Vec<_> = theirs.split(',').filter_map(plain).collect();
    let mut ours = ours.split(',').filter_map(plain);
    !ours.any(|one| theirs.iter().any(|other| excludes(&one, other)))
}

/// A key and the value that it must have; none if it must not be there.
type Requirement<'a> = (&'a str, Option<&'a str>);

/// A requirement that is easy to compare. Parts of lists in parentheses, which commas split, are none.
fn plain(text: &str) -> Option<Requirement<'_>> {
    let text = text.trim();
    let requirement = match (text.strip_prefix('!'), text.split_once('=')) {
        (Some(key), _) => (key.trim(), None),
        (None, Some((key, value))) => {
            let value = value.strip_prefix('=').unwrap_or(value);
            (key.trim(), Some(value.trim()))
        }
        (None, None) => return None,
    };
    let is_word = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
    };
    let (key, value) = requirement;
    (is_word(key) && value.is_none_or(is_word)).then_some(requirement)
}

fn excludes(one: &Requirement<'_>, other: &Requirement<'_>) -> bool {
    // Of two that must not have it, each may be the same object.
    one.0 == other.0 && one.1 != other.1
}

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

    fn deployment(args: &[&str]) -> Deployment {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": "kustomize-controller-shard1", "labels": {
                "app.kubernetes.io/component": "kustomize-controller"}},
            "spec": {"selector": {}, "template": {"spec": {"containers": [
                {"name": "manager", "args": args}]}}},
        }))
        .unwrap()
    }

    #[test]
    fn a_shard_is_known_by_its_label() {
        let mut shard = deployment(&["--watch-label-selector", "sharding.fluxcd.io/key=one"]);
        assert_eq!(component(&shard), "kustomize-controller");
        assert_eq!(watch_label_selector(&shard), "sharding.fluxcd.io/key=one");
        let joined = deployment(&["--watch-label-selector=sharding.fluxcd.io/key=one"]);
        assert_eq!(watch_label_selector(&joined), "sharding.fluxcd.io/key=one");
        assert_eq!(watch_label_selector(&deployment(&["--log-level=info"])), "");
        shard.labels_mut().clear();
        assert_eq!(component(&shard), "kustomize-controller-shard1");
    }

    #[test]
    fn only_selectors_that_plainly_exclude_each_other_do_not_meet() {
        for (ours, theirs, expected) in [
            ("", "", true),
            ("", "key=a", true),
            ("key=a", "key=a", true),
            ("key=a", "key=b", false),
            ("key==a", "key = b", false),
            ("key=a", "!key", false),
            ("!key", "!key", true),
            ("key=a", "other=b", true),
            ("key in (a,b)", "key=a", true),
            ("key notin (a)", "key=b", true),
            ("key!=a", "key=b", true),
            ("key", "key=a", true),
            ("other=x,key=a", "key=b,more=y", false),
            ("other=x,key=a", "key=a,more=y", true),
        ] {
            assert_eq!(overlap(ours, theirs), expected, "{ours:?} {theirs:?}");
            assert_eq!(overlap(theirs, ours), expected, "{theirs:?} {ours:?}");
        }
    }

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
