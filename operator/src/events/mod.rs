//! Events on objects, as `kubectl get events` and `kubectl flux events` show them.
//!
//! Repetitions count up the event that is there instead of adding one. Publishing never holds a
//! reconcile back: a full queue drops events, a lost event is no lost state. What is queued when the
//! process ends is published before ([`Recorder::flush`]).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flux_api::{Time, conditions, go_string};
use k8s_openapi::api::core::v1::{Event as CoreEvent, EventSource, ObjectReference};
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::request::Request;
use kube::{Client, Resource};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;

use crate::client::answer_briefly;
use crate::words::api_error;

mod forward;
mod pending;

use forward::{Forward, Message};
use pending::{One, Pending};

/// What is kept of published events to count repetitions: a few hundred objects' worth.
const REMEMBERED: usize = 1024;

/// Events waiting to be written; more means the API server is not keeping up.
const QUEUE: usize = 512;

/// Runs that found nothing to do are told of once in this time, together.
const TOGETHER: Duration = Duration::from_secs(30 * 60);

/// The API server refuses longer messages.
const MAX_MESSAGE: usize = 1024;

/// Whether an event is good or bad news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// For the record.
    Normal,
    /// Somebody should look.
    Warning,
}

impl Type {
    fn word(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// Something worth telling about an object.
#[derive(Clone, Debug)]
pub struct Event {
    /// Good or bad news.
    pub type_: Type,
    /// Reason, in CamelCase.
    pub reason: String,
    /// What happened.
    pub message: String,
    /// Machine-readable details, as annotations of the event.
    pub annotations: BTreeMap<String, String>,
}

impl Event {
    /// An event for the record.
    pub fn normal(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Type::Normal, reason, message)
    }

    /// An event somebody should look at.
    pub fn warning(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Type::Warning, reason, message)
    }

    fn new(type_: Type, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            type_,
            reason: reason.into(),
            message: conditions::visible(&message.into()),
            annotations: BTreeMap::new(),
        }
    }

    /// Adds an annotation.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }
}

struct Job {
    object: ObjectReference,
    controller: &'static str,
    event: Event,
    _pending: One,
}

/// Publishes events in the background.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Job>,
    forward: Option<Forward>,
    checks: Arc<Mutex<Checks>>,
    pending: Pending,
}

impl Recorder {
    /// Starts the publisher. Events go to the API server and, where an address is given, to Flux's
    /// notification-controller.
    pub fn start(client: Client, address: Option<&str>) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let pending = Pending::default();
        tokio::spawn(write(client, jobs));
        let address = address.filter(|address| !address.is_empty());
        Self {
            queue,
            forward: address.map(|address| Forward::start(address.to_owned(), pending.clone())),
            checks: Arc::default(),
            pending,
        }
    }

    /// Waits until what was recorded is delivered, but not longer than `limit`: for the end of the
    /// process.
    pub async fn flush(&self, limit: Duration) {
        let lost = self.pending.none(limit).await;
        if lost > 0 {
            let within = go_string(limit);
            tracing::warn!(lost, "events could not be published within {within}");
        }
    }

    /// Counts a run of `object` that changed nothing. Once in half an hour an event with `reason`
    /// says how many there were, and when the next one is due.
    pub fn checked<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        controller: &'static str,
        reason: &'static str,
        next: Duration,
    ) {
        let Some(uid) = object.meta().uid.as_deref() else {
            return;
        };
        let due = self.checks().count(uid, Instant::now());
        if let Some((times, during)) = due {
            let (during, next) = (go_string(during), go_string(next));
            let message =
                format!("checked {times} times in {during}, nothing to change, next run in {next}");
            self.publish(object, controller, Event::normal(reason, message));
        }
    }

    fn checks(&self) -> MutexGuard<'_, Checks> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an event on `object`, reported by `controller`.
    pub fn record<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        controller: &'static str,
        event: Event,
    ) {
        if let Some(uid) = object.meta().uid.as_deref() {
            self.checks().told(uid, Instant::now());
        }
        self.forward(object, controller, &event);
        self.publish(object, controller, event);
    }

    /// Sends an event to Flux's notification-controller alone, if there is one: for what is no news
    /// on the object, but elsewhere.
    pub fn forward<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        controller: &'static str,
        event: &Event,
    ) {
        if let Some(forward) = &self.forward {
            let (reference, none) = (object.object_ref(&()), BTreeMap::new());
            let annotations = object.meta().annotations.as_ref().unwrap_or(&none);
            forward.send(Message::new(reference, controller, event, annotations));
        }
    }

    fn publish<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        controller: &'static str,
        event: Event,
    ) {
        let job = Job {
            object: object.object_ref(&()),
            controller,
            event,
            _pending: self.pending.one(),
        };
        if let Err(error) = self.queue.try_send(job) {
            tracing::warn!(%error, "event dropped");
        }
    }
}

