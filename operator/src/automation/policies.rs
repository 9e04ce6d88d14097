//! The policies that an automation may use: those that its selector admits, of its namespace and
//! of those that let it.

use std::collections::BTreeMap;

use flux_api::names::reason;
use flux_api::{ImagePolicy, ImageRef, ImageUpdateAutomation, LabelSelector};
use flux_image::marker::Lookup;
use kube::ResourceExt;
use kube_runtime::reflector::ObjectRef;

use crate::access;
use crate::conclusion::Verdict;
use crate::context::Context;
use crate::image_policy;
use crate::key::Key;

/// The policies that an automation may use, with what they selected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    /// Of the automation.
    namespace: String,
    selected: BTreeMap<Key, Option<ImageRef>>,
    /// Why policies of other namespaces may not be used; none when none may.
    denied: Option<BTreeMap<Key, String>>,
}

impl Policies {
    /// Policies of one namespace, by name.
    pub fn of_namespace(
        namespace: &str,
        selected: impl IntoIterator<Item = (String, Option<ImageRef>)>,
    ) -> Self {
        Self {
            namespace: namespace.to_owned(),
            selected: selected
                .into_iter()
                .map(|(name, image)| (Key::new(namespace, name), image))
                .collect(),
            denied: None,
        }
    }

    /// What a marker's `namespace:name` stands for.
    pub fn lookup(&self, namespace: &str, name: &str) -> Lookup {
        let key = Key::new(namespace, name);
        if let Some(selected) = self.selected.get(&key) {
            return match selected {
                Some(image) => Lookup::Ref(image.clone()),
                None => Lookup::NoValueYet,
            };
        }
        match &self.denied {
            _ if namespace == self.namespace => Lookup::Unknown,
            None => Lookup::OtherNamespace,
            Some(denied) => match denied.get(&key) {
                Some(reason) => Lookup::Denied(reason.clone()),
                None => Lookup::Unknown,
            },
        }
    }

    /// The form of the status: by name, those of other namespaces with theirs before it.
    pub fn observed(&self) -> BTreeMap<String, ImageRef> {
        let name = |key: &Key| match key.namespace == self.namespace {
            true => key.name.clone(),
            false => key.to_string(),
        };
        self.selected
            .iter()
            .filter_map(|(key, image)| Some((name(key), image.clone()?)))
            .collect()
    }
}

/// Collects the policies of an automation: those of its namespace and, where the operator was told
/// to, those of others whose ImageRepository grants access.
///
/// # Errors
/// Stalled, when the selector cannot be understood.
pub async fn of(object: &ImageUpdateAutomation, context: &Context) -> Result<Policies, Verdict> {
    let namespace = object.namespace().unwrap_or_default();
    let mut policies = Policies {
        denied: context.args.cross_namespace_policies.then(BTreeMap::new),
        namespace,
        selected: BTreeMap::new(),
    };
    for policy in context.stores.image_policies.state() {
        let key = Key::of(&*policy);
        let is_foreign = key.namespace != policies.namespace;
        let is_going = policy.metadata.deletion_timestamp.is_some();
        if is_going || is_foreign && policies.denied.is_none() {
            continue;
        }
        let admitted = match &object.spec.policy_selector {
            Some(selector) => matches(selector, policy.labels())?,
            None => true,
        };
        if !admitted {
            continue;
        }
        if is_foreign && let Err(reason) = granted(&policy, &policies.namespace, context).await {
            policies.denied.get_or_insert_default().insert(key, reason);
            continue;
        }
        // The process knows before the cache does.
        let newest = context.selected.get(&key);
        let cached = policy
            .status
            .as_ref()
            .and_then(|status| status.latest_ref.clone());
        policies.selected.insert(key, newest.or(cached));
    }
    Ok(policies)
}

/// Whether the ImageRepository of a policy lets the automations of a namespace use it.
async fn granted(policy: &ImagePolicy, namespace: &str, context: &Context) -> Result<(), String> {
    let key = image_policy::repository_of(policy);
    let stored = ObjectRef::new(&key.name).within(&key.namespace);
    let Some(repository) = context.stores.image_repositories.get(&stored) else {
        return Err(format!("its ImageRepository/{key} does not exist"));
    };
    if access::grants(&repository, namespace, context).await? {
        return Ok(());
    }
    Err(format!(
        "its ImageRepository/{key} does not grant access to namespace {namespace}: add its labels \
         to accessFrom.namespaceSelectors there"
    ))
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
    fn policies_of_other_namespaces() {
        let image = |tag: &str| {
            Some(ImageRef {
                name: "n".into(),
                tag: tag.into(),
                digest: None,
            })
        };
        let own = [("a".to_owned(), image("t")), ("b".to_owned(), None)];
        let mut policies = Policies::of_namespace("foo", own);
        assert!(matches!(policies.lookup("foo", "a"), Lookup::Ref(_)));
        assert!(matches!(policies.lookup("foo", "b"), Lookup::NoValueYet));
        assert!(matches!(policies.lookup("foo", "c"), Lookup::Unknown));
        assert!(matches!(
            policies.lookup("bar", "a"),
            Lookup::OtherNamespace
        ));
        assert_eq!(policies.observed().len(), 1);

        let denied = BTreeMap::from([(Key::new("bar", "b"), "no".to_owned())]);
        policies.denied = Some(denied);
        policies.selected.insert(Key::new("bar", "a"), image("u"));
        assert!(matches!(policies.lookup("bar", "a"), Lookup::Ref(_)));
        assert!(matches!(policies.lookup("bar", "b"), Lookup::Denied(_)));
        assert!(matches!(policies.lookup("bar", "c"), Lookup::Unknown));
        let observed: Vec<String> = policies.observed().into_keys().collect();
        assert_eq!(observed, ["a", "bar/a"]);
    }
}
