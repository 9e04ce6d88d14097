//! Creates the webhook configurations and keeps them reaching this program.

use std::fmt::Debug;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;

use crate::admission::Stage;
use crate::configuration::{Current, Design, bundle, client_configs, stored_bundle};
use crate::keeper::Keeper;

/// Our field manager.
const MANAGER: &str = "admission-webhook";

/// Pause between two attempts: long enough not to fight anybody in earnest, short enough for
/// "within seconds".
const PAUSE: Duration = Duration::from_secs(1);

/// Whoever changes a configuration several times within this time wants something else than we do.
const QUARREL: Duration = Duration::from_secs(10);

/// How many times are no quarrel yet.
const PATIENT: usize = 3;

/// Longest pause while the API server keeps refusing.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What the API server really holds: the bundle of each configuration.
#[derive(Debug, Default)]
pub struct Stored {
    mutating: Mutex<Option<String>>,
    validating: Mutex<Option<String>>,
}

impl Stored {
    fn slot(&self, stage: Stage) -> &Mutex<Option<String>> {
        match stage {
            Stage::Mutate => &self.mutating,
            Stage::Validate => &self.validating,
        }
    }

    fn put(&self, stage: Stage, bundle: Option<String>) {
        *self
            .slot(stage)
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = bundle;
    }

    /// Whether both configurations trust this certificate (PEM).
    #[must_use]
    pub fn trusts(&self, certificate: &str) -> bool {
        [Stage::Mutate, Stage::Validate].into_iter().all(|stage| {
            let bundle = self
                .slot(stage)
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            bundle
                .as_deref()
                .is_some_and(|bundle| bundle.contains(certificate.trim_end()))
        })
    }
}

/// The uid of the namespace that owns the configurations.
///
/// # Errors
/// [`kube::Error`], in particular with code 404 if there is no such namespace.
pub async fn namespace_uid(client: &Client, namespace: &str) -> Result<String, kube::Error> {
    let namespace = Api::<Namespace>::all(client.clone()).get(namespace).await?;
    Ok(namespace.uid().unwrap_or_default())
}

/// Applies the configuration of a stage, then again whenever it is to change or somebody else
/// changes how its webhooks are reached. Never returns. `keeper` brings `current` up to what is
/// stored of the authority.
///
/// A configuration that somebody deletes stays deleted until the next start: deleting it is the
/// way out when a webhook makes trouble.
pub(crate) async fn keep(
    client: Client,
    design: &Design,
    stage: Stage,
    current: watch::Receiver<Current>,
    stored: &Stored,
    keeper: &Keeper,
) {
    match stage {
        Stage::Mutate => {
            let api: Api<MutatingWebhookConfiguration> = Api::all(client);
            keep_kind(&api, design, stage, current, stored, keeper).await;
        }
        Stage::Validate => {
            let api: Api<ValidatingWebhookConfiguration> = Api::all(client);
            keep_kind(&api, design, stage, current, stored, keeper).await;
        }
    }
}

