//! One conversation with a registry: finding its scheme, logging in, asking again.
//!
//! The first request to a registry is `GET /v2/`. It shows whether the registry speaks TLS (plain
//! HTTP is tried only where allowed, and never after a refused certificate) and how it wants
//! requests to be authenticated. Both are kept, as are tokens until they expire.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, StatusCode, header};
use serde::Deserialize;
use url::Url;

use crate::challenge::Challenge;
use crate::client::ClientOptions;
use crate::credentials::{Credentials, Login};
use crate::error::{RegistryError, clean};
use crate::reference::Reference;
use crate::retry;
use crate::token::Tokens;
use crate::transport::{self, classify};

/// Bytes read of an answer whose status is an error, and of a token.
pub(crate) const MAX_SMALL_BODY: usize = 64 << 10;

/// What is kept between questions.
pub(crate) struct Session {
    pub(crate) http: reqwest::Client,
    credentials: Credentials,
    insecure: bool,
    endpoints: Mutex<HashMap<String, Endpoint>>,
    pub(crate) tokens: Tokens,
}

/// A registry as found by its first answer.
#[derive(Clone)]
struct Endpoint {
    base: Url,
    challenge: Challenge,
}

/// One question about one repository.
pub(crate) struct Call<'a> {
    pub(crate) session: &'a Session,
    pub(crate) reference: &'a Reference,
    deadline: Instant,
}

/// A complete answer; `body` is empty for HEAD.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("credentials", &self.credentials)
            .field("insecure", &self.insecure)
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) fn new(options: ClientOptions) -> Result<Self, RegistryError> {
        Ok(Self {
            http: transport::build(&options)?,
            credentials: options.credentials,
            insecure: options.insecure,
            endpoints: Mutex::default(),
            tokens: Tokens::default(),
        })
    }

    fn keep(&self, registry: &str, endpoint: Endpoint) {
        lock(&self.endpoints).insert(registry.to_owned(), endpoint);
    }
}

/// The maps stay valid whatever a panicking holder did: each operation on them is complete.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Answer {
    /// The readable values of a header.
    pub(crate) fn header_values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers
            .get_all(name)
            .into_iter()
            .filter_map(|value| value.to_str().ok())
    }
}

impl<'a> Call<'a> {
    pub(crate) fn new(session: &'a Session, reference: &'a Reference, timeout: Duration) -> Self {
        Self {
            session,
            reference,
            deadline: Instant::now() + timeout,
        }
    }

    /// The URL of something below the repository: `tags/list`, `manifests/TAG`.
    pub(crate) async fn url(&self, rest: &str) -> Result<Url, RegistryError> {
        let endpoint = self.endpoint().await?;
        let path = format!("/v2/{}/{rest}", self.reference.repository());
        endpoint
            .base
            .join(&path)
            .map_err(|_| self.protocol("the repository has no URL there"))
    }

    /// Sends an authenticated request and reads at most `limit` bytes of its answer. An answer
    /// that asks for another way of authentication, or for a new token, is followed once.
    pub(crate) async fn ask(
        &self,
        method: Method,
        url: &Url,
        accept: Option<&'static str>,
        limit: usize,
    ) -> Result<Answer, RegistryError> {
        let mut endpoint = self.endpoint().await?;
        let send = async |challenge: &Challenge| {
            let authorization = self.authorization(challenge).await?;
            let request = || {
                let mut request = self.session.http.request(method.clone(), url.clone());
                if let Some(accept) = accept {
                    request = request.header(header::ACCEPT, accept);
                }
                match &authorization {
                    Some(value) => request.header(header::AUTHORIZATION, value.clone()),
                    None => request,
                }
            };
            self.send(request, limit).await
        };
        let answer = send(&endpoint.challenge).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let secure = endpoint.base.scheme() == "https";
        let Ok(challenge) = Challenge::select(answer.header_values("www-authenticate"), secure)
        else {
            return Ok(answer);
        };
        if let Challenge::Bearer(bearer) = &challenge {
            self.session.tokens.forget(&self.token_key(bearer));
        } else if challenge == endpoint.challenge {
            return Ok(answer);
        }
        let answer = send(&challenge).await?;
        // The scope is about this repository, what is kept about the registry.
        endpoint.challenge = challenge.without_scope();
        self.session.keep(self.reference.registry(), endpoint);
        Ok(answer)
    }

    /// Turns every status but success into an error. `missing` is what 404 is about.
    pub(crate) fn expect_success(
        &self,
        answer: &Answer,
        missing: &str,
    ) -> Result<(), RegistryError> {
        if answer.status.is_success() {
            return Ok(());
        }
        let registry = self.reference.registry().to_owned();
        let repository = self.reference.repository().to_owned();
        let detail = self.detail(answer);
        let anonymous = self.login() == &Login::Anonymous;
        Err(match answer.status.as_u16() {
            401 | 403 if anonymous => RegistryError::LoginRequired {
                registry,
                repository,
                detail,
            },
            401 | 403 => RegistryError::LoginRefused {
                registry,
                repository,
                detail,
            },
            404 => RegistryError::NotFound {
                registry,
                missing: missing.to_owned(),
                detail,
            },
            429 => RegistryError::RateLimited {
                registry,
                repository,
                detail,
                retry_after: asked_wait(&answer.headers),
            },
            _ => RegistryError::Status {
                registry,
                repository,
                detail,
            },
        })
    }

