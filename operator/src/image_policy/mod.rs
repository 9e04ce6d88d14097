//! ImagePolicy: which of the scanned tags is the latest.

use std::sync::Arc;
use std::time::Duration;

use flux_api::names::{self, reason};
use flux_api::{
    ImagePolicy, ImagePolicySpec, ImagePolicyStatus, ImageRef, ImageRepository, conditions,
};
use flux_image::policy::{PolicyError, Selector};
use flux_registry::Reference;
use kube::ResourceExt;
use kube_runtime::reflector::{ObjectRef, Store};

use crate::access;
use crate::conclusion::{Retry, Verdict};
use crate::context::{Context, Stores};
use crate::controllers::ControllerName;
use crate::driver::{Controlled, Finalized, Pass};
use crate::events::Event;
use crate::image_repository::scans::{Panicked, on_a_thread};
use crate::image_repository::{self, login, subject};
use crate::key::Key;
use crate::status::Status as _;

pub mod ranking;

impl Controlled for ImagePolicy {
    const KIND: &'static str = "ImagePolicy";
    const CONTROLLER: ControllerName = ControllerName::ImageReflector;
    const MANAGER: &'static str = names::IMAGE_REFLECTOR_FIELD_MANAGER;
    const WAITS_FOR_SERVERS: bool = true;

    const READERS: &'static [ControllerName] = &[ControllerName::ImageAutomation];

    fn cache(stores: &Stores) -> &Store<Self> {
        &stores.image_policies
    }

    fn suspended(&self) -> bool {
        self.spec.suspend
    }

    fn server(&self, context: &Context) -> Option<String> {
        if digest_policy(&self.spec) == "Never" {
            return None;
        }
        let key = repository_of(self);
        let stored = ObjectRef::new(&key.name).within(&key.namespace);
        let repository = context.stores.image_repositories.get(&stored)?;
        repository.server(context)
    }

    fn secrets(&self) -> Vec<&str> {
        Vec::new()
    }

    async fn reconcile(&self, context: &Arc<Context>) -> Pass<Self::Status> {
        let mut run = Run {
            object: self,
            key: Key::of(self),
            context,
            status: self.status.clone().unwrap_or_default(),
            events: Vec::new(),
        };
        let verdict = match run.steps().await {
            Ok(verdict) | Err(verdict) => verdict,
        };
        // Without digests to refresh only a scan can change the answer, and that wakes the object.
        let interval = self
            .spec
            .interval
            .as_ref()
            .map(flux_api::GoDuration::as_std);
        let interval = interval.unwrap_or(Duration::ZERO);
        Pass {
            status: run.status,
            verdict,
            events: run.events,
            interval,
        }
    }

    fn observed(before: Option<&Self>, after: Option<&Self>, context: &Context) {
        let latest = |object: Option<&Self>| object?.status.as_ref()?.latest_ref.clone();
        if let Some(object) = after
            && latest(before) != latest(after)
        {
            wake_automations(&Key::of(object), context);
        }
    }

    fn changed(before: Option<&Self>, after: Option<&Self>, context: &Context) {
        // Which markers name a policy, and which automations may use it.
        let known = |object: Option<&Self>| {
            let is_going = |object: &&Self| object.metadata.deletion_timestamp.is_some();
            let object = object.filter(|object| !is_going(object))?;
            Some(object.labels().clone())
        };
        if let Some(object) = after.or(before)
            && known(before) != known(after)
        {
            wake_automations(&Key::of(object), context);
        }
    }

    async fn finalize(&self, context: &Arc<Context>) -> Finalized {
        let key = Key::of(self);
        context.selected.remove(&key);
        context.rankings.remove(&key);
        Finalized::Done
    }
}

struct Run<'a> {
    object: &'a ImagePolicy,
    key: Key,
    context: &'a Arc<Context>,
    status: ImagePolicyStatus,
    events: Vec<Event>,
}

