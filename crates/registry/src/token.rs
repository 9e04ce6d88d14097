//! Logging in: the `Authorization` header of a request, and the bearer tokens behind it.
//!
//! Follows the token protocol of the distribution project: user and password (or nothing) buy a
//! short-lived token for one repository from the token service that the registry named.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{self, HeaderValue};
use serde::Deserialize;
use url::Url;

use crate::challenge::{Bearer, Challenge};
use crate::credentials::Login;
use crate::error::RegistryError;
use crate::session::{Answer, Call, MAX_SMALL_BODY, lock};

/// Life of a token when its server does not say (the specification's default), in seconds.
const DEFAULT_TOKEN_LIFE: u64 = 60;
/// Longest time a token is kept, whatever its server says, in seconds.
const MAX_TOKEN_LIFE: u64 = 3_600;

/// What a token is for.
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct TokenKey {
    realm: Url,
    service: Option<String>,
    scopes: Vec<String>,
}

/// The tokens of a session, until they expire.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<TokenKey, Token>>);

struct Token {
    text: String,
    expires: Instant,
}

impl Tokens {
    fn get(&self, key: &TokenKey) -> Option<String> {
        let tokens = lock(&self.0);
        let token = tokens
            .get(key)
            .filter(|token| token.expires > Instant::now())?;
        Some(token.text.clone())
    }

    fn keep(&self, key: TokenKey, text: String, life: Duration) {
        let now = Instant::now();
        let mut tokens = lock(&self.0);
        tokens.retain(|_, token| token.expires > now);
        // A tenth of its life is left for the way to the registry.
        tokens.insert(
            key,
            Token {
                text,
                expires: now + life * 9 / 10,
            },
        );
    }

    /// Drops a token that the registry did not take.
    pub(crate) fn forget(&self, key: &TokenKey) {
        lock(&self.0).remove(key);
    }
}

/// What a token service grants.
#[derive(Deserialize)]
struct Granted {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Call<'_> {
    /// The value of the `Authorization` header. A login is also sent to a registry that did not
    /// ask for one: some show more to those who are known.
    pub(crate) async fn authorization(
        &self,
        challenge: &Challenge,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let text = match (challenge, self.login()) {
            (_, Login::Token(token)) => format!("Bearer {token}"),
            (Challenge::Bearer(bearer), _) => format!("Bearer {}", self.token(bearer).await?),
            (_, Login::Basic { username, password }) => basic(username, password),
            (_, Login::Anonymous | Login::Identity(_)) => return Ok(None),
        };
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| self.protocol("its token cannot be sent in a header"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    pub(crate) fn token_key(&self, bearer: &Bearer) -> TokenKey {
        let own = format!("repository:{}:pull", self.reference.repository());
        let mut scopes = vec![own];
        scopes.extend(bearer.scope.clone().filter(|scope| !scopes.contains(scope)));
        TokenKey {
            realm: bearer.realm.clone(),
            service: bearer.service.clone(),
            scopes,
        }
    }

    /// A token from the cache, or from the token service.
    async fn token(&self, bearer: &Bearer) -> Result<String, RegistryError> {
        let key = self.token_key(bearer);
        if let Some(token) = self.session.tokens.get(&key) {
            return Ok(token);
        }
        let answer = self.request_token(&key).await?;
        // A token service has no repositories: what it does not find is the service itself.
        self.expect_success(
            &answer,
            &format!("token service at {}", place(&bearer.realm)),
        )?;
        let granted: Granted = serde_json::from_slice(&answer.body)
            .map_err(|_| self.protocol("the answer of its token service is not JSON"))?;
        let text = [granted.token, granted.access_token]
            .into_iter()
            .flatten()
            .find(|text| !text.is_empty())
            .ok_or_else(|| self.protocol("its token service gave no token"))?;
        let life = granted
            .expires_in
            .unwrap_or(DEFAULT_TOKEN_LIFE)
            .min(MAX_TOKEN_LIFE);
        self.session
            .tokens
            .keep(key, text.clone(), Duration::from_secs(life));
        Ok(text)
    }

    async fn request_token(&self, key: &TokenKey) -> Result<Answer, RegistryError> {
        let TokenKey {
            realm,
            service,
            scopes,
        } = key;
        if let Login::Identity(refresh_token) = self.login() {
            let form = refresh_form(refresh_token, service.as_deref(), scopes);
            let request = || {
                self.session
                    .http
                    .post(realm.clone())
                    .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(form.clone())
            };
            let answer = self.send(request, MAX_SMALL_BODY).await?;
            // Not every token service knows this form: then a token is asked for without login.
            if !matches!(answer.status.as_u16(), 404 | 405) {
                return Ok(answer);
            }
        }
        let mut url = realm.clone();
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        for scope in scopes {
            url.query_pairs_mut().append_pair("scope", scope);
        }
        let request = || {
            let request = self.session.http.get(url.clone());
            match self.login() {
                Login::Basic { username, password } => request.basic_auth(username, Some(password)),
                _ => request,
            }
        };
        self.send(request, MAX_SMALL_BODY).await
    }
}

/// The form of a token request by refresh token (the distribution project's "oauth2" flow).
/// Built apart from the request: its encoder must not live across an await.
fn refresh_form(refresh_token: &str, service: Option<&str>, scopes: &[String]) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "refresh_token")
        .append_pair("client_id", "flux")
        .append_pair("scope", &scopes.join(" "))
        .append_pair("refresh_token", refresh_token);
    if let Some(service) = service {
        form.append_pair("service", service);
    }
    form.finish()
}

fn basic(username: &str, password: &str) -> String {
    let pair = format!("{username}:{password}");
    format!("Basic {}", STANDARD.encode(pair))
}

/// Scheme and host of a URL, without its query.
fn place(url: &Url) -> String {
    format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default())
}
