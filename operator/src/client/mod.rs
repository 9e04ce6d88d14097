//! The client of the API server: the number of requests under way follows the server's state
//! ([`pace`]), and every answer is counted.
//!
//! Watches and Leases are not limited: the former last, and the latter decide whether we may work
//! at all.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use flux_api::lean::METADATA_ONLY;
use futures::future::BoxFuture;
use http::header::ACCEPT;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower::buffer::BufferLayer;
use tower::retry::RetryLayer;
use tower::{BoxError, Layer, Service};

use crate::metrics::Metrics;
use crate::words::{api_error, chain};

mod pace;

use pace::{Answer, Pace};

/// The first wait before a refused request is sent again, unless the API server says how long, and the
/// longest one: waits that double without end would outlast a storm by as long as it lasted.
const FIRST_WAIT: Duration = Duration::from_millis(5);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// How often it is sent again: for some 45 s.
const RETRIES: u32 = 30;

fn retries() -> RetryPolicy {
    // An error would mean that the first wait is longer than the longest.
    RetryPolicy::new(FIRST_WAIT, LONGEST_WAIT, RETRIES, true)
        .unwrap_or_else(|_| RetryPolicy::server_retry())
}

/// How long the API server may take to answer: it ends requests itself after a minute. Where the
/// machine it runs on is gone nobody closes the connection.
const ANSWER: Duration = Duration::from_secs(65);

/// How long a connection may be silent while something is expected: watches get a bookmark each
/// minute.
const SILENCE: Duration = Duration::from_secs(150);

/// Requests that wait for the connection pool; only their futures are held.
const BUFFER: usize = 1024;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Where the API server is cannot be told.
    #[error("cannot find the API server: {}", chain(.0.as_ref()))]
    Config(Box<kube::config::InferConfigError>),
    /// The settings cannot be used.
    #[error("cannot make a client: {}", api_error(.0))]
    Client(#[source] Box<kube::Error>),
}

/// The API server is away, or not able to answer; this passes.
#[derive(Debug, thiserror::Error)]
#[error("the API server does not answer as it should: {0}")]
pub struct Unreachable(String);

/// What a request met: [`Unreachable`], or the server's refusal in its own words.
pub fn asked(error: kube::Error) -> anyhow::Error {
    let text = api_error(&error);
    match error {
        kube::Error::Api(status) if status.code < 500 && status.code != 429 => {
            anyhow::Error::msg(text)
        }
        kube::Error::Api(_) => Unreachable(text).into(),
        other => Unreachable(chain(&other)).into(),
    }
}

/// The request, to be answered with the metadata of the object alone: the rest of what is written is
/// known.
pub fn answer_briefly<B>(mut request: Request<B>) -> Request<B> {
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static(METADATA_ONLY));
    request
}

/// Makes clients that share one limit, whoever they act as.
#[derive(Clone)]
pub struct Connector {
    limits: Limits,
}

impl Connector {
    /// Nothing is connected yet.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let limits = Limits::new(metrics, ANSWER);
        Self { limits }
    }

    /// A client from kubeconfig or service account, which acts as `user` where one is given.
    ///
    /// # Errors
    /// When neither is there, or unusable.
    pub async fn connect(&self, user: Option<&str>) -> Result<Client, ConnectError> {
        let config = Config::infer().await;
        let mut config = config.map_err(|error| ConnectError::Config(Box::new(error)))?;
        // Each attempt is to be seen, so retries are made outside of the limit.
        config.default_retry = false;
        config.read_timeout = Some(SILENCE);
        // Not from when the connection was used last.
        config.reset_reader_on_write = true;
        if let Some(user) = user {
            config.auth_info.impersonate = Some(user.to_owned());
        }
        let limits = self.limits.towards(&config.cluster_url);
        let builder = ClientBuilder::try_from(config);
        Ok(builder
            .map_err(|error| ConnectError::Client(Box::new(error)))?
            .with_layer(&BufferLayer::new(BUFFER))
            .with_layer(&limits)
            .with_layer(&RetryLayer::new(retries()))
            .build())
    }
}

