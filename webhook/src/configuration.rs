//! The two webhook configurations, as they are applied.
//!
//! Pure. Which requests reach this program is decided here, in the API server: what does not
//! match costs nothing and cannot be held up by us.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flux_rules::Kind;
use serde_json::{Value, json};

use crate::admission::Stage;
use crate::args::FailurePolicy;
use crate::endpoint::Endpoint;

/// Flux's kinds: every version that is served, so that an object arrives as it was written.
const FLUX: &str = "flux.admission.flux-sync.io";

/// Ingress.
const INGRESS: &str = "ingress.admission.flux-sync.io";

/// What a configuration is made of.
#[derive(Clone, Debug)]
pub struct Design {
    /// `metadata.name` of both.
    pub name: String,
    /// Namespace of this program: its own objects and service accounts are there.
    pub namespace: String,
    /// How the API server reaches this program.
    pub endpoint: Endpoint,
    /// What happens when nobody answers.
    pub failure_policy: FailurePolicy,
    /// `uid` of the namespace, which owns both: they go when it goes.
    pub namespace_uid: String,
}

/// What changes in the configurations while the program runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Current {
    /// What API servers have to trust, PEM.
    pub bundle: String,
    /// Whether something of an Ingress may have to be filled in: else nothing of it is mutated,
    /// and its writes are spared a call.
    pub fills_ingresses: bool,
}

impl Design {
    /// The configuration of a stage, for server-side apply.
    #[must_use]
    pub fn configuration(&self, stage: Stage, current: &Current) -> Value {
        let bundle = current.bundle.as_str();
        let (kind, webhooks) = match stage {
            // No schema of an Ingress hides our words.
            Stage::Mutate if !current.fills_ingresses => (
                "MutatingWebhookConfiguration",
                vec![self.flux(stage, bundle)],
            ),
            Stage::Mutate => (
                "MutatingWebhookConfiguration",
                vec![self.flux(stage, bundle), self.ingress(stage, bundle)],
            ),
            Stage::Validate => (
                "ValidatingWebhookConfiguration",
                vec![self.flux(stage, bundle), self.ingress(stage, bundle)],
            ),
        };
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {
                "name": self.name,
                "labels": {
                    "app.kubernetes.io/part-of": "flux",
                    "app.kubernetes.io/component": "admission-webhook",
                },
                // AKS would otherwise exempt its own namespaces by rewriting the selectors.
                "annotations": {"admissions.enforcer/disabled": "true"},
                "ownerReferences": [{
                    "apiVersion": "v1",
                    "kind": "Namespace",
                    "name": self.namespace,
                    "uid": self.namespace_uid,
                }],
            },
            "webhooks": webhooks,
        })
    }

    fn flux(&self, stage: Stage, bundle: &str) -> Value {
        let rule = |kinds: &[Kind]| {
            // The kinds of one rule share a group.
            let groups: Vec<&str> = kinds.iter().take(1).map(|kind| kind.group()).collect();
            let resources: Vec<&str> = kinds.iter().map(|kind| kind.plural()).collect();
            json!({
                "apiGroups": groups,
                "apiVersions": ["v1", "v1beta2", "v1beta1"],
                "resources": resources,
                "operations": ["CREATE", "UPDATE"],
                "scope": "Namespaced",
            })
        };
        let rules = vec![
            rule(&[Kind::GitRepository]),
            rule(&[
                Kind::ImageRepository,
                Kind::ImagePolicy,
                Kind::ImageUpdateAutomation,
            ]),
            rule(&[Kind::Kustomization]),
        ];
        // Status, finalizers, reconcile requests and applies that change nothing never get here.
        let changed = "request.operation == 'CREATE' || !has(object.spec) || \
                       !has(oldObject.spec) || object.spec != oldObject.spec";
        self.webhook(FLUX, stage, bundle, rules, changed)
    }

    fn ingress(&self, stage: Stage, bundle: &str) -> Value {
        let rule = json!({
            "apiGroups": [Kind::Ingress.group()],
            "apiVersions": ["v1"],
            "resources": [Kind::Ingress.plural()],
            "operations": ["CREATE", "UPDATE"],
            "scope": "Namespaced",
        });
        let changed = "request.operation == 'CREATE' || object.spec != oldObject.spec || \
                       has(object.metadata.annotations) != has(oldObject.metadata.annotations) || \
                       (has(object.metadata.annotations) && \
                       object.metadata.annotations != oldObject.metadata.annotations)";
        self.webhook(INGRESS, stage, bundle, vec![rule], changed)
    }

    fn webhook(
        &self,
        name: &str,
        stage: Stage,
        bundle: &str,
        rules: Vec<Value>,
        changed: &str,
    ) -> Value {
        let (path, timeout) = match stage {
            Stage::Mutate => ("/mutate", 2),
            Stage::Validate => ("/validate", 3),
        };
        let mut client_config = self.endpoint.client_config(path);
        client_config["caBundle"] = json!(STANDARD.encode(bundle));
        let condition =
            |name: &str, expression: String| json!({"name": name, "expression": expression});
        let namespace = &self.namespace;
        let mut webhook = json!({
            "name": name,
            "admissionReviewVersions": ["v1"],
            "clientConfig": client_config,
            "failurePolicy": self.failure_policy.as_str(),
            "matchPolicy": "Equivalent",
            "sideEffects": "None",
            "timeoutSeconds": timeout,
            "rules": rules,
            "namespaceSelector": {"matchExpressions": [{
                "key": "kubernetes.io/metadata.name",
                "operator": "NotIn",
                "values": ["kube-system", "kube-public", "kube-node-lease"],
            }]},
            "matchConditions": [
                condition("not-deleting", "!has(object.metadata.deletionTimestamp)".to_owned()),
                condition("changed", changed.to_owned()),
                // The pair that installs everything must never depend on us.
                condition("not-bootstrap", format!(
                    "!(request.namespace == '{namespace}' && request.name == 'flux-system')"
                )),
                // What is applied from Git counts; what controllers write for themselves does not.
                condition("not-controllers", format!(
                    "!request.userInfo.username.startsWith('system:serviceaccount:{namespace}:') \
                     || request.userInfo.username.endsWith(':sync-operator') \
                     || request.userInfo.username.endsWith(':kustomize-controller') \
                     || request.userInfo.username.endsWith(':helm-controller')"
                )),
            ],
        });
        if stage == Stage::Mutate {
            // What others fill in afterwards may make one of our defaults due.
            webhook["reinvocationPolicy"] = json!("IfNeeded");
        }
        webhook
    }
}

