//! The three small HTTP servers: health, metrics and artifacts.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path as UrlPath, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::io::ReaderStream;

use crate::args::address::Address;
use crate::metrics::Metrics;

/// Binds an address; the error names the flag by which another can be chosen.
pub async fn bind(address: &Address, flag: &str) -> anyhow::Result<TcpListener> {
    address
        .listen()
        .await
        .with_context(|| format!("cannot listen on {address}; choose another address by {flag}"))
}

/// Something that happens once, in one or several parts, and that others wait for.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<watch::Sender<usize>>);

impl Readiness {
    /// Not ready before `parts` parts have reported.
    pub fn of(parts: usize) -> Self {
        Self(Arc::new(watch::Sender::new(parts)))
    }

    /// One part is ready. Each reports once.
    pub fn report(&self) {
        self.0
            .send_modify(|missing| *missing = missing.saturating_sub(1));
    }

    /// Waits until all parts are ready.
    pub async fn wait(&self) {
        // The sender lives as long as `self`: there is no other end than readiness.
        let _ = self.0.subscribe().wait_for(|missing| *missing == 0).await;
    }

    /// Whether all parts are ready.
    pub fn is_ready(&self) -> bool {
        *self.0.borrow() == 0
    }
}

/// How far the start of the process is.
#[derive(Clone, Debug)]
pub struct Phases {
    /// Every kind has been listed once. Before that a dependant could be judged by a dependency
    /// that merely has not been seen yet; no run begins.
    pub listed: Readiness,
    /// This process leads, and sources that a former process fetched are loaded; no run begins
    /// before that either.
    pub leading: Readiness,
    /// The artifacts that statuses name can be downloaded here.
    pub serving: Readiness,
    /// Whether artifacts are served here at all.
    pub serves_artifacts: bool,
}

impl Phases {
    /// The start of a process that watches `kinds` kinds.
    pub fn new(kinds: usize, serves_artifacts: bool) -> Self {
        Self {
            listed: Readiness::of(kinds),
            leading: Readiness::of(1),
            serving: Readiness::of(1),
            serves_artifacts,
        }
    }

    /// Waits until runs may begin.
    pub async fn may_work(&self) {
        self.listed.wait().await;
        self.leading.wait().await;
    }

    /// What is missing before others can rely on the process. Like Flux's, one that stands by is
    /// ready, unless it would have to serve artifacts, which only the leader has.
    fn missing(&self) -> Option<&'static str> {
        if !self.listed.is_ready() {
            Some("caches are not filled yet")
        } else if !self.serves_artifacts {
            None
        } else if !self.leading.is_ready() {
            Some("standing by: artifacts are served by the leader")
        } else if !self.serving.is_ready() {
            Some("artifacts are not rebuilt yet")
        } else {
            None
        }
    }
}

/// Serves `/healthz` and `/readyz`.
pub fn health(phases: Phases) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route(
            "/readyz",
            get(|State(phases): State<Phases>| async move {
                match phases.missing() {
                    None => (StatusCode::OK, "ok"),
                    Some(missing) => (StatusCode::SERVICE_UNAVAILABLE, missing),
                }
            }),
        )
        .with_state(phases)
}

/// Serves `/metrics`.
pub fn metrics(metrics: Arc<Metrics>) -> Router {
    const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Router::new()
        .route(
            "/metrics",
            get(|State(metrics): State<Arc<Metrics>>| async move {
                ([(header::CONTENT_TYPE, TYPE)], metrics.encode())
            }),
        )
        .with_state(metrics)
}

/// Serves artifacts below `folder`: files only, no listings, nothing hidden and nothing outside.
pub fn artifacts(folder: PathBuf) -> Router {
    Router::new()
        .route("/", get(|| async { "" }))
        .route("/{*path}", get(artifact))
        .with_state(Arc::new(folder))
}

async fn artifact(State(folder): State<Arc<PathBuf>>, UrlPath(path): UrlPath<String>) -> Response {
    let path = Path::new(&path);
    let is_shown = |part: Component<'_>| matches!(part, Component::Normal(name) if !name.as_encoded_bytes().starts_with(b"."));
    if !path.components().all(is_shown) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let Ok(file) = tokio::fs::File::open(folder.join(path)).await else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match file.metadata().await {
        Ok(metadata) if metadata.is_file() => {
            let headers = [
                (header::CONTENT_TYPE, "application/gzip".to_owned()),
                (header::CONTENT_LENGTH, metadata.len().to_string()),
            ];
            (headers, Body::from_stream(ReaderStream::new(file))).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn status(router: &Router, path: &str) -> StatusCode {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn only_files_below_the_folder_are_served() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        for name in ["x.tar.gz", ".mirror"] {
            std::fs::write(folder.path().join("a").join(name), "x").unwrap();
        }
        let router = artifacts(folder.path().join("a"));
        assert_eq!(status(&router, "/x.tar.gz").await, StatusCode::OK);
        assert_eq!(status(&router, "/").await, StatusCode::OK);
        assert_eq!(status(&router, "/missing").await, StatusCode::NOT_FOUND);
        assert_eq!(status(&router, "/.mirror").await, StatusCode::NOT_FOUND);
        assert_eq!(
            status(&router, "/../a/x.tar.gz").await,
            StatusCode::NOT_FOUND
        );
        assert_eq!(
            status(&router, "/%2e%2e/a/x.tar.gz").await,
            StatusCode::NOT_FOUND
        );
    }

    #[tokio::test]
    async fn readiness_is_said_once_reached() {
        const NOT_YET: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
        for (serves_artifacts, standing_by) in [(true, NOT_YET), (false, StatusCode::OK)] {
            let phases = Phases::new(2, serves_artifacts);
            let router = health(phases.clone());
            phases.listed.report();
            assert_eq!(status(&router, "/healthz").await, StatusCode::OK);
            assert_eq!(status(&router, "/readyz").await, NOT_YET);
            phases.listed.report();
            assert_eq!(status(&router, "/readyz").await, standing_by);
            phases.leading.report();
            assert_eq!(status(&router, "/readyz").await, standing_by);
            phases.serving.report();
            assert_eq!(status(&router, "/readyz").await, StatusCode::OK);
        }
    }
}