/// Runs without news since they were last told of, by uid of the object.
#[derive(Default)]
struct Checks(HashMap<String, (Instant, u32)>);

impl Checks {
    /// Something else was told of: the time begins anew.
    fn told(&mut self, uid: &str, now: Instant) {
        if let Some(checks) = self.0.get_mut(uid) {
            *checks = (now, 0);
        }
    }

    /// Counts one; how many there were during how long when it is time to tell.
    fn count(&mut self, uid: &str, now: Instant) -> Option<(u32, Duration)> {
        let Some((since, times)) = self.0.get_mut(uid) else {
            // Objects that are gone are not counted any more.
            self.0
                .retain(|_, (since, _)| now.duration_since(*since) < TOGETHER * 48);
            self.0.insert(uid.to_owned(), (now, 1));
            return None;
        };
        *times += 1;
        let during = now.duration_since(*since);
        if during < TOGETHER {
            return None;
        }
        let told = *times;
        (*since, *times) = (now, 0);
        Some((told, Duration::from_secs(during.as_secs())))
    }
}

/// What makes two events the same.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    uid: String,
    type_: Type,
    reason: String,
    message: String,
    /// The same failure of another revision is news: a commit status hangs on it.
    annotations: BTreeMap<String, String>,
}

#[derive(Default)]
struct Seen {
    counts: HashMap<Key, (String, i32)>,
    order: VecDeque<Key>,
}

impl Seen {
    fn remember(&mut self, key: Key, name: String) {
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.counts.remove(&oldest);
        }
        self.order.push_back(key.clone());
        self.counts.insert(key, (name, 1));
    }
}

async fn write(client: Client, mut jobs: mpsc::Receiver<Job>) {
    let mut seen = Seen::default();
    while let Some(job) = jobs.recv().await {
        if let Err(error) = write_one(&client, &mut seen, &job).await {
            let error = api_error(&error);
            tracing::warn!(error, reason = job.event.reason, "event not published");
        }
    }
}

