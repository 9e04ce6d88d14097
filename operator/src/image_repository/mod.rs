//! ImageRepository: the tags of an image, after exclusion.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flux_api::names::{self, reason};
use flux_api::{ImageRepository, ImageRepositoryStatus, ScanResult, Time, conditions};
use flux_lang::goregex::GoRegex;
use flux_registry::{Reference, Tags};
use kube::ResourceExt;
use kube_runtime::reflector::Store;

use crate::args::Args;
use crate::conclusion::Verdict;
use crate::context::{Context, Stores};
use crate::controllers::ControllerName;
use crate::driver::{Controlled, Finalized, Pass};
use crate::events::Event;
use crate::image_policy;
use crate::key::Key;
use crate::references::Referent;
use crate::status::Status as _;

pub mod login;
pub mod scans;
pub mod store;

/// Excluded where the object says nothing: the signatures that cosign stores as tags.
const DEFAULT_EXCLUSION: &str = r"^.*\.sig$";

/// How many tags the status shows.
const SHOWN: usize = 10;

impl Controlled for ImageRepository {
    const KIND: &'static str = "ImageRepository";
    const CONTROLLER: ControllerName = ControllerName::ImageReflector;
    const MANAGER: &'static str = names::IMAGE_REFLECTOR_FIELD_MANAGER;
    const WAITS_FOR_SERVERS: bool = true;

    fn cache(stores: &Stores) -> &Store<Self> {
        &stores.image_repositories
    }

    fn suspended(&self) -> bool {
        self.spec.suspend
    }

    fn server(&self, _context: &Context) -> Option<String> {
        let reference = Reference::parse(&self.spec.image).ok()?;
        Some(reference.registry().to_owned())
    }

    fn secrets(&self) -> Vec<&str> {
        let spec = &self.spec;
        [
            &spec.secret_ref,
            &spec.cert_secret_ref,
            &spec.proxy_secret_ref,
        ]
        .into_iter()
        .flatten()
        .map(|r| r.name.as_str())
        .collect()
    }

    fn references(&self, _args: &Args) -> Vec<Referent> {
        let namespace = self.namespace().unwrap_or_default();
        let key = |name: &str| Key::new(&namespace, name);
        let account = self.spec.service_account_name.as_deref();
        let secrets = self.secrets().into_iter();
        secrets
            .map(|name| Referent::Secret(key(name)))
            .chain(account.map(|name| Referent::ServiceAccount(key(name))))
            .collect()
    }

    async fn reconcile(&self, context: &Arc<Context>) -> Pass<Self::Status> {
        let mut run = Run {
            object: self,
            key: Key::of(self),
            context,
            status: self.status.clone().unwrap_or_default(),
            events: Vec::new(),
        };
        let verdict = match run.scan().await {
            Ok(verdict) | Err(verdict) => verdict,
        };
        let interval = self.spec.interval.as_std();
        Pass {
            status: run.status,
            verdict,
            events: run.events,
            interval,
        }
    }

    fn concluded(&self, verdict: &Verdict, context: &Context) {
        // Policies that wait for a first scan say why there is none.
        if !verdict.is_ready() {
            wake_policies(&Key::of(self), context);
        }
    }

    fn changed(before: Option<&Self>, after: Option<&Self>, context: &Context) {
        // Not when the run begins, which may be after others have scanned for the same request.
        let asked = |object: Option<&Self>| {
            let object = object?;
            let requested = object.annotations().get(names::REQUESTED_AT).cloned();
            Some((requested, object.metadata.generation))
        };
        if let Some(object) = after
            && asked(before) != asked(after)
        {
            context.asked.set(&Key::of(object), Instant::now());
        }
        let access = |object: Option<&Self>| object.map(|object| object.spec.access_from.clone());
        if let Some(object) = after.or(before)
            && access(before) != access(after)
        {
            for policy in wake_policies(&Key::of(object), context) {
                image_policy::wake_automations(&policy, context);
            }
        }
    }

    async fn finalize(&self, context: &Arc<Context>) -> Finalized {
        let key = Key::of(self);
        context.tags.remove(&key);
        context.asked.remove(&key);
        context.scans.forget(&key);
        context.pull_secrets.remove(&key);
        Finalized::Done
    }
}

struct Run<'a> {
    object: &'a ImageRepository,
    key: Key,
    context: &'a Arc<Context>,
    status: ImageRepositoryStatus,
    events: Vec<Event>,
}

