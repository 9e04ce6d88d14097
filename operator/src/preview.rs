//! What an ImagePolicy would select, for the admission webhook: it knows ten tags of a repository,
//! the operator all of them.
//!
//! Only the webhook of this installation is answered. It shows a token of its service account that
//! is good for nothing else ([`AUDIENCE`]), and asks about repositories in the namespace of the
//! policy under review only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use flux_api::ImagePolicySpec;
use flux_image::policy::{Preview, Selector};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use kube_runtime::reflector::ObjectRef;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::context::Context;
use crate::http::Phases;
use crate::image_repository::scans::on_a_thread;
use crate::image_repository::subject;
use crate::key::Key;
use crate::words::api_error;

/// What tokens have to be made for.
pub const AUDIENCE: &str = "flux-sync-operator";

/// The service account that is answered, in the namespace of this process.
const CLIENT: &str = "admission-webhook";

/// How long the API server's word on a token holds. It is asked once for each, since the webhook
/// waits 50 ms in all.
const TRUST: Duration = Duration::from_secs(60);

/// Longest question: the spec of a policy is a few hundred bytes.
const LARGEST: usize = 64 << 10;

/// Questions that are worked on at once: each may look at 100,000 tags.
const AT_ONCE: usize = 2;

/// Tokens that the API server is asked about at once: anybody who reaches the port can make us ask,
/// and our requests are limited.
const REVIEWS: usize = 2;

/// A policy that somebody is about to write.
#[derive(Debug, Deserialize)]
struct Question {
    namespace: String,
    spec: ImagePolicySpec,
}

struct Shared {
    context: Arc<Context>,
    phases: Phases,
    clients: Clients,
    room: Semaphore,
}

/// Serves `POST /image-policy`.
pub fn router(context: Arc<Context>, phases: Phases) -> Router {
    let user = format!(
        "system:serviceaccount:{}:{CLIENT}",
        context.args.runtime_namespace
    );
    let shared = Shared {
        clients: Clients {
            client: context.client.clone(),
            user,
            known: Mutex::default(),
            room: Semaphore::new(REVIEWS),
        },
        context,
        phases,
        room: Semaphore::new(AT_ONCE),
    };
    Router::new()
        .route("/image-policy", post(image_policy))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(Arc::new(shared))
}

