//! The policies that an automation may use: those of its namespace that its selector admits.

use std::collections::BTreeMap;

use flux_api::names::reason;
use flux_api::{ImageRef, ImageUpdateAutomation, LabelSelector};
use flux_image::marker::Lookup;
use kube::ResourceExt;

use crate::conclusion::Verdict;
use crate::context::Context;
use crate::key::Key;

/// Policies by name, with what they selected.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    namespace: String,
    selected: BTreeMap<String, Option<ImageRef>>,
}

impl Policies {
    /// What a marker's `namespace:name` stands for.
    pub fn lookup(&self, namespace: &str, name: &str) -> Lookup {
        if namespace != self.namespace {
            return Lookup::OtherNamespace;
        }
        match self.selected.get(name) {
            Some(Some(image)) => Lookup::Ref(image.clone()),
            Some(None) => Lookup::NoValueYet,
            None => Lookup::Unknown,
        }
    }

    /// The form of the status.
    pub fn observed(&self) -> BTreeMap<String, ImageRef> {
        self.selected
            .iter()
            .filter_map(|(name, image)| Some((name.clone(), image.clone()?)))
            .collect()
    }
}

/// Collects the policies of an automation.
///
/// # Errors
/// Stalled, when the selector cannot be understood.
pub fn of(object: &ImageUpdateAutomation, context: &Context) -> Result<Policies, Verdict> {
    let namespace = object.namespace().unwrap_or_default();
    let mut selected = BTreeMap::new();
    for policy in context.stores.image_policies.state() {
        if policy.namespace().as_deref() != Some(&namespace) {
            continue;
        }
        let admitted = match &object.spec.policy_selector {
            Some(selector) => matches(selector, policy.labels())?,
            None => true,
        };
        if admitted {
            // The process knows before the cache does.
            let newest = context.selected.get(&Key::of(&*policy));
            let cached = policy
                .status
                .as_ref()
                .and_then(|status| status.latest_ref.clone());
            selected.insert(policy.name_any(), newest.or(cached));
        }
    }
    Ok(Policies {
        namespace,
        selected,
    })
}

fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> Result<bool, Verdict> {
    for (key, value) in selector.match_labels.iter().flatten() {
        if labels.get(key) != Some(value) {
            return Ok(false);
        }
    }
    for expression in selector.match_expressions.iter().flatten() {
        let value = labels.get(&expression.key);
        let listed = value.is_some_and(|v| expression.values.iter().flatten().any(|w| w == v));
        let holds = match expression.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            other => {
                return Err(Verdict::Stalled {
                    reason: reason::INVALID_POLICY_SELECTOR,
                    message: format!(
                        "spec.policySelector: operator \"{other}\" is not In, NotIn, Exists or DoesNotExist"
                    ),
                });
            }
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_follow_kubernetes() {
        let labels = BTreeMap::from([("app".to_owned(), "foo".to_owned())]);
        for (selector, want) in [
            (json!({}), Some(true)),
            (json!({"matchLabels": {"app": "foo"}}), Some(true)),
            (json!({"matchLabels": {"app": "bar"}}), Some(false)),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["foo"]}]}),
                Some(true),
            ),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["foo"]}]}),
                Some(false),
            ),
            (
                json!({"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["foo"]}]}),
                Some(true),
            ),
            (
                json!({"matchExpressions": [{"key": "x", "operator": "Exists"}]}),
                Some(false),
            ),
            (
                json!({"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}),
                Some(true),
            ),
            (
                json!({"matchExpressions": [{"key": "x", "operator": "Maybe"}]}),
                None,
            ),
        ] {
            let parsed: LabelSelector = serde_json::from_value(selector.clone()).unwrap();
            assert_eq!(matches(&parsed, &labels).ok(), want, "{selector}");
        }
    }

    #[test]
    fn only_policies_of_the_namespace_count() {
        let image = ImageRef {
            name: "n".into(),
            tag: "t".into(),
            digest: None,
        };
        let policies = Policies {
            namespace: "foo".into(),
            selected: BTreeMap::from([("a".into(), Some(image)), ("b".into(), None)]),
        };
        assert!(matches!(policies.lookup("foo", "a"), Lookup::Ref(_)));
        assert!(matches!(policies.lookup("foo", "b"), Lookup::NoValueYet));
        assert!(matches!(policies.lookup("foo", "c"), Lookup::Unknown));
        assert!(matches!(
            policies.lookup("bar", "a"),
            Lookup::OtherNamespace
        ));
        assert_eq!(policies.observed().len(), 1);
    }
}