impl Run<'_> {
    async fn scan(&mut self) -> Result<Verdict, Verdict> {
        let spec = &self.object.spec;
        let reference = Reference::parse(&spec.image).map_err(|error| Verdict::Stalled {
            reason: reason::IMAGE_URL_INVALID,
            message: error.to_string(),
        })?;
        let exclusion = exclusion(spec.exclusion_list.as_deref())?;
        let options =
            login::options(self.object, &reference, timeout(self.object), self.context).await?;
        let scans = &self.context.scans;
        let scan = scans.scan(&self.key, options, &reference, self.since());
        let scan = scan.await?;
        let (context, key) = (self.context.clone(), self.key.clone());
        let subject = subject(self.object);
        let work = move || {
            let tags = match exclusion.is_empty() {
                true => scan.tags,
                false => exclude(scan.tags, &exclusion),
            };
            let revision = checksum(&tags);
            if context.tags.set(&key, &subject, tags.clone()) {
                // They need not wait until the status is written.
                wake_policies(&key, &context);
            }
            (tags, revision)
        };
        let (tags, revision) = scans::on_a_thread(work).await?;
        let message = self.note(&reference, &tags, revision);
        for other in scan.others {
            self.context.triggers.image_repositories.wake(&other);
        }
        Ok(Verdict::Ready {
            reason: reason::SUCCEEDED,
            message,
        })
    }

    /// How old a scan that others made may be: as old as the interval lets tags become anyway, but no
    /// older than the last request, or the last change of a Secret.
    fn since(&self) -> Instant {
        let now = Instant::now();
        let age = self.object.spec.interval.as_std().mul_f64(0.9);
        let due = now.checked_sub(age).unwrap_or(now);
        if let Some(asked) = self.context.asked.get(&self.key) {
            return asked.max(due);
        }
        let is_new = self.status.is_asked(self.object);
        let changed = self.status.observed_generation != self.object.metadata.generation;
        // Asked before this process began.
        if is_new || changed { now } else { due }
    }

    /// Writes the result into the status; returns the message of the Ready condition.
    fn note(&mut self, reference: &Reference, tags: &Tags, revision: String) -> String {
        let message = format!(
            "successful scan: found {} tags with checksum {revision}",
            tags.len()
        );
        let old = self
            .status
            .last_scan_result
            .as_ref()
            .and_then(|s| s.revision.as_ref());
        let was_ready = conditions::is_true(&self.status.conditions, names::READY);
        if old != Some(&revision) || !was_ready {
            self.events.push(Event::normal(reason::SUCCEEDED, &message));
        }
        self.status.canonical_image_name = Some(reference.canonical());
        self.status.observed_exclusion_list = self
            .object
            .spec
            .exclusion_list
            .clone()
            .unwrap_or_else(|| vec![DEFAULT_EXCLUSION.to_owned()]);
        self.status.last_scan_result = Some(ScanResult {
            tag_count: i64::try_from(tags.len()).unwrap_or(i64::MAX),
            scan_time: Some(Time(k8s_openapi::jiff::Timestamp::now())),
            latest_tags: tags.iter().take(SHOWN).map(str::to_owned).collect(),
            revision: Some(revision),
        });
        message
    }
}

fn exclusion(list: Option<&[String]>) -> Result<Vec<GoRegex>, Verdict> {
    let default = [DEFAULT_EXCLUSION.to_owned()];
    let compile = |(at, pattern): (usize, &String)| {
        GoRegex::compile(pattern).map_err(|error| Verdict::Stalled {
            reason: reason::FAILURE,
            message: format!("spec.exclusionList[{at}] \"{pattern}\" is no valid pattern: {error}"),
        })
    };
    list.unwrap_or(&default)
        .iter()
        .enumerate()
        .map(compile)
        .collect()
}

/// Time for a question to the registry: `spec.timeout`, by default the interval, at least a second.
pub fn timeout(object: &ImageRepository) -> Duration {
    let spec = &object.spec;
    let timeout = spec.timeout.as_ref().unwrap_or(&spec.interval).as_std();
    timeout.max(Duration::from_secs(1))
}

/// Takes the excluded tags out; without any, the list is the one that others have, too.
fn exclude(tags: Arc<Tags>, exclusion: &[GoRegex]) -> Arc<Tags> {
    let kept: Tags = tags
        .iter()
        .filter(|tag| !exclusion.iter().any(|pattern| pattern.is_match(tag)))
        .collect();
    if kept.len() == tags.len() {
        return tags;
    }
    Arc::new(kept)
}

/// What the tags of an ImageRepository depend on, in one line.
pub fn subject(object: &ImageRepository) -> String {
    let spec = &object.spec;
    serde_json::json!([spec.image, spec.exclusion_list]).to_string()
}

/// Adler-32 (RFC 1950) of the tags as a JSON list: how Flux tells one list of tags from another.
/// The characters of tags need no escape in JSON.
fn checksum(tags: &Tags) -> String {
    const MODULUS: u32 = 65_521;
    let (mut a, mut b) = (1_u32, 0_u32);
    let mut add = |text: &str| {
        for byte in text.bytes() {
            a = (a + u32::from(byte)) % MODULUS;
            b = (b + a) % MODULUS;
        }
    };
    add("[");
    for (at, tag) in tags.iter().enumerate() {
        add(if at == 0 { "\"" } else { ",\"" });
        add(tag);
        add("\"");
    }
    add("]");
    ((b << 16) | a).to_string()
}

/// Wakes the policies that select from an ImageRepository, and names them.
fn wake_policies(key: &Key, context: &Context) -> Vec<Key> {
    let mut woken = Vec::new();
    for policy in context.stores.image_policies.state() {
        if image_policy::repository_of(&policy) == *key {
            let policy = Key::of(&*policy);
            context.triggers.image_policies.wake(&policy);
            woken.push(policy);
        }
    }
    woken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_json_list() {
        // Adler-32 of "[]", by hand: a = 185, b = 277.
        let of = |tags: &[&str]| checksum(&tags.iter().copied().collect());
        assert_eq!(of(&[]), "18153657");
        assert_ne!(of(&["a"]), of(&["b"]));
        // Of ["2.51","2.9"], as zlib says.
        assert_eq!(of(&["2.51", "2.9"]), "351077068");
    }

    #[test]
    fn patterns_are_named_when_they_are_wrong() {
        let list = ["^v".to_owned(), "(".to_owned()];
        let Err(Verdict::Stalled { message, .. }) = exclusion(Some(&list)) else {
            panic!("a bad pattern must stall");
        };
        assert!(
            message.starts_with("spec.exclusionList[1] \"(\""),
            "{message}"
        );
        assert!(exclusion(None).unwrap()[0].is_match("sha256-1.sig"));
    }
}