async fn image_policy(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Response {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let Some(token) = token else {
        return (StatusCode::UNAUTHORIZED, "a bearer token is needed").into_response();
    };
    match shared.clients.admits(token).await {
        Ok(true) => {}
        Ok(false) => {
            return (StatusCode::FORBIDDEN, "only the webhook is answered").into_response();
        }
        Err(Unreviewed::Busy) => {
            return (StatusCode::SERVICE_UNAVAILABLE, "too many tokens to review").into_response();
        }
        Err(error) => {
            tracing::warn!(%error, "no preview is given");
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    }
    // Only a process that leads has the tags of now.
    if !shared.phases.leading.is_ready() {
        return (StatusCode::SERVICE_UNAVAILABLE, "standing by").into_response();
    }
    let question: Question = match serde_json::from_slice(&body) {
        Ok(question) => question,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let Ok(_room) = shared.room.acquire().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    match answer(&shared.context, question).await {
        Some(preview) => Json(preview).into_response(),
        None => (StatusCode::NOT_FOUND, "no tags are known").into_response(),
    }
}

/// What is selected; `None` while no tags are known, or for another namespace's.
async fn answer(context: &Arc<Context>, question: Question) -> Option<Preview> {
    let Question { namespace, spec } = question;
    let reference = &spec.image_repository_ref;
    let named = reference.namespace.as_ref();
    if named.is_some_and(|named| *named != namespace) {
        return None;
    }
    let stored = ObjectRef::new(&reference.name).within(&namespace);
    let repository = context.stores.image_repositories.get(&stored)?;
    let key = Key::new(namespace, reference.name.clone());
    let context = context.clone();
    let work = on_a_thread(move || {
        let known = context.tags.get(&key, &subject(&repository))?;
        let selector = Selector::new(&spec).ok()?;
        let selection = selector.select(known.tags.iter());
        let mut preview = Preview {
            total: known.tags.iter().count(),
            ..Preview::default()
        };
        match selection {
            Ok(selection) => preview.tag = Some(selection.tag.to_owned()),
            Err(error) => preview.failure = Some(error.to_string()),
        }
        Some(preview)
    });
    work.await.ok().flatten()
}

/// Who is answered.
struct Clients {
    client: Client,
    user: String,
    /// What the API server said about tokens, and when; of tokens only a hash is kept.
    known: Mutex<HashMap<[u8; 32], (bool, Instant)>>,
    room: Semaphore,
}

/// Why nothing is known of a token.
#[derive(Debug, thiserror::Error)]
enum Unreviewed {
    #[error("too many tokens are under review")]
    Busy,
    #[error("cannot have a token reviewed: {}", api_error(.0))]
    Api(#[from] kube::Error),
}

impl Clients {
    /// Whether a token is the webhook's.
    async fn admits(&self, token: &str) -> Result<bool, Unreviewed> {
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let now = Instant::now();
        let fresh = |(_, at): &(bool, Instant)| now.duration_since(*at) < TRUST;
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.retain(|_, entry| fresh(entry));
            if let Some((admitted, _)) = known.get(&hash) {
                return Ok(*admitted);
            }
        }
        let _room = self.room.try_acquire().map_err(|_| Unreviewed::Busy)?;
        let review = TokenReview {
            metadata: ObjectMeta::default(),
            spec: TokenReviewSpec {
                audiences: Some(vec![AUDIENCE.to_owned()]),
                token: token.to_owned(),
            },
            status: None,
        };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let status = api.create(&PostParams::default(), &review).await?.status;
        let admitted = status.is_some_and(|status| admits(&status, &self.user));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(hash, (admitted, now));
        Ok(admitted)
    }
}

/// Whether the API server says that a token is this user's and made for us. One that does not know
/// of audiences names none.
fn admits(status: &k8s_openapi::api::authentication::v1::TokenReviewStatus, user: &str) -> bool {
    let for_us = status
        .audiences
        .as_ref()
        .is_some_and(|audiences| audiences.iter().any(|audience| audience == AUDIENCE));
    let name = status
        .user
        .as_ref()
        .and_then(|user| user.username.as_deref());
    status.authenticated == Some(true) && for_us && name == Some(user)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::body::Body;
    use k8s_openapi::api::authentication::v1::{TokenReviewStatus, UserInfo};
    use kube::client::Body as Sent;
    use tokio::sync::Notify;

    use super::*;

    #[test]
    fn only_the_webhook_with_a_token_for_us_is_answered() {
        const WEBHOOK: &str = "system:serviceaccount:flux-system:admission-webhook";
        let status = |authenticated, user: &str, audience: &str| TokenReviewStatus {
            authenticated: Some(authenticated),
            audiences: Some(vec![audience.to_owned()]),
            user: Some(UserInfo {
                username: Some(user.to_owned()),
                ..UserInfo::default()
            }),
            error: None,
        };
        assert!(admits(&status(true, WEBHOOK, AUDIENCE), WEBHOOK));
        assert!(!admits(&status(false, WEBHOOK, AUDIENCE), WEBHOOK));
        assert!(!admits(&status(true, "jane", AUDIENCE), WEBHOOK));
        assert!(!admits(&status(true, WEBHOOK, "kubernetes"), WEBHOOK));
        assert!(!admits(&TokenReviewStatus::default(), WEBHOOK));
    }
    /// The webhook asks for one token; whoever brings many does not fill the API server's queue.
    #[tokio::test]
    async fn few_tokens_are_reviewed_at_once() {
        let (asked, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let service = tower::service_fn({
            let (asked, answer) = (asked.clone(), answer.clone());
            move |_: http::Request<Sent>| {
                asked.fetch_add(1, Ordering::Relaxed);
                let answer = answer.clone();
                async move {
                    answer.notified().await;
                    let review = serde_json::json!({"spec": {}, "status": {}, "metadata": {}});
                    Ok::<_, tower::BoxError>(http::Response::new(Body::from(review.to_string())))
                }
            }
        });
        let clients = Clients {
            client: Client::new(service, "default"),
            user: "webhook".to_owned(),
            known: Mutex::default(),
            room: Semaphore::new(REVIEWS),
        };
        let tokens: Vec<_> = (0..8).map(|at| format!("token-{at}")).collect();
        let all = futures::future::join_all(tokens.iter().map(|token| clients.admits(token)));
        let release = async {
            while asked.load(Ordering::Relaxed) < REVIEWS {
                tokio::task::yield_now().await;
            }
            for _ in 0..tokens.len() {
                answer.notify_one();
                tokio::task::yield_now().await;
            }
        };
        let (answers, ()) = futures::join!(all, release);
        let busy = answers
            .iter()
            .filter(|answer| matches!(answer, Err(Unreviewed::Busy)));
        assert_eq!(busy.count(), tokens.len() - REVIEWS);
        assert_eq!(asked.load(Ordering::Relaxed), REVIEWS);
        assert!(
            clients
                .admits(&tokens[0])
                .await
                .is_ok_and(|admitted| !admitted)
        );
    }
}
