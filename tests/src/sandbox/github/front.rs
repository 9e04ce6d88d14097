//! What a client sees: the API below `/api/v3`, as on GitHub Enterprise Server, and Git elsewhere.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{Response, StatusCode, header},
};

/// Path of the API.
const API: &str = "/api/v3";
/// The largest body: a push of this size is no test any more.
const BODY_LIMIT: usize = 64 << 20;

struct Front {
    client: reqwest::Client,
    api: String,
    git: String,
}

pub(super) fn router(prism: u16, git: &str) -> Router {
    let client = reqwest::Client::builder()
        // Both are of this sandbox, one of them with a certificate of its authority.
        .tls_danger_accept_invalid_certs(true)
        .no_proxy()
        .build()
        .unwrap_or_default();
    Router::new().fallback(serve).with_state(Arc::new(Front {
        client,
        api: format!("http://127.0.0.1:{prism}"),
        git: git.trim_end_matches('/').to_owned(),
    }))
}

async fn serve(State(front): State<Arc<Front>>, request: Request) -> Response<Body> {
    front.pass_on(request).await.unwrap_or_else(|error| {
        let mut response = Response::new(Body::from(format!("{error:#}\n")));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    })
}

impl Front {
    async fn pass_on(&self, request: Request) -> anyhow::Result<Response<Body>> {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let url = match path.strip_prefix(API) {
            Some(path) => format!("{}{path}", self.api),
            None => format!("{}{path}", self.git),
        };
        for name in [
            header::HOST,
            header::CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
        ] {
            head.headers.remove(name);
        }
        let answer = self
            .client
            .request(head.method, url)
            .headers(head.headers)
            .body(to_bytes(body, BODY_LIMIT).await?)
            .send()
            .await?;
        let mut response = Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            if *name != header::TRANSFER_ENCODING && *name != header::CONTENT_LENGTH {
                response = response.header(name, value);
            }
        }
        Ok(response.body(Body::from(answer.bytes().await?))?)
    }
}