impl Run<'_> {
    async fn steps(&mut self) -> Result<Verdict, Verdict> {
        let selector = Selector::new(&self.object.spec).map_err(|error| Verdict::Stalled {
            reason: reason::INVALID_POLICY,
            message: error.to_string(),
        })?;
        check_interval(&self.object.spec)?;
        let (repository_key, repository) = self.repository().await?;
        let selected = self.select(selector, &repository_key, &repository);
        let Some(selected) = selected.await? else {
            return Err(self.unscanned(&repository_key, &repository));
        };
        let tag = selected.map_err(|error| Verdict::Failed {
            reason: reason::FAILURE,
            message: error.to_string(),
            retry: Retry::OnChange(self.context.args.dependency_retry() * 10),
        })?;
        let mut latest = ImageRef {
            name: repository.spec.image.clone(),
            tag,
            digest: None,
        };
        latest.digest = self.digest(&repository, &latest).await?;
        Ok(self.conclude(latest))
    }

    /// The tag that is selected; none while no tags are known.
    async fn select(
        &self,
        selector: Selector,
        repository_key: &Key,
        repository: &ImageRepository,
    ) -> Result<Option<Result<String, PolicyError>>, Panicked> {
        let (context, policy) = (self.context.clone(), self.key.clone());
        let (repository_key, subject) = (repository_key.clone(), subject(repository));
        let generation = self.object.metadata.generation;
        let work = on_a_thread(move || {
            let known = context.tags.get(&repository_key, &subject)?;
            Some(
                context
                    .rankings
                    .select(&policy, generation, &selector, &known),
            )
        });
        work.await
    }

    fn waiting(&self, message: String) -> Verdict {
        Verdict::Failed {
            reason: reason::DEPENDENCY_NOT_READY,
            message,
            retry: Retry::OnChange(self.context.args.dependency_retry()),
        }
    }

    /// No tags yet: what was selected before stays selected, unless somebody wants to hear why
    /// nothing happens.
    fn unscanned(&self, key: &Key, repository: &ImageRepository) -> Verdict {
        let list = repository.status.as_ref().map(|s| s.conditions.as_slice());
        let failed = conditions::get(list.unwrap_or_default(), names::READY)
            .filter(|ready| ready.status == "False");
        let asked = self.status.is_asked(self.object);
        match failed {
            Some(ready) if asked || self.status.latest_ref.is_none() => self.waiting(format!(
                "ImageRepository/{key} has no tags: {}",
                ready.message
            )),
            _ if self.status.latest_ref.is_some() => Verdict::Unchanged,
            _ => Verdict::Progressing {
                reason: reason::PROGRESSING,
                message: format!("Waiting for ImageRepository/{key} to be scanned"),
            },
        }
    }

    async fn repository(&self) -> Result<(Key, Arc<ImageRepository>), Verdict> {
        let key = repository_of(self.object);
        let denied = |message| Verdict::Stalled {
            reason: reason::ACCESS_DENIED,
            message,
        };
        let foreign = key.namespace != self.key.namespace;
        if foreign && self.context.args.no_cross_namespace_refs {
            return Err(denied(format!(
                "cannot access ImageRepository/{key}: cross-namespace references are disabled (--no-cross-namespace-refs)"
            )));
        }
        let stored = ObjectRef::new(&key.name).within(&key.namespace);
        let Some(repository) = self.context.stores.image_repositories.get(&stored) else {
            return Err(self.waiting(format!(
                "ImageRepository/{key} does not exist; create it or correct spec.imageRepositoryRef"
            )));
        };
        if foreign && !self.admitted(&repository).await? {
            return Err(denied(format!(
                "ImageRepository/{key} does not grant access to namespace {}: add its labels to accessFrom.namespaceSelectors there",
                self.key.namespace
            )));
        }
        // A scan that failed wakes the policy before its status comes back by watch.
        Ok((key, self.context.newest_of(repository)))
    }

    async fn admitted(&self, repository: &ImageRepository) -> Result<bool, Verdict> {
        access::grants(repository, &self.key.namespace, self.context)
            .await
            .map_err(|message| self.waiting(message))
    }

    async fn digest(
        &self,
        repository: &ImageRepository,
        latest: &ImageRef,
    ) -> Result<Option<String>, Verdict> {
        let policy = digest_policy(&self.object.spec);
        let known = self
            .status
            .latest_ref
            .as_ref()
            .filter(|old| old.name == latest.name && old.tag == latest.tag)
            .and_then(|old| old.digest.clone());
        match policy {
            "IfNotPresent" if known.is_some() => return Ok(known),
            "IfNotPresent" | "Always" => {}
            _ => return Ok(None),
        }
        let failed = |reason: &'static str, message: String| Verdict::Failed {
            reason,
            message,
            retry: Retry::Backoff,
        };
        let reference = Reference::parse(&repository.spec.image)
            .map_err(|error| failed(reason::IMAGE_URL_INVALID, error.to_string()))?;
        let timeout = image_repository::timeout(repository);
        let options = login::options(repository, &reference, timeout, self.context).await?;
        let read = |error: flux_registry::RegistryError| failed(error.reason(), error.to_string());
        let client = self.context.scans.client(options).map_err(read)?;
        client
            .digest(&reference, &latest.tag)
            .await
            .map(Some)
            .map_err(read)
    }

    fn conclude(&mut self, latest: ImageRef) -> Verdict {
        let old = self.status.latest_ref.clone();
        let mut message = format!(
            "Latest image tag for {} resolved to {}",
            latest.name, latest.tag
        );
        if let Some(digest) = &latest.digest {
            message.push_str(&format!(" with digest {digest}"));
        }
        if old.as_ref() != Some(&latest) {
            if let Some(old) = &old {
                message.push_str(&format!(" (previously {old})"));
                self.status.observed_previous_image = Some(old.to_string());
                self.status.observed_previous_ref = Some(old.clone());
            }
            self.events.push(Event::normal(reason::SUCCEEDED, &message));
        } else {
            if let Some(previous) = &self.status.observed_previous_ref {
                message.push_str(&format!(" (previously {previous})"));
            }
            if !conditions::is_true(&self.status.conditions, names::READY) {
                self.events.push(Event::normal(reason::SUCCEEDED, &message));
            }
        }
        self.status.latest_image = Some(format!("{}:{}", latest.name, latest.tag));
        self.status.latest_ref = Some(latest.clone());
        let before = self.context.selected.set(&self.key, latest.clone());
        if before.as_ref() != Some(&latest) {
            // They need not wait until the status is written.
            wake_automations(&self.key, self.context);
        }
        Verdict::Ready {
            reason: reason::SUCCEEDED,
            message,
        }
    }
}