/// The part of an answer that is looked at.
#[derive(Deserialize)]
struct Written {
    metadata: Named,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

async fn write_one(client: &Client, seen: &mut Seen, job: &Job) -> Result<(), kube::Error> {
    let namespace = job.object.namespace.as_deref().unwrap_or("default");
    let events = Request::new(CoreEvent::url_path(&(), Some(namespace)));
    let now = Time(k8s_openapi::jiff::Timestamp::now());
    let key = Key {
        uid: job.object.uid.clone().unwrap_or_default(),
        type_: job.event.type_,
        reason: job.event.reason.clone(),
        message: job.event.message.clone(),
        annotations: job.event.annotations.clone(),
    };
    if let Some((name, count)) = seen.counts.get_mut(&key) {
        let next = *count + 1;
        let patch = json!({"count": next, "lastTimestamp": now});
        let request = events
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .map_err(kube::Error::BuildRequest)?;
        match client.request::<Written>(answer_briefly(request)).await {
            Ok(_) => {
                *count = next;
                return Ok(());
            }
            // The API server forgets events after an hour; then a new one is due.
            Err(kube::Error::Api(status)) if status.code == 404 => {
                seen.counts.remove(&key);
                seen.order.retain(|k| *k != key);
            }
            Err(error) => return Err(error),
        }
    }
    let event = CoreEvent {
        metadata: ObjectMeta {
            generate_name: Some(format!(
                "{}.",
                job.object.name.as_deref().unwrap_or("object")
            )),
            namespace: Some(namespace.to_owned()),
            annotations: (!job.event.annotations.is_empty()).then(|| job.event.annotations.clone()),
            ..ObjectMeta::default()
        },
        involved_object: job.object.clone(),
        type_: Some(job.event.type_.word().to_owned()),
        reason: Some(job.event.reason.clone()),
        message: Some(clamp(&job.event.message)),
        source: Some(EventSource {
            component: Some(job.controller.to_owned()),
            host: None,
        }),
        reporting_component: Some(job.controller.to_owned()),
        first_timestamp: Some(now.clone()),
        last_timestamp: Some(now),
        count: Some(1),
        ..CoreEvent::default()
    };
    let event = serde_json::to_vec(&event).map_err(kube::Error::SerdeError)?;
    let request = events
        .create(&PostParams::default(), event)
        .map_err(kube::Error::BuildRequest)?;
    let Written { metadata } = client.request(answer_briefly(request)).await?;
    seen.remember(key, metadata.name);
    Ok(())
}

/// Cuts at a character boundary and says so.
fn clamp(message: &str) -> String {
    if message.len() <= MAX_MESSAGE {
        return message.to_owned();
    }
    let mut end = MAX_MESSAGE - 4;
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{} ...", message.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::body::Body;
    use kube::client::Body as Sent;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn the_end_waits_for_what_was_recorded_but_not_for_ever() {
        const LONG: Duration = Duration::from_secs(60);
        let (created, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let service = tower::service_fn({
            let (created, gate) = (created.clone(), gate.clone());
            move |_: http::Request<Sent>| {
                let (created, gate) = (created.clone(), gate.clone());
                async move {
                    gate.acquire().await?.forget();
                    created.fetch_add(1, Ordering::Relaxed);
                    let event = json!({"metadata": {"name": "app.1"}});
                    Ok::<_, tower::BoxError>(http::Response::new(Body::from(event.to_string())))
                }
            }
        });
        let recorder = Recorder::start(Client::new(service, "default"), None);
        for reason in ["First", "Second", "Third"] {
            recorder.record(&CoreEvent::default(), "test", Event::normal(reason, "done"));
        }
        gate.add_permits(1);
        recorder.flush(Duration::from_millis(50)).await;
        assert!(created.load(Ordering::Relaxed) <= 1, "it has gone silent");
        let end = recorder.flush(LONG);
        gate.add_permits(2);
        end.await;
        assert_eq!(created.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        assert_eq!(clamp("short"), "short");
        let long = "\u{e9}".repeat(600);
        let cut = clamp(&long);
        assert!(cut.len() <= MAX_MESSAGE && cut.ends_with(" ..."));
    }

    #[test]
    fn uneventful_runs_are_told_of_together() {
        let (mut checks, start) = (Checks::default(), Instant::now());
        let at = |minutes: u64| start + Duration::from_secs(minutes * 60);
        for minute in 0..30 {
            assert_eq!(checks.count("a", at(minute)), None);
        }
        assert_eq!(checks.count("a", at(30)), Some((31, TOGETHER)));
        assert_eq!(checks.count("a", at(31)), None);
        assert_eq!(checks.count("a", at(60)), Some((2, TOGETHER)));
        checks.told("a", at(80));
        assert_eq!(checks.count("a", at(90)), None);
        assert_eq!(checks.count("a", at(110)), Some((2, TOGETHER)));
        checks.count("b", at(60 * 26));
        assert_eq!(checks.0.len(), 1);
    }

    #[test]
    fn memory_of_events_is_bounded() {
        let mut seen = Seen::default();
        for n in 0..(REMEMBERED + 10) {
            let key = Key {
                uid: n.to_string(),
                type_: Type::Normal,
                reason: String::new(),
                message: String::new(),
                annotations: BTreeMap::new(),
            };
            seen.remember(key, String::new());
        }
        assert_eq!(seen.counts.len(), REMEMBERED);
        assert_eq!(seen.order.len(), REMEMBERED);
    }
}
