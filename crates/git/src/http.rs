//! Smart HTTP: the client of a remote, its requests, and what failures mean.

use std::error::Error as _;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use sha2::{Digest as _, Sha256};

use crate::auth::{self, AuthError, Login, Method};
use crate::error::GitError;
use crate::redirect::{self, INFO_REFS};
use crate::remote::Remote;
use crate::said::{self, LIMIT, Purpose};
use crate::sendpack::RECEIVE_PACK;
use crate::session;

/// A client for a remote: its trust, client certificate, proxy and time limits. Credentials are
/// added to each request.
pub(crate) fn client(remote: &Remote) -> Result<Client, GitError> {
    let credentials = http_auth(remote);
    let mut builder = Client::builder()
        .user_agent(concat!(
            "git/2.0 (flux-git ",
            env!("CARGO_PKG_VERSION"),
            ")"
        ))
        .connect_timeout(remote.connect_timeout())
        .read_timeout(remote.read_timeout())
        .redirect(redirect::policy(is_anonymous(remote)));
    if let Some(ca) = credentials.and_then(|http| http.ca.as_deref()) {
        let certificates =
            reqwest::Certificate::from_pem_bundle(ca).map_err(|_| AuthError::Ca("ca.crt"))?;
        builder = builder.tls_certs_merge(certificates);
    }
    if let Some(pem) = credentials.and_then(|http| http.client.as_ref()) {
        let identity = reqwest::Identity::from_pem(pem);
        builder = builder.identity(identity.map_err(|_| AuthError::ClientCertificate)?);
    }
    if let Some(proxy) = &remote.proxy {
        let bad = |_| AuthError::Proxy("'address' is not a proxy's URL");
        let mut all = reqwest::Proxy::all(proxy.address()).map_err(bad)?;
        if let Some((user, password)) = &proxy.credentials {
            all = all.basic_auth(user, password);
        }
        if let Some(ca) = &proxy.ca {
            let bad = |_| AuthError::Proxy("'ca.crt' has no certificates in PEM");
            let certificates = reqwest::Certificate::from_pem_bundle(ca).map_err(bad)?;
            builder = builder.tls_certs_merge(certificates);
        }
        builder = builder.proxy(all);
    }
    builder.build().map_err(|error| GitError::Tls {
        host: remote.address(),
        problem: innermost(&error),
        hint: "; check ca.crt, tls.crt and tls.key in the Secret",
    })
}

/// What two remotes must have in common to share a client.
pub(crate) fn client_key(remote: &Remote) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(&*remote.auth.identity());
    hash.update(
        http_auth(remote)
            .and_then(|http| http.ca.as_deref())
            .unwrap_or_default(),
    );
    if let Some(proxy) = &remote.proxy {
        hash.update(proxy.address());
        hash.update(proxy.ca.as_deref().unwrap_or_default());
        if let Some((user, password)) = &proxy.credentials {
            hash.update(format!("\0{user}\0{}", password.as_str()));
        }
    }
    hash.update(remote.read_timeout().as_millis().to_be_bytes());
    hash.finalize().into()
}

fn http_auth(remote: &Remote) -> Option<&auth::Http> {
    match &*remote.auth.method {
        Method::Http(http) => Some(http),
        Method::None | Method::Ssh(_) => None,
    }
}

/// Whether nothing is sent that tells who we are.
fn is_anonymous(remote: &Remote) -> bool {
    http_auth(remote).is_none_or(|http| matches!(http.login, Login::None) && http.client.is_none())
}

/// Asks for the refs. Returns the answer and the base URL it came from.
pub(crate) async fn info_refs(
    client: &Client,
    remote: &Remote,
    service: &str,
    version_2: bool,
) -> Result<(Response, String), GitError> {
    let base = remote.url.without_user();
    let url = format!(
        "{}{INFO_REFS}?service={service}",
        base.trim_end_matches('/')
    );
    let mut request = client.get(url);
    if version_2 {
        request = request.header("Git-Protocol", "version=2");
    }
    let sent = send(request, remote, purpose_of(service));
    let response = session::within(remote.connect_timeout(), remote, sent).await?;
    let expected = format!("application/x-{service}-advertisement");
    let kind = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    if kind != Some(expected.as_str()) {
        let kind = kind.unwrap_or("no content type").to_owned();
        return Err(GitError::Protocol {
            host: remote.url.authority(),
            problem: format!(
                "{base} is not a Git repository over smart HTTP (it answers with {})",
                said::tidy(&kind)
            ),
        });
    }
    let mut from = response.url().clone();
    from.set_query(None);
    let base = from
        .as_str()
        .strip_suffix(INFO_REFS)
        .unwrap_or(&base)
        .to_owned();
    Ok((response, base))
}