/// When digests are looked up.
fn digest_policy(spec: &ImagePolicySpec) -> &str {
    let policy = spec.digest_reflection_policy.as_ref();
    policy.map_or("Never", |policy| policy.as_str())
}

/// The ImageRepository that a policy selects from.
pub fn repository_of(object: &ImagePolicy) -> Key {
    let reference = &object.spec.image_repository_ref;
    let namespace = reference.namespace.clone();
    let namespace = namespace.or_else(|| object.namespace());
    Key::new(namespace.unwrap_or_default(), &reference.name)
}

/// A digest that is to be looked up again and again needs to know how often. Our schema says so, too;
/// one of another installation may not.
fn check_interval(spec: &ImagePolicySpec) -> Result<(), Verdict> {
    if digest_policy(spec) != "Always" || spec.interval.is_some() {
        return Ok(());
    }
    Err(Verdict::Stalled {
        reason: reason::INTERVAL_NOT_CONFIGURED,
        message: "spec.digestReflectionPolicy Always needs spec.interval: how often the digest is \
                  looked up, for example 10m"
            .to_owned(),
    })
}

/// Wakes the automations that may use the policy.
pub fn wake_automations(key: &Key, context: &Context) {
    let all = context.args.cross_namespace_policies;
    for automation in context.stores.image_update_automations.state() {
        if all || automation.namespace().as_deref() == Some(&key.namespace) {
            context
                .triggers
                .image_update_automations
                .wake(&Key::of(&*automation));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn digests_that_are_looked_up_again_need_an_interval() {
        for (fields, is_fine) in [
            (json!({}), true),
            (json!({"digestReflectionPolicy": "IfNotPresent"}), true),
            (
                json!({"digestReflectionPolicy": "Always", "interval": "1m"}),
                true,
            ),
            (json!({"digestReflectionPolicy": "Always"}), false),
        ] {
            let mut spec = json!({
                "imageRepositoryRef": {"name": "app"},
                "policy": {"semver": {"range": "*"}},
            });
            for (name, value) in fields.as_object().unwrap() {
                spec[name] = value.clone();
            }
            let checked = check_interval(&serde_json::from_value(spec).unwrap());
            assert_eq!(checked.is_ok(), is_fine, "{fields}");
        }
    }
}
