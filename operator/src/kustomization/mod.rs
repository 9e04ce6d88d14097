//! Kustomization: from a commit to the cluster.
//!
//! The steps of a run ([`run`]): what cannot be done yet ([`unsupported`]), the source,
//! dependencies ([`dependencies`]), build, plan, the intended inventory, apply, prune
//! ([`inventory`]), health ([`health`]). Each has its words in the Ready condition; the first that
//! fails ends the run.

use std::sync::Arc;
use std::time::Duration;

use flux_api::kustomize::SubstituteKind;
use flux_api::names;
use flux_api::{Kustomization, KustomizationStatus, go_string};
use kube::ResourceExt;
use kube_runtime::reflector::{ObjectRef, Store};

use crate::args::Args;
use crate::conclusion::Verdict;
use crate::context::{Context, Stores};
use crate::controllers::ControllerName;
use crate::driver::{Controlled, Finalized, Pass};
use crate::key::Key;
use crate::references::Referent;
use run::Run;

pub mod cel;
pub mod claims;
mod cycles;
mod decryption;
pub mod dependencies;
pub mod drift;
mod events;
pub mod finalize;
pub mod health;
pub mod history;
pub mod impersonation;
mod inputs;
pub mod inventory;
mod judges;
mod links;
mod moves;
mod origins;
pub mod past;
mod redaction;
mod run;
pub mod unsupported;
pub mod warnings;

/// How long new definitions may take to be served.
const DEFINITION_TIMEOUT: Duration = Duration::from_secs(60);

impl Controlled for Kustomization {
    const KIND: &'static str = "Kustomization";
    const CONTROLLER: ControllerName = ControllerName::Kustomize;
    const MANAGER: &'static str = names::KUSTOMIZATION_STATUS_FIELD_MANAGER;
    const TELLS_FAILURES: bool = true;

    fn cache(stores: &Stores) -> &Store<Self> {
        &stores.kustomizations
    }

    fn suspended(&self) -> bool {
        self.spec.suspend
    }

    fn secrets(&self) -> Vec<&str> {
        let decryption = self
            .spec
            .decryption
            .as_ref()
            .and_then(|d| d.secret_ref.as_ref());
        let kube_config = self
            .spec
            .kube_config
            .as_ref()
            .and_then(|k| k.secret_ref.as_ref());
        decryption
            .map(|r| r.name.as_str())
            .into_iter()
            .chain(kube_config.map(|r| r.name.as_str()))
            .collect()
    }

    fn references(&self, args: &Args) -> Vec<Referent> {
        let near = |name: &str| Key::new(self.namespace().unwrap_or_default(), name);
        let spec = &self.spec;
        let mut found: Vec<_> = self
            .secrets()
            .into_iter()
            .map(near)
            .map(Referent::Secret)
            .collect();
        found.extend(decryption::common_secret(spec, args).map(Referent::Secret));
        let variables = spec.post_build.iter().flat_map(|p| &p.substitute_from);
        found.extend(variables.filter_map(|reference| match reference.kind {
            SubstituteKind::Secret => Some(Referent::Secret(near(&reference.name))),
            SubstituteKind::ConfigMap => Some(Referent::ConfigMap(near(&reference.name))),
            _ => None,
        }));
        found
    }

    fn progress(&self, context: &Context) -> String {
        let step = context.known.step(&Key::of(self));
        let source = context.source(&moves::source_key(self));
        let (Some(step), Some(source)) = (step, source) else {
            return "Reconciliation in progress".to_owned();
        };
        format!(
            "{} for revision {} with a timeout of {}",
            step.words(),
            source.revision(),
            go_string(timeout(self))
        )
    }

    async fn reconcile(&self, context: &Arc<Context>) -> Pass<Self::Status> {
        let mut run = Run::new(self, context);
        let verdict = match run.steps().await {
            Ok(verdict) | Err(verdict) => verdict,
        };
        run.finish(verdict)
    }

    fn concluded(&self, verdict: &Verdict, context: &Context) {
        context.metrics.verified(&Key::of(self), verdict.is_ready());
        let Some(stored) = context
            .stores
            .kustomizations
            .get(&ObjectRef::from_obj(self))
        else {
            return;
        };
        let (key, stored) = (Key::of(self), context.newest_of(stored));
        let none = KustomizationStatus::default();
        let [before, after] = [self, &*stored].map(|o| o.status.as_ref().unwrap_or(&none));
        dependencies::wake_dependants(&key, before, after, context);
        inventory::wake_heirs(&key, &inventory::left(before, after), context);
    }

    fn observed(before: Option<&Self>, after: Option<&Self>, context: &Context) {
        let Some(object) = after.or(before) else {
            return;
        };
        let claimed = after.map(claims::of).unwrap_or_default();
        let none = KustomizationStatus::default();
        let [before, after] =
            [before, after].map(|o| o.and_then(|o| o.status.as_ref()).unwrap_or(&none));
        let key = Key::of(object);
        dependencies::wake_dependants(&key, before, after, context);
        context.known.claims.set(&key, &claimed, context);
    }

    async fn finalize(&self, context: &Arc<Context>) -> Finalized {
        finalize::finalize(self, context).await
    }
}

/// When a failed run is tried again.
pub fn retry_interval(object: &Kustomization) -> Duration {
    let interval = object.spec.interval.as_std();
    let retry = object
        .spec
        .retry_interval
        .as_ref()
        .map_or(interval, flux_api::GoDuration::as_std);
    retry.max(Duration::from_secs(1))
}

/// How long builds and health checks may take: `spec.timeout` as it is written, by default the
/// interval less 30 seconds, and then never less than 30 seconds.
pub fn timeout(object: &Kustomization) -> Duration {
    const FLOOR: Duration = Duration::from_secs(30);
    match &object.spec.timeout {
        Some(timeout) => timeout.as_std().max(Duration::from_secs(1)),
        None => object
            .spec
            .interval
            .as_std()
            .saturating_sub(FLOOR)
            .max(FLOOR),
    }
}