/// How each webhook of a configuration reaches its server, by name of the webhook.
#[must_use]
pub fn client_configs(configuration: &Value) -> Vec<(&str, &Value)> {
    configuration
        .get("webhooks")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|webhook| Some((webhook.get("name")?.as_str()?, webhook.get("clientConfig")?)))
        .collect()
}

/// The bundle (PEM) of a `clientConfig`.
pub(crate) fn bundle(client_config: &Value) -> Option<String> {
    let text = client_config.get("caBundle")?.as_str()?;
    String::from_utf8(STANDARD.decode(text).ok()?).ok()
}

/// The bundle (PEM) that all webhooks of a configuration trust; `None` if they differ or have none.
#[must_use]
pub fn stored_bundle(configuration: &Value) -> Option<String> {
    let mut bundles = client_configs(configuration)
        .into_iter()
        .map(|(_, config)| bundle(config));
    let first = bundles.next()??;
    bundles
        .all(|bundle| bundle.as_deref() == Some(first.as_str()))
        .then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn current() -> Current {
        Current {
            bundle: "PEM".to_owned(),
            fills_ingresses: false,
        }
    }

    fn design() -> Design {
        Design {
            name: "admission-webhook".to_owned(),
            namespace: "flux-system".to_owned(),
            endpoint: Endpoint::url("https://127.0.0.1:9443").expect("valid"),
            failure_policy: FailurePolicy::Ignore,
            namespace_uid: "1".to_owned(),
        }
    }

    #[test]
    fn both_reach_this_program_and_trust_the_bundle() {
        for (stage, count) in [(Stage::Mutate, 1), (Stage::Validate, 2)] {
            let configuration = design().configuration(stage, &current());
            let configs = client_configs(&configuration);
            assert_eq!(configs.len(), count);
            let url = format!("https://127.0.0.1:9443/{}", stage.as_str());
            assert!(
                configs
                    .iter()
                    .all(|(_, config)| config["url"] == url.as_str())
            );
            assert_eq!(stored_bundle(&configuration).as_deref(), Some("PEM"));
        }
    }

    #[test]
    fn ingresses_are_mutated_only_where_something_is_filled_in() {
        let mut current = current();
        let count = |current: &Current| {
            let configuration = design().configuration(Stage::Mutate, current);
            client_configs(&configuration).len()
        };
        assert_eq!(count(&current), 1);
        current.fills_ingresses = true;
        assert_eq!(count(&current), 2);
    }

    #[test]
    fn an_overwritten_bundle_is_noticed() {
        let mut configuration = design().configuration(Stage::Validate, &current());
        configuration["webhooks"][1]["clientConfig"]["caBundle"] = json!("Cg==");
        assert_eq!(stored_bundle(&configuration), None);
        configuration["webhooks"] = json!([]);
        assert_eq!(stored_bundle(&configuration), None);
    }

    #[test]
    fn all_served_versions_of_flux_kinds_are_listed() {
        let configuration = design().configuration(Stage::Mutate, &current());
        let rules = configuration["webhooks"][0]["rules"]
            .as_array()
            .expect("rules");
        let resources: Vec<&str> = rules
            .iter()
            .flat_map(|rule| rule["resources"].as_array().expect("resources"))
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(
            resources,
            [
                "gitrepositories",
                "imagerepositories",
                "imagepolicies",
                "imageupdateautomations",
                "kustomizations"
            ]
        );
        assert_eq!(rules[0]["apiGroups"], json!(["source.toolkit.fluxcd.io"]));
        assert!(
            rules
                .iter()
                .all(|rule| rule["apiVersions"].as_array().expect("list").len() == 3)
        );
    }
}