    pub(crate) fn protocol(&self, detail: &str) -> RegistryError {
        RegistryError::Protocol {
            registry: self.reference.registry().to_owned(),
            repository: self.reference.repository().to_owned(),
            detail: clean(&self.session.credentials.scrub(detail)),
        }
    }

    pub(crate) fn too_large(&self, limit: &str) -> RegistryError {
        RegistryError::TooLarge {
            registry: self.reference.registry().to_owned(),
            repository: self.reference.repository().to_owned(),
            limit: limit.to_owned(),
        }
    }

    pub(crate) fn login(&self) -> &Login {
        self.session
            .credentials
            .login_for(self.reference.registry())
    }

    /// The registry's scheme and way of authentication: known, or asked for now.
    async fn endpoint(&self) -> Result<Endpoint, RegistryError> {
        let registry = self.reference.registry();
        if let Some(endpoint) = lock(&self.session.endpoints).get(registry) {
            return Ok(endpoint.clone());
        }
        let endpoint = match self.ping("https").await {
            Ok(endpoint) => endpoint,
            // A refused certificate is an answer: going on in clear text would ignore it.
            Err(secure @ (RegistryError::Unreachable { .. } | RegistryError::PlainHttp { .. }))
                if self.session.insecure || self.reference.is_local() =>
            {
                match self.ping("http").await {
                    Ok(endpoint) => endpoint,
                    Err(plain) if matches!(secure, RegistryError::PlainHttp { .. }) => {
                        return Err(plain);
                    }
                    Err(_) => return Err(secure),
                }
            }
            Err(error) => return Err(error),
        };
        self.session.keep(registry, endpoint.clone());
        Ok(endpoint)
    }

    async fn ping(&self, scheme: &str) -> Result<Endpoint, RegistryError> {
        let base = format!("{scheme}://{}/v2/", self.reference.registry());
        let base = Url::parse(&base).map_err(|_| self.protocol("its name makes no URL"))?;
        let answer = self
            .send(|| self.session.http.get(base.clone()), MAX_SMALL_BODY)
            .await?;
        let challenge = match answer.status {
            StatusCode::UNAUTHORIZED => {
                let headers = answer.header_values("www-authenticate");
                Challenge::select(headers, scheme == "https")
                    .map_err(|problem| self.protocol(&problem))?
            }
            status if retry::is_transient(status) => {
                self.expect_success(&answer, "")?;
                Challenge::None
            }
            // Some registries do not serve this path: the real question decides.
            _ => Challenge::None,
        };
        Ok(Endpoint { base, challenge })
    }

    /// Sends a request, again when it failed in a way that passes, and reads the answer.
    pub(crate) async fn send(
        &self,
        request: impl Fn() -> RequestBuilder,
        limit: usize,
    ) -> Result<Answer, RegistryError> {
        let mut attempt = 1;
        loop {
            let result = self.send_once(request(), limit).await;
            let asked = match &result {
                Ok(answer) if retry::is_transient(answer.status) => asked_wait(&answer.headers),
                Err(Failure::Broken(_)) => None,
                Ok(_) | Err(Failure::Final(_)) => return result.map_err(Failure::into_error),
            };
            let left = self.deadline.saturating_duration_since(Instant::now());
            let Some(wait) = retry::wait(attempt, asked, left) else {
                return result.map_err(Failure::into_error);
            };
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    async fn send_once(&self, request: RequestBuilder, limit: usize) -> Result<Answer, Failure> {
        let broken = |error: &reqwest::Error| {
            let classified = classify(error, self.reference);
            // Connections that were never there, and redirects that we refuse, stay so.
            if error.is_connect() || error.is_redirect() || error.is_builder() {
                Failure::Final(classified)
            } else {
                Failure::Broken(classified)
            }
        };
        let mut response = request.send().await.map_err(|error| broken(&error))?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let limit = if status.is_success() {
            limit
        } else {
            MAX_SMALL_BODY
        };
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
            if body.len() + chunk.len() > limit {
                if !status.is_success() {
                    break;
                }
                return Err(Failure::Final(self.too_large(&format!("{limit} bytes"))));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    /// Status and words of a failed answer, in brackets: ` (HTTP 404, NAME_UNKNOWN: …)`.
    fn detail(&self, answer: &Answer) -> String {
        let words = serde_json::from_slice::<Complaint>(&answer.body).unwrap_or_default();
        let first = words.errors.into_iter().next();
        let parts: Vec<String> = match first {
            Some(error) => [error.code, error.message].into_iter().flatten().collect(),
            None => words.details.into_iter().collect(),
        };
        let words = clean(&self.session.credentials.scrub(&parts.join(": ")));
        let separator = if words.is_empty() { "" } else { ", " };
        format!(" (HTTP {}{separator}{words})", answer.status.as_u16())
    }
}

/// A request without a usable answer.
enum Failure {
    /// Trying again cannot help.
    Final(RegistryError),
    /// A connection that broke on the way.
    Broken(RegistryError),
}

impl Failure {
    fn into_error(self) -> RegistryError {
        match self {
            Self::Final(error) | Self::Broken(error) => error,
        }
    }
}

/// The body of an error, as the distribution specification and Docker's token service write it.
#[derive(Default, Deserialize)]
struct Complaint {
    #[serde(default)]
    errors: Vec<ComplaintItem>,
    details: Option<String>,
}

#[derive(Deserialize)]
struct ComplaintItem {
    code: Option<String>,
    message: Option<String>,
}

fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    retry::retry_after(value, Timestamp::now())
}
