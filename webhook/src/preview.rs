//! Asks the operator which tag a policy selects now. This is the only call that this program makes
//! to anything but the API server; it takes 50 ms at most, and without an answer the tags that the
//! status of an ImageRepository names have to do.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use flux_rules::Preview;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::time::timeout;

/// How long an answer is waited for, in all.
const PATIENCE: Duration = Duration::from_millis(50);

/// Longest answer: a tag and a sentence.
const LARGEST: usize = 64 << 10;

/// How long a token is kept: the kubelet renews the file long before a token ends.
const TOKEN_LIFE: Duration = Duration::from_secs(60);

/// How long nobody is asked after no answer came: writes of many policies must not wait for an
/// operator that is away.
const REST: Duration = Duration::from_secs(5);

/// An address that cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--preview-url {0:?} is not of the form http://HOST:PORT")]
pub struct PreviewUrlError(String);

/// The operator, as it is asked.
#[derive(Debug)]
pub struct Previews {
    address: Uri,
    token_file: PathBuf,
    token: Mutex<Option<(String, Instant)>>,
    failed: Mutex<Option<Instant>>,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Previews {
    /// An operator at `http://HOST:PORT` that wants the token in this file.
    ///
    /// # Errors
    /// [`PreviewUrlError`] if that is no such address.
    pub fn new(url: &str, token_file: PathBuf) -> Result<Self, PreviewUrlError> {
        let wrong = || PreviewUrlError(url.to_owned());
        let base: Uri = url.parse().map_err(|_| wrong())?;
        let authority = base.authority().ok_or_else(wrong)?;
        if base.scheme_str() != Some("http") || !matches!(base.path(), "" | "/") {
            return Err(wrong());
        }
        let address = Uri::builder()
            .scheme("http")
            .authority(authority.clone())
            .path_and_query("/image-policy")
            .build()
            .map_err(|_| wrong())?;
        Ok(Self {
            address,
            token_file,
            token: Mutex::default(),
            failed: Mutex::default(),
            client: Client::builder(TokioExecutor::new()).build_http(),
        })
    }

    /// What the operator says about an ImagePolicy; nothing if it says nothing in time.
    pub async fn ask(&self, object: &Value) -> Option<Preview> {
        let failed = *lock(&self.failed);
        if failed.is_some_and(|at| at.elapsed() < REST) {
            return None;
        }
        match timeout(PATIENCE, self.answer(object)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(reason)) => self.unanswered(&reason),
            Err(_) => self.unanswered("no answer in time"),
        }
    }

    fn unanswered(&self, reason: &str) -> Option<Preview> {
        tracing::debug!(reason, "the operator gives no preview");
        *lock(&self.failed) = Some(Instant::now());
        None
    }

    async fn answer(&self, object: &Value) -> Result<Option<Preview>, String> {
        let namespace = object.pointer("/metadata/namespace");
        let question = json!({"namespace": namespace, "spec": object.get("spec")});
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.address)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token()?))
            .body(Full::new(Bytes::from(question.to_string())))
            .map_err(|error| error.to_string())?;
        let answer = self.client.request(request).await;
        let answer = answer.map_err(|error| error.to_string())?;
        match answer.status().as_u16() {
            200 => {}
            // The spec is none, or no tags are known: nobody else knows better.
            400 | 404 => return Ok(None),
            code => return Err(format!("it answers with {code}")),
        }
        let body = Limited::new(answer.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        serde_json::from_slice(&body)
            .map(Some)
            .map_err(|error| error.to_string())
    }

    fn token(&self) -> Result<String, String> {
        let mut kept = lock(&self.token);
        if let Some((token, read)) = kept.as_ref()
            && read.elapsed() < TOKEN_LIFE
        {
            return Ok(token.clone());
        }
        let shown = self.token_file.display();
        // A file in memory, of a few hundred bytes, once a minute.
        let token = std::fs::read_to_string(&self.token_file)
            .map_err(|error| format!("cannot read the token {shown}: {error}"))?;
        let token = token.trim().to_owned();
        *kept = Some((token.clone(), Instant::now()));
        Ok(token)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        let made = |url| Previews::new(url, PathBuf::from("token"));
        let address = made("http://sync-operator.flux-system.svc:80")
            .expect("valid")
            .address;
        assert_eq!(
            address.to_string(),
            "http://sync-operator.flux-system.svc:80/image-policy"
        );
        for url in ["https://a", "a:1", "", "http://a/b"] {
            assert!(made(url).is_err(), "{url}");
        }
    }

    #[tokio::test]
    async fn who_is_not_there_is_not_waited_for() {
        let file = std::env::temp_dir().join(format!("token-{}", std::process::id()));
        std::fs::write(&file, "token").expect("a file");
        // A server that takes connections and never says a word.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}", silent.local_addr().expect("an address"));
        let previews = Previews::new(&url, file.clone()).expect("valid");
        assert_eq!(previews.ask(&json!({"spec": {}})).await, None);
        assert!(
            lock(&previews.failed).is_some(),
            "nobody is asked for a while"
        );
        std::fs::remove_file(file).expect("there");
    }
}