async fn keep_kind<K>(
    api: &Api<K>,
    design: &Design,
    stage: Stage,
    mut current: watch::Receiver<Current>,
    stored: &Stored,
    keeper: &Keeper,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize + Send + 'static,
{
    let wanted = design.configuration(stage, &current.borrow_and_update());
    apply(api, design, stage, &wanted, stored).await;

    let only_ours = watcher::Config::default().fields(&format!("metadata.name={}", design.name));
    let mut events = watcher::watcher(api.clone(), only_ours).boxed();
    let mut deleted = false;
    let mut mended = Vec::new();
    loop {
        tokio::select! {
            event = events.try_next() => match event {
                Ok(Some(Event::Apply(object) | Event::InitApply(object))) => {
                    deleted = false;
                    let found = serde_json::to_value(&object).unwrap_or_default();
                    stored.put(stage, stored_bundle(&found));
                    let mut wanted = design.configuration(stage, &current.borrow());
                    if !reaches_us(&wanted, &found) && stored_bundle(&found).is_some() {
                        // It may be right, and what is held here out of date.
                        keeper.refresh().await;
                        wanted = design.configuration(stage, &current.borrow_and_update());
                    }
                    if !reaches_us(&wanted, &found) {
                        tracing::info!(
                            configuration = design.name, stage = stage.as_str(),
                            "somebody changed how the webhook is reached; applying it again"
                        );
                        // At once, since nobody is asked until then; but no fight of two tools.
                        mended.retain(|at: &Instant| at.elapsed() < QUARREL);
                        if mended.len() >= PATIENT {
                            tokio::time::sleep(PAUSE).await;
                        }
                        mended.push(Instant::now());
                        apply(api, design, stage, &wanted, stored).await;
                    }
                }
                Ok(Some(Event::Delete(_))) => {
                    deleted = true;
                    stored.put(stage, None);
                    tracing::warn!(
                        configuration = design.name, stage = stage.as_str(),
                        "the webhook configuration was deleted; it is created again at the next start"
                    );
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, stage = stage.as_str(), "cannot watch the webhook configuration");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            changed = current.changed() => {
                if changed.is_err() {
                    // The sender lives as long as the program.
                    return std::future::pending().await;
                }
                if !deleted {
                    let wanted = design.configuration(stage, &current.borrow_and_update());
                    apply(api, design, stage, &wanted, stored).await;
                }
            }
        }
    }
}

/// Applies until it works.
async fn apply<K>(api: &Api<K>, design: &Design, stage: Stage, wanted: &Value, stored: &Stored)
where
    K: Resource + Clone + Debug + DeserializeOwned + Serialize,
{
    let params = PatchParams::apply(MANAGER).force();
    let mut pause = PAUSE;
    loop {
        let error = match api
            .patch(&design.name, &params, &Patch::Apply(wanted))
            .await
        {
            Ok(object) => {
                let found = serde_json::to_value(&object).unwrap_or_default();
                stored.put(stage, stored_bundle(&found));
                return;
            }
            Err(error) => error,
        };
        tracing::warn!(
            error = reason(&error),
            configuration = design.name,
            stage = stage.as_str(),
            "cannot apply the webhook configuration"
        );
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What the API server says, without the debug form of its whole status.
pub(crate) fn reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        other => other.to_string(),
    }
}

/// Whether every webhook that we want is there and is reached as we want. More may be trusted than
/// we know of: another replica announced a new authority a moment before.
fn reaches_us(wanted: &Value, found: &Value) -> bool {
    let there = client_configs(found);
    client_configs(wanted).into_iter().all(|(name, wanted)| {
        there.iter().any(|(other, found)| {
            *other == name && same_address(wanted, found) && trusts(wanted, found)
        })
    })
}

fn same_address(wanted: &Value, found: &Value) -> bool {
    ["url", "service"]
        .iter()
        .all(|field| wanted.get(field) == found.get(field))
}

fn trusts(wanted: &Value, found: &Value) -> bool {
    let (Some(wanted), Some(found)) = (bundle(wanted), bundle(found)) else {
        return false;
    };
    const END: &str = "-----END CERTIFICATE-----";
    let mut certificates = wanted.split_inclusive(END).map(str::trim);
    certificates.all(|certificate| found.contains(certificate))
}

/// Removes both configurations; one that is not there is as good as removed.
///
/// # Errors
/// The first refusal of the API server, after trying both.
pub async fn remove(client: &Client, name: &str) -> Result<(), kube::Error> {
    let params = DeleteParams::default();
    let mutating = Api::<MutatingWebhookConfiguration>::all(client.clone());
    let validating = Api::<ValidatingWebhookConfiguration>::all(client.clone());
    let first = gone(mutating.delete(name, &params).await.map(drop));
    let second = gone(validating.delete(name, &params).await.map(drop));
    first.and(second)
}

fn gone(result: Result<(), kube::Error>) -> Result<(), kube::Error> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::args::FailurePolicy;
    use crate::endpoint::Endpoint;

    const OLD: &str = "-----BEGIN CERTIFICATE-----\nb2xk\n-----END CERTIFICATE-----\n";
    const NEW: &str = "-----BEGIN CERTIFICATE-----\nbmV3\n-----END CERTIFICATE-----\n";

    fn configuration(bundle: &str) -> Value {
        let design = Design {
            name: "a".to_owned(),
            namespace: "b".to_owned(),
            endpoint: Endpoint::service("a", "b", 443),
            failure_policy: FailurePolicy::Ignore,
            namespace_uid: String::new(),
        };
        let current = Current {
            bundle: bundle.to_owned(),
            fills_ingresses: false,
        };
        design.configuration(Stage::Validate, &current)
    }

    #[test]
    fn replicas_do_not_take_back_what_others_announce() {
        let both = configuration(&[OLD, NEW].concat());
        assert!(reaches_us(&configuration(OLD), &both));
        assert!(!reaches_us(&both, &configuration(OLD)));
        let mut elsewhere = configuration(OLD);
        elsewhere["webhooks"][0]["clientConfig"]["service"]["port"] = json!(8443);
        assert!(!reaches_us(&configuration(OLD), &elsewhere));
        let mut lost = configuration(OLD);
        lost["webhooks"][1]["clientConfig"]["caBundle"] = Value::Null;
        assert!(!reaches_us(&configuration(OLD), &lost));
    }
}
