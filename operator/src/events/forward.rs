//! Events for Flux's notification-controller, which turns them into messages and commit statuses:
//! each is a POST of JSON to `--events-addr`.
//!
//! An event that cannot be delivered within half a minute is dropped with a word in the log; what
//! is told of must not wait for those who are told.

use std::collections::BTreeMap;
use std::time::Duration;

use flux_api::Time;
use k8s_openapi::api::core::v1::ObjectReference;
use reqwest::{Client, StatusCode};
use serde::Serialize;
use tokio::sync::mpsc;

use super::pending::{One, Pending};
use super::{Event, QUEUE, Type};

/// Annotations of an object by which people add to the events about it.
pub(super) const PREFIX: &str = "event.toolkit.fluxcd.io/";

/// For one attempt.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Between attempts, of which there is one more than waits.
const WAITS: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(5),
];

/// An event as notification-controller reads it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message {
    involved_object: ObjectReference,
    severity: &'static str,
    timestamp: Time,
    message: String,
    reason: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    reporting_controller: &'static str,
    reporting_instance: String,
}

impl Message {
    /// `added` are annotations of the object; those for events become part of it.
    pub(super) fn new(
        involved_object: ObjectReference,
        controller: &'static str,
        event: &Event,
        added: &BTreeMap<String, String>,
    ) -> Self {
        let mut metadata = event.annotations.clone();
        let added = added.iter().filter(|(key, _)| key.starts_with(PREFIX));
        metadata.extend(added.map(|(key, value)| (key.clone(), value.clone())));
        Self {
            involved_object,
            severity: match event.type_ {
                Type::Normal => "info",
                Type::Warning => "error",
            },
            timestamp: Time(k8s_openapi::jiff::Timestamp::now()),
            message: event.message.clone(),
            reason: event.reason.clone(),
            metadata,
            reporting_controller: controller,
            reporting_instance: std::env::var("HOSTNAME").unwrap_or_default(),
        }
    }
}

/// Where events go, besides the API server.
#[derive(Clone)]
pub(super) struct Forward {
    queue: mpsc::Sender<(Message, One)>,
    pending: Pending,
}

impl Forward {
    /// Starts to deliver to an address.
    pub(super) fn start(url: String, pending: Pending) -> Self {
        let (queue, messages) = mpsc::channel(QUEUE);
        tokio::spawn(deliver(url, messages));
        Self { queue, pending }
    }

    /// Queues an event.
    pub(super) fn send(&self, message: Message) {
        if let Err(error) = self.queue.try_send((message, self.pending.one())) {
            tracing::warn!(%error, "event for --events-addr dropped");
        }
    }
}

async fn deliver(url: String, mut messages: mpsc::Receiver<(Message, One)>) {
    let client = match Client::builder().timeout(TIMEOUT).build() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "events cannot be sent to --events-addr");
            return;
        }
    };
    while let Some((message, _pending)) = messages.recv().await {
        if let Err(error) = post(&client, &url, &message).await {
            let reason = &message.reason;
            tracing::warn!(error, reason, "event not delivered to --events-addr");
        }
    }
}

/// Sends one event; the error says what the last attempt met.
async fn post(client: &Client, url: &str, message: &Message) -> Result<(), String> {
    let mut waits = WAITS.iter();
    loop {
        let answer = client.post(url).json(message).send().await;
        let why = match answer.map(|answer| answer.status()) {
            // The same event was sent a short time ago; it is not to be sent again.
            Ok(StatusCode::TOO_MANY_REQUESTS) => return Ok(()),
            Ok(status) if status.is_success() => return Ok(()),
            Ok(status) if status.is_client_error() => return Err(format!("answer {status}")),
            Ok(status) => format!("answer {status}"),
            Err(error) => crate::words::chain(&error),
        };
        match waits.next() {
            Some(wait) => tokio::time::sleep(*wait).await,
            None => return Err(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::extract::State;
    use axum::routing::post as route;
    use serde_json::{Value, json};

    use super::*;

    type Heard = Arc<Mutex<(Vec<u16>, Vec<Value>)>>;

    async fn hear(State(heard): State<Heard>, body: String) -> axum::http::StatusCode {
        let mut heard = heard.lock().unwrap();
        heard.1.push(serde_json::from_str(&body).unwrap());
        let code = if heard.0.is_empty() {
            200
        } else {
            heard.0.remove(0)
        };
        axum::http::StatusCode::from_u16(code).unwrap()
    }

    /// What a server hears that gives these answers, then 200.
    async fn delivered(answers: &[u16]) -> (Result<(), String>, Vec<Value>) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let heard = Heard::default();
        heard.lock().unwrap().0 = answers.to_vec();
        let router = Router::new()
            .route("/", route(hear))
            .with_state(heard.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, router).into_future());
        let event = Event::warning("BuildFailed", "no such file")
            .with("kustomize.toolkit.fluxcd.io/revision", "main@sha1:0");
        let added = BTreeMap::from([
            ("event.toolkit.fluxcd.io/env".to_owned(), "prod".to_owned()),
            ("other".to_owned(), "x".to_owned()),
        ]);
        let object = ObjectReference {
            kind: Some("Kustomization".to_owned()),
            name: Some("apps".to_owned()),
            namespace: Some("foo".to_owned()),
            ..ObjectReference::default()
        };
        let message = Message::new(object, "kustomize-controller", &event, &added);
        let result = post(&Client::new(), &url, &message).await;
        let heard = heard.lock().unwrap().1.clone();
        (result, heard)
    }

    #[tokio::test]
    async fn an_event_has_the_form_that_is_read() {
        let (result, heard) = delivered(&[]).await;
        result.unwrap();
        let [event] = &heard[..] else {
            panic!("{heard:?}")
        };
        assert_eq!(event["involvedObject"]["kind"], "Kustomization");
        assert_eq!(event["severity"], "error");
        assert_eq!(event["reason"], "BuildFailed");
        assert_eq!(event["message"], "no such file");
        assert_eq!(event["reportingController"], "kustomize-controller");
        assert_eq!(
            event["metadata"],
            json!({"event.toolkit.fluxcd.io/env": "prod",
                "kustomize.toolkit.fluxcd.io/revision": "main@sha1:0"})
        );
        let time = event["timestamp"].as_str().unwrap();
        assert!(time.ends_with('Z'), "{time}");
    }

    #[tokio::test]
    async fn only_what_may_pass_is_tried_again() {
        for (answers, attempts, delivered_at_last) in [
            (&[503, 500][..], 3, true),
            (&[429], 1, true),
            (&[400], 1, false),
        ] {
            let (result, heard) = delivered(answers).await;
            assert_eq!(heard.len(), attempts, "{answers:?}");
            assert_eq!(result.is_ok(), delivered_at_last, "{answers:?}");
        }
    }
}
