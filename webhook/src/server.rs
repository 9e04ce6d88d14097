//! The server: TLS, HTTP, limits. What is answered is in [`crate::admission`].

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::{Request as HttpRequest, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use flux_rules::Context;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use time::OffsetDateTime;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::admission::{Answer, Request, Stage, invalid};
use crate::certificates::{Served, provider};
use crate::clients::Clients;
use crate::decisions::Decisions;
use crate::metrics::Metrics;
use crate::preview::Previews;
use crate::readiness::Readiness;

/// Longest body: a review holds an object and its old self, up to 3 MiB each, and some more.
const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// Bodies held at any time, as they came or read, in KiB: eight of the longest.
const BODY_BUDGET: u32 = 64 * 1024;

/// How long to wait for room in that budget, or for the rules: the API server gives up after two
/// seconds, and no answer is worse than none of ours.
const DEADLINE: Duration = Duration::from_secs(1);

/// How long a client may take for the handshake, or for the head of a request.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long open requests may take to end after a request to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Pause after a failed accept, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What requests are answered with.
#[derive(Debug)]
pub struct App {
    context: Context,
    decisions: Arc<Decisions>,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    budget: Arc<Semaphore>,
    previews: Option<Previews>,
    known_clients_only: bool,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
struct Peer {
    /// Whether it showed a certificate that is answered.
    known: bool,
}

impl App {
    /// Answers with the rules in this context.
    #[must_use]
    pub fn new(
        context: Context,
        decisions: Arc<Decisions>,
        metrics: Arc<Metrics>,
        readiness: Arc<Readiness>,
    ) -> Self {
        Self {
            context,
            decisions,
            metrics,
            readiness,
            budget: Arc::new(Semaphore::new(BODY_BUDGET as usize)),
            previews: None,
            known_clients_only: false,
        }
    }

    /// Asks the operator what a policy selects.
    #[must_use]
    pub fn asking(mut self, previews: Previews) -> Self {
        self.previews = Some(previews);
        self
    }

    /// Reviews only for clients that [`tls`] recognized.
    #[must_use]
    pub const fn for_known_clients(mut self) -> Self {
        self.known_clients_only = true;
        self
    }
}

/// The routes: `/mutate`, `/validate`, `/healthz`, `/readyz`, `/metrics`.
pub fn router(app: App) -> Router {
    let mutate = |State(app): State<Arc<App>>, request: HttpRequest| async move {
        review(app, Stage::Mutate, request).await
    };
    let validate = |State(app): State<Arc<App>>, request: HttpRequest| async move {
        review(app, Stage::Validate, request).await
    };
    Router::new()
        .route("/mutate", post(mutate))
        .route("/validate", post(validate))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(app))
}

async fn readyz(State(app): State<Arc<App>>) -> Response {
    let missing = app.readiness.missing(OffsetDateTime::now_utc());
    if missing.is_empty() {
        "ok\n".into_response()
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{}\n", missing.join("\n")),
        )
            .into_response()
    }
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.text()).into_response()
}

/// Answers a review. Whatever happens, the answer is a review with status 200.
async fn review(app: Arc<App>, stage: Stage, request: HttpRequest) -> Response {
    let peer = request.extensions().get::<Peer>();
    if app.known_clients_only && !peer.is_some_and(|peer| peer.known) {
        return (StatusCode::FORBIDDEN, "a client certificate is needed\n").into_response();
    }
    let started = Instant::now();
    let (operation, answer) = match body(&app, request).await {
        Ok((body, room)) => {
            let request = Request::read(&body);
            drop(body);
            match request {
                Ok(request) => {
                    let operation = request.operation().to_owned();
                    (operation, judge(&app, stage, request, room).await)
                }
                Err(answer) => (String::new(), *answer),
            }
        }
        Err((code, message)) => (String::new(), invalid("", code, message)),
    };
    app.metrics
        .answered(stage, &operation, &answer, started.elapsed());
    Json(answer.body).into_response()
}

/// Reads a body within the limits, and takes room for it as long as anything of it is held; else says
/// why not.
async fn body(
    app: &App,
    request: HttpRequest,
) -> Result<(axum::body::Bytes, OwnedSemaphorePermit), (u16, &'static str)> {
    let too_long = (413, "the AdmissionReview is longer than 8 MiB");
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok())
        .unwrap_or(BODY_LIMIT);
    if length > BODY_LIMIT {
        return Err(too_long);
    }
    let kibibytes = u32::try_from(length / 1024 + 1).unwrap_or(BODY_BUDGET);
    let budget = Arc::clone(&app.budget);
    let Ok(Ok(room)) = timeout(DEADLINE, budget.acquire_many_owned(kibibytes)).await else {
        return Err((429, "too many admission reviews at once"));
    };
    let body: Body = request.into_body();
    match timeout(HANDSHAKE, to_bytes(body, BODY_LIMIT)).await {
        Ok(Ok(body)) => Ok((body, room)),
        Ok(Err(_)) => Err(too_long),
        Err(_) => Err((408, "the AdmissionReview did not arrive in time")),
    }
}