/// What all requests share.
#[derive(Clone)]
struct Limits {
    state: Arc<State>,
    /// Of the API server, and its port; requests that pass here know the path only.
    host: Arc<str>,
}

struct State {
    permits: Arc<Semaphore>,
    pace: Mutex<Granted>,
    metrics: Arc<Metrics>,
    /// How long an answer may take.
    patience: Duration,
}

struct Granted {
    pace: Pace,
    /// Permits that exist; those that are lent are taken back when they return.
    permits: usize,
}

impl Limits {
    fn new(metrics: Arc<Metrics>, patience: Duration) -> Self {
        let pace = Pace::default();
        let permits = pace.limit();
        metrics.api_concurrency(permits);
        let state = State {
            permits: Arc::new(Semaphore::new(permits)),
            pace: Mutex::new(Granted { pace, permits }),
            metrics,
            patience,
        };
        Self {
            state: Arc::new(state),
            host: Arc::default(),
        }
    }

    /// For the API server at this address.
    fn towards(&self, server: &Uri) -> Self {
        let host = server.authority().map_or("", |a| a.as_str());
        Self {
            state: self.state.clone(),
            host: host.into(),
        }
    }
}

impl State {
    /// Returns a permit and adjusts their number.
    fn learn(&self, permit: OwnedSemaphorePermit, answer: Option<Answer>) {
        let mut granted = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answer {
            granted.pace.learn(answer, Instant::now());
        }
        let limit = granted.pace.limit();
        self.metrics.api_concurrency(limit);
        if granted.permits > limit {
            permit.forget();
            granted.permits -= 1;
        } else if granted.permits < limit {
            self.permits.add_permits(limit - granted.permits);
            granted.permits = limit;
        }
    }
}

impl<S> Layer<S> for Limits {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited {
            inner,
            limits: self.clone(),
        }
    }
}

/// A service whose requests are limited.
#[derive(Clone)]
struct Limited<S> {
    inner: S,
    limits: Limits,
}

impl<S, B> Service<Request<Body>> for Limited<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<B>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (method, limited) = (request.method().clone(), is_limited(&request));
        let Limits { state, host } = self.limits.clone();
        let answer = self.inner.call(request);
        let requested = async move {
            let permit = match limited {
                true => Some(state.permits.clone().acquire_owned().await?),
                false => None,
            };
            let start = Instant::now();
            let answer = match limited {
                true => match timeout(state.patience, answer).await {
                    Ok(answer) => answer.map_err(Into::into),
                    Err(_) => Err(format!("no answer within {:?}", state.patience).into()),
                },
                false => answer.await.map_err(Into::into),
            };
            let status = answer.as_ref().ok().map(Response::status);
            let code = status.as_ref().map_or("<error>", StatusCode::as_str);
            state.metrics.requested(&host, method.as_str(), code);
            if let Some(permit) = permit {
                state.learn(permit, meaning(&method, status, start));
            }
            answer
        };
        if !limited {
            return Box::pin(requested);
        }
        Box::pin(async move {
            // A task of its own: permits are given in turn, also to a future that nobody polls
            // because its owner waits for another answer, and that would be waiting for ever.
            // Dropping the set ends the request.
            let mut task = JoinSet::new();
            task.spawn(requested);
            task.join_next()
                .await
                .ok_or("the request was not begun")??
        })
    }
}

/// Watches and Leases are not.
fn is_limited(request: &Request<Body>) -> bool {
    let watch = |query: &str| {
        query
            .split('&')
            .any(|q| q == "watch=true" || q == "watch=1")
    };
    !request.uri().query().is_some_and(watch)
        && !request
            .uri()
            .path()
            .starts_with("/apis/coordination.k8s.io/")
}