/// Sends a request body to a service below `base`.
pub(crate) async fn rpc(
    client: &Client,
    remote: &Remote,
    base: &str,
    service: &str,
    body: Vec<u8>,
    version_2: bool,
) -> Result<Response, GitError> {
    let header = |what: &str| {
        HeaderValue::from_str(&format!("application/x-{service}-{what}"))
            .unwrap_or(HeaderValue::from_static("*/*"))
    };
    let mut request = client
        .post(format!("{}/{service}", base.trim_end_matches('/')))
        .header(CONTENT_TYPE, header("request"))
        .header(ACCEPT, header("result"))
        .body(body);
    if version_2 {
        request = request.header("Git-Protocol", "version=2");
    }
    send(request, remote, purpose_of(service)).await
}

fn purpose_of(service: &str) -> Purpose {
    if service == RECEIVE_PACK {
        Purpose::Write
    } else {
        Purpose::Read
    }
}

async fn send(
    mut request: RequestBuilder,
    remote: &Remote,
    purpose: Purpose,
) -> Result<Response, GitError> {
    match http_auth(remote).map(|http| &http.login) {
        Some(Login::Basic { user, password }) => {
            request = request.basic_auth(user.as_str(), Some(password.as_str()));
        }
        Some(Login::Bearer(token)) => request = request.bearer_auth(token.as_str()),
        Some(Login::None) | None => {}
    }
    let response = request
        .send()
        .await
        .map_err(|error| broken(remote, &error))?;
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status();
    let location = response
        .headers()
        .get("location")
        .and_then(|l| l.to_str().ok());
    let location = location.map(|l| l.split(['?', '#']).next().unwrap_or_default().to_owned());
    let text = body(response).await;
    Err(refused(remote, purpose, status, location, &text))
}

/// The beginning of an error page, if it is text.
async fn body(mut response: Response) -> String {
    let kind = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("text/plain")) {
        return String::new();
    }
    let mut text = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        text.extend_from_slice(&chunk);
        if text.len() >= LIMIT {
            text.truncate(LIMIT);
            break;
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn refused(
    remote: &Remote,
    purpose: Purpose,
    status: StatusCode,
    location: Option<String>,
    text: &str,
) -> GitError {
    let url = remote.url.to_string();
    let said = said::suffix(text);
    let anonymous = http_auth(remote).is_none_or(|http| matches!(http.login, Login::None));
    let (what, remedy) = match (status, purpose) {
        (StatusCode::UNAUTHORIZED, _) if anonymous => (
            "authentication failed",
            "set spec.secretRef to a Secret with 'username' and 'password', or 'bearerToken'",
        ),
        (StatusCode::UNAUTHORIZED, _) => (
            "authentication failed",
            "the credentials in the Secret are wrong or have expired",
        ),
        (StatusCode::FORBIDDEN, Purpose::Write) => (
            "push refused",
            "the credentials in the Secret may read but not write: give the token or account write access to this repository",
        ),
        (StatusCode::FORBIDDEN, Purpose::Read) => (
            "access denied",
            "give the account or token of the Secret read access to this repository",
        ),
        (StatusCode::NOT_FOUND | StatusCode::GONE, _) => return said::not_found(remote, text),
        _ => {
            let said = match location {
                Some(to) => format!(": it redirects to {}, use that URL", said::tidy(&to)),
                None => said,
            };
            return GitError::Http {
                url,
                status: status.to_string(),
                said,
            };
        }
    };
    GitError::HttpDenied {
        what,
        url,
        status: status.as_u16(),
        remedy,
        said,
    }
}

/// A request that got no answer, or a body that broke off.
pub(crate) fn broken(remote: &Remote, error: &reqwest::Error) -> GitError {
    let address = remote.address();
    let problem = innermost(error);
    if error.is_timeout() {
        let limit = if error.is_connect() {
            remote.connect_timeout()
        } else {
            remote.read_timeout()
        };
        session::silent(remote, limit)
    } else if error.is_dns() {
        let host = remote
            .proxy
            .as_ref()
            .map_or(remote.url.host(), |proxy| &proxy.host);
        GitError::Dns {
            host: host.to_owned(),
            problem,
        }
    } else if problem.contains("certificate") || problem.contains("tls") || problem.contains("TLS")
    {
        let hint = if problem.contains("UnknownIssuer") || problem.contains("unknown issuer") {
            "; the server's certificate is signed by an authority that is not trusted: put that authority's certificate into ca.crt of the Secret"
        } else {
            ""
        };
        GitError::Tls {
            host: address,
            problem,
            hint,
        }
    } else if error.is_connect() {
        GitError::Connect { address, problem }
    } else {
        GitError::Protocol {
            host: address,
            problem,
        }
    }
}

/// The cause at the end of the chain: the outer ones only repeat the URL.
fn innermost(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = match inner.downcast_ref::<std::io::Error>() {
            // A wrapped error says more than "other error".
            Some(io) if io.get_ref().is_none() => crate::dial::plain(io),
            _ => inner.to_string(),
        };
        source = inner.source();
    }
    said::tidy(&text)
}