/// Runs the rules apart from the connections: a panic or a slow rule concerns one request, which
/// is let through. Rules are advice, not a boundary. The room of the request is held until the work
/// ends, even when nobody waits for it any more: what is queued has a bound that way.
async fn judge(
    app: &Arc<App>,
    stage: Stage,
    request: Request,
    room: OwnedSemaphorePermit,
) -> Answer {
    let request = Arc::new(request);
    let preview = match &app.previews {
        Some(previews) if request.wants_preview(stage) => previews.ask(request.object()).await,
        _ => None,
    };
    let work = tokio::task::spawn_blocking({
        let (app, request) = (Arc::clone(app), Arc::clone(&request));
        move || {
            let policy = app.decisions.policy();
            let mut context = app.context.clone();
            context.settings = policy.settings;
            if let Some(preview) = preview {
                context = context.with_preview(preview);
            }
            let answer = request.answer(stage, &context, &policy);
            drop((request, room));
            answer
        }
    });
    let answer = match timeout(DEADLINE, work).await {
        Ok(Ok(answer)) => answer,
        outcome => {
            app.metrics.unjudged();
            let object = request.object_name();
            let (why, told) = match outcome {
                Ok(_) => (
                    "a rule panicked",
                    "This object was not checked: a rule failed on it.",
                ),
                Err(_) => ("too slow", "This object was not checked: it took too long."),
            };
            tracing::error!(
                object,
                stage = stage.as_str(),
                why,
                "let through without a judgement"
            );
            request.allow(told)
        }
    };
    if !answer.rules.is_empty() {
        tracing::info!(
            object = request.object_name(),
            kind = answer.kind.map(flux_rules::Kind::name),
            operation = request.operation(),
            stage = stage.as_str(),
            allowed = answer.allowed,
            rules = answer.rules.join(","),
            "reviewed"
        );
    }
    answer
}

/// The TLS side: HTTP/2 and HTTP/1.1, with whatever certificate is served at the moment.
///
/// # Errors
/// [`rustls::Error`] if the provider lacks the protocol versions.
pub fn tls(served: Arc<Served>, clients: Option<Clients>) -> Result<Tls, rustls::Error> {
    let config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()?;
    let config = match &clients {
        Some(clients) => config.with_client_cert_verifier(clients.verifier()),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_cert_resolver(served);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Tls {
        acceptor: TlsAcceptor::from(Arc::new(config)),
        clients,
    })
}

/// What connections begin with.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    clients: Option<Clients>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("clients", &self.clients)
            .finish_non_exhaustive()
    }
}

/// Serves until `stop` ends, then lets open requests end.
pub async fn serve(
    listener: TcpListener,
    tls: Tls,
    router: Router,
    stop: impl Future<Output = ()>,
) {
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted: io::Result<(TcpStream, SocketAddr)> = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Without it the small last segment of an answer waits some 40 ms for an acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let tls = tls.clone();
        let router = router.clone();
        let watcher = connections.watcher();
        tokio::spawn(async move {
            let stream = match timeout(HANDSHAKE, tls.acceptor.accept(stream)).await {
                Ok(Ok(stream)) => stream,
                // Probes and scanners end here too.
                Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
                Err(_) => return tracing::debug!("TLS handshake timed out"),
            };
            let service = match &tls.clients {
                None => router,
                Some(clients) => {
                    let shown = stream.get_ref().1.peer_certificates();
                    let known = clients.knows(shown.unwrap_or_default());
                    router.layer(Extension(Peer { known }))
                }
            };
            let service = TowerToHyperService::new(service);
            let mut builder = Builder::new(TokioExecutor::new());
            builder
                .http1()
                .timer(TokioTimer::new())
                .header_read_timeout(HANDSHAKE);
            builder.http2().timer(TokioTimer::new());
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            if let Err(error) = watcher.watch(connection.into_owned()).await {
                tracing::debug!(error, "connection failed");
            }
        });
    }
    drop(listener);
    if timeout(DRAIN, connections.shutdown()).await.is_err() {
        tracing::warn!("some connections did not end in time");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use flux_rules::Settings;
    use serde_json::{Value, json};

    use super::*;
    use crate::certificates::Served;

    /// A program with a single thread for rules, which is busy.
    #[test]
    fn a_review_holds_its_room_until_it_is_judged() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        let app = Arc::new(App::new(
            Context::default(),
            Decisions::new("flux-system", Settings::default()),
            Arc::default(),
            Arc::new(Readiness::new(Arc::new(Served::default()), None, None)),
        ));
        let all = app.budget.available_permits();
        let review_of = |name: &str| {
            let content = json!({
                "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                "request": {"uid": "1", "operation": "CREATE", "object": {
                    "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
                    "metadata": {"name": name, "namespace": "b"},
                }},
            });
            let request = HttpRequest::new(Body::from(content.to_string()));
            review(Arc::clone(&app), Stage::Validate, request)
        };
        runtime.block_on(async {
            let (done, busy) = mpsc::channel::<()>();
            let work = tokio::task::spawn_blocking(move || busy.recv());
            let answer = review_of("late").await.into_body();
            let answer = to_bytes(answer, BODY_LIMIT).await.unwrap();
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            let warning = answer["response"]["warnings"][0].as_str().unwrap();
            assert!(warning.contains("took too long"), "{warning}");
            assert!(app.budget.available_permits() < all);
            drop(done);
            work.await.unwrap().unwrap_err();
            review_of("in time").await;
            assert_eq!(app.budget.available_permits(), all);
        });
    }
}