/// How long reads take depends on what is read, so only writes tell something by their time.
fn meaning(method: &Method, status: Option<StatusCode>, start: Instant) -> Option<Answer> {
    match status {
        None
        | Some(
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT,
        ) => Some(Answer::Overload),
        Some(status) if status.is_success() && method != Method::GET => {
            Some(Answer::After(start.elapsed()))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt as _;

    use super::*;

    fn request(method: Method, path: &str) -> Request<Body> {
        let request = Request::builder().method(method).uri(path);
        request.body(Body::empty()).unwrap()
    }

    #[test]
    fn watches_and_leases_are_not_limited() {
        for (path, limited) in [
            ("/api/v1/secrets?limit=500", true),
            ("/api/v1/secrets?allowWatchBookmarks=true&watch=true", false),
            ("/apis/coordination.k8s.io/v1/namespaces/x/leases/y", false),
            ("/apis/apps/v1/namespaces/x/deployments/watch=true", true),
        ] {
            assert_eq!(is_limited(&request(Method::GET, path)), limited, "{path}");
        }
    }

    #[tokio::test]
    async fn the_limit_holds_and_shrinks_when_the_server_refuses() {
        let server = Uri::from_static("https://10.96.0.1:443");
        let limits = Limits::new(Arc::default(), ANSWER).towards(&server);
        let now = Arc::new(Mutex::new((0_usize, 0_usize)));
        let service = tower::service_fn({
            let now = now.clone();
            move |_: Request<Body>| {
                let now = now.clone();
                async move {
                    {
                        let mut now = now.lock().unwrap();
                        now.0 += 1;
                        now.1 = now.1.max(now.0);
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    now.lock().unwrap().0 -= 1;
                    let answer = Response::builder().status(StatusCode::TOO_MANY_REQUESTS);
                    Ok::<_, BoxError>(answer.body(()).unwrap())
                }
            }
        });
        let service = limits.layer(service);
        let all = (0..100).map(|_| service.clone().oneshot(request(Method::PATCH, "/x")));
        futures::future::join_all(all).await;
        assert_eq!(now.lock().unwrap().1, 16);
        assert_eq!(limits.state.permits.available_permits(), 8);
        let text = limits.state.metrics.encode();
        assert!(
            text.contains(
                r#"rest_client_requests_total{code="429",host="10.96.0.1:443",method="PATCH"} 100"#
            ),
            "{text}"
        );
    }

    #[tokio::test]
    async fn an_api_server_that_is_gone_is_not_waited_for_for_ever() {
        let patience = Duration::from_millis(20);
        let limits = Limits::new(Arc::default(), patience);
        let service = limits.layer(tower::service_fn(|_: Request<Body>| {
            std::future::pending::<Result<Response<()>, BoxError>>()
        }));
        let send = |path| service.clone().oneshot(request(Method::GET, path));
        let error = send("/api/v1/secrets").await.unwrap_err();
        assert_eq!(error.to_string(), "no answer within 20ms");
        assert!(limits.state.permits.available_permits() > 0);
        // Watches last.
        let watch = timeout(patience * 3, send("/api/v1/secrets?watch=true")).await;
        watch.unwrap_err();
    }

    /// A run that shows its progress does so while its own requests wait.
    #[tokio::test]
    async fn a_request_that_nobody_polls_does_not_hold_up_the_others() {
        let limits = Limits::new(Arc::default(), ANSWER);
        let service = limits.layer(tower::service_fn(|_: Request<Body>| async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok::<_, BoxError>(Response::new(()))
        }));
        let send = || service.clone().oneshot(request(Method::GET, "/x"));
        // More than there are permits, each polled once.
        let mut left = Vec::new();
        for _ in 0..100 {
            let mut request = Box::pin(send());
            assert!(futures::poll!(&mut request).is_pending());
            left.push(request);
        }
        let another = tokio::time::timeout(Duration::from_secs(10), send()).await;
        another.expect("it came to its turn").unwrap();
        drop(left);
        tokio::task::yield_now().await;
        assert_eq!(limits.state.permits.available_permits(), 16);
    }
}
