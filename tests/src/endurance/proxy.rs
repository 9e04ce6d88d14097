//! Stands between an operator and the API server, and answers as an overloaded or forgetful one
//! does. Everything else is passed on.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use anyhow::Result;
use axum::{
    Router,
    body::{self, Body},
    extract::{Request, State},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use kube::Client;
use serde_json::json;
use tokio::sync::watch;

/// Larger requests are not made here.
const LARGEST: usize = 16 << 20;

/// A running proxy; it ends with its runtime.
#[derive(Debug)]
pub struct Proxy {
    /// Leads clients here.
    pub kubeconfig: PathBuf,
    mood: Arc<Mood>,
}

impl std::fmt::Debug for Mood {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mood").finish_non_exhaustive()
    }
}

struct Mood {
    client: Client,
    overloaded: AtomicBool,
    refused: AtomicUsize,
    expired: AtomicUsize,
    /// Grows when all watches are to end.
    epoch: watch::Sender<usize>,
}

impl Proxy {
    /// Starts one in front of the API server of `client`; the kubeconfig is written to `folder`.
    ///
    /// # Errors
    /// When it cannot listen or write.
    pub async fn start(client: Client, folder: &Path) -> Result<Self> {
        let mood = Arc::new(Mood {
            client,
            overloaded: AtomicBool::new(false),
            refused: AtomicUsize::new(0),
            expired: AtomicUsize::new(0),
            epoch: watch::Sender::new(0),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let server = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(answer).with_state(mood.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
            "clusters": [{"name": "proxy", "cluster": {"server": server}}],
            "users": [{"name": "proxy", "user": {}}]});
        let kubeconfig = folder.join("proxy.kubeconfig");
        std::fs::write(&kubeconfig, config.to_string())?;
        Ok(Self { kubeconfig, mood })
    }

    /// Refuses everything but watches from now on, or stops doing so.
    pub fn overload(&self, overloaded: bool) {
        self.mood.overloaded.store(overloaded, Ordering::Relaxed);
    }

    /// Requests that were refused.
    pub fn refused(&self) -> usize {
        self.mood.refused.load(Ordering::Relaxed)
    }

    /// Ends all watches; those that take their places are told that what they saw last is
    /// forgotten.
    pub fn expire_watches(&self) {
        self.mood.epoch.send_modify(|epoch| *epoch += 1);
    }

    /// Watches that were told so.
    pub fn expired(&self) -> usize {
        self.mood.expired.load(Ordering::Relaxed)
    }
}

async fn answer(State(mood): State<Arc<Mood>>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let value = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned())
    };
    let is_watch = value("watch").is_some();
    if !is_watch && mood.overloaded.load(Ordering::Relaxed) {
        mood.refused.fetch_add(1, Ordering::Relaxed);
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
            "reason": "TooManyRequests", "message": "the server is overloaded", "code": 429});
        let headers = [(header::RETRY_AFTER, "1")];
        return (StatusCode::TOO_MANY_REQUESTS, headers, status.to_string()).into_response();
    }
    let mut epoch = mood.epoch.subscribe();
    let now = *epoch.borrow_and_update();
    // One that goes on from what it saw before the epoch; a new one lists first.
    if is_watch && now > 0 && mood.expired.load(Ordering::Relaxed) < now * 5 {
        mood.expired.fetch_add(1, Ordering::Relaxed);
        let event = json!({"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1",
            "status": "Failure", "reason": "Expired", "code": 410,
            "message": "too old resource version"}});
        return (
            [(header::CONTENT_TYPE, "application/json")],
            format!("{event}\n"),
        )
            .into_response();
    }
    let passed = pass_on(&mood.client, request).await;
    let Ok(response) = passed else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let (parts, content) = response.into_parts();
    let kept = |name: &HeaderName| parts.headers.get(name).cloned();
    let headers = [header::CONTENT_TYPE, header::RETRY_AFTER]
        .into_iter()
        .filter_map(|name| Some((name.clone(), kept(&name)?)));
    let content = Body::new(content).into_data_stream();
    let content = if is_watch {
        let end = async move { epoch.changed().await };
        Body::from_stream(content.take_until(Box::pin(end)))
    } else {
        Body::from_stream(content)
    };
    let mut response = (parts.status, content).into_response();
    response.headers_mut().extend(headers);
    response
}

async fn pass_on(
    client: &Client,
    request: Request,
) -> kube::Result<http::Response<kube::client::Body>> {
    let (parts, content) = request.into_parts();
    let content = body::to_bytes(content, LARGEST).await.unwrap_or_default();
    let mut passed = http::Request::new(kube::client::Body::from(content.to_vec()));
    *passed.method_mut() = parts.method;
    let path = parts.uri.path_and_query().map(|path| path.as_str().parse());
    *passed.uri_mut() = path.and_then(std::result::Result::ok).unwrap_or_default();
    for name in [header::CONTENT_TYPE, header::ACCEPT] {
        if let Some(value) = parts.headers.get(&name) {
            passed.headers_mut().insert(name, value.clone());
        }
    }
    client.send(passed).await
}
