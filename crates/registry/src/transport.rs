//! The HTTP client below: TLS trust, client certificate, proxy, redirects, and what its errors
//! mean.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::tls::{Certificate, Identity};
use rustls::CertificateError;

use crate::client::ClientOptions;
use crate::error::{RegistryError, clean};
use crate::reference::Reference;

/// Longest time for one connection; the whole question may have less.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest chain of redirects.
const MAX_REDIRECTS: usize = 5;
/// How long an idle connection is kept, for the next scan.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// A proxy, as the Secret of `spec.proxySecretRef` describes it.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// `http://`, `https://` or `socks5://` URL.
    pub address: String,
    /// User name and password, if the proxy wants them.
    pub login: Option<(String, String)>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address itself may hold a password.
        formatter.debug_struct("Proxy").finish_non_exhaustive()
    }
}

/// Builds the HTTP client. Without a proxy of its own it honours `HTTPS_PROXY` and its relatives.
pub(crate) fn build(options: &ClientOptions) -> Result<reqwest::Client, RegistryError> {
    let extra_roots = match &options.ca {
        Some(pem) => roots(pem)?,
        None => Vec::new(),
    };
    let has_extra_roots = !extra_roots.is_empty();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("flux-registry/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(2)
        .redirect(Policy::custom(no_downgrade));
    if let Some((certificate, key)) = &options.client_cert {
        let pem = [certificate.as_slice(), b"\n", key.as_slice()].concat();
        let identity = Identity::from_pem(&pem).map_err(|_| RegistryError::Options {
            what: "the client certificate of spec.certSecretRef",
            detail: "tls.crt or tls.key is not PEM".to_owned(),
            remedy: "Write the certificate chain to tls.crt and its private key to tls.key",
        })?;
        builder = builder.identity(identity);
    }
    if let Some(proxy) = &options.proxy {
        let mut inner = reqwest::Proxy::all(&proxy.address).map_err(|_| RegistryError::Options {
            what: "the proxy of spec.proxySecretRef",
            detail: "its address is not a URL".to_owned(),
            remedy: "Write http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT to the key address",
        })?;
        if let Some((username, password)) = &proxy.login {
            inner = inner.basic_auth(username, password);
        }
        builder = builder.proxy(inner);
    }
    let build = |builder: reqwest::ClientBuilder| {
        builder.build().map_err(|error| RegistryError::Options {
            what: "the TLS set-up",
            detail: innermost(&error),
            remedy: "Check ca.crt, tls.crt and tls.key in the Secret of spec.certSecretRef",
        })
    };
    if !has_extra_roots && !system_has_roots() {
        // An image without CA certificates still reaches registries over plain HTTP, and gets
        // an error about the certificate, not about itself, from all others.
        return build(builder.tls_certs_only([]));
    }
    build(builder.tls_certs_merge(extra_roots))
}

/// Whether a client that trusts the system's CA certificates can be made here. Asked once: the
/// answer is a property of the container image.
fn system_has_roots() -> bool {
    static ANSWER: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *ANSWER.get_or_init(|| reqwest::Client::builder().build().is_ok())
}

fn roots(pem: &[u8]) -> Result<Vec<Certificate>, RegistryError> {
    let unusable = |detail: &str| RegistryError::Options {
        what: "the CA bundle of spec.certSecretRef",
        detail: detail.to_owned(),
        remedy: "Write one or more PEM certificates to the key ca.crt",
    };
    let certificates =
        Certificate::from_pem_bundle(pem).map_err(|_| unusable("ca.crt is not PEM"))?;
    if certificates.is_empty() {
        return Err(unusable("ca.crt holds no certificate"));
    }
    Ok(certificates)
}

/// Follows a few redirects, but never from https to http: answers would come from anybody.
fn no_downgrade(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let downgrade = attempt.url().scheme() == "http"
        && attempt
            .previous()
            .last()
            .is_some_and(|url| url.scheme() == "https");
    if downgrade {
        attempt.error("it redirects from https to http")
    } else if attempt.previous().len() > MAX_REDIRECTS {
        attempt.error("it redirects too often")
    } else {
        attempt.follow()
    }
}

/// What a failed request says about the registry. The URL, which may hold a query with secrets,
/// is not part of the text.
pub(crate) fn classify(error: &reqwest::Error, reference: &Reference) -> RegistryError {
    let registry = reference.registry().to_owned();
    let repository = reference.repository().to_owned();
    let mut source: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(tls) = tls_error(cause) {
            match tls {
                rustls::Error::InvalidCertificate(problem) => {
                    let (detail, remedy) = explain(problem);
                    return RegistryError::Certificate {
                        registry,
                        repository,
                        detail,
                        remedy,
                    };
                }
                rustls::Error::InvalidMessage(_) => {
                    return RegistryError::PlainHttp {
                        registry,
                        repository,
                    };
                }
                _ => {}
            }
        }
        if cause.to_string().starts_with("dns error") {
            return RegistryError::UnknownHost {
                registry,
                repository,
            };
        }
        source = cause.source();
    }
    RegistryError::Unreachable {
        registry,
        repository,
        detail: innermost(error),
    }
}

/// The rustls error that an error is, or wraps in `io::Error`, whose `source` skips it.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls);
    }
    tls_error(error.downcast_ref::<std::io::Error>()?.get_ref()?)
}

fn explain(problem: &CertificateError) -> (String, &'static str) {
    match problem {
        CertificateError::UnknownIssuer => (
            "it is signed by an unknown authority".to_owned(),
            "Put that authority's certificate under ca.crt into a Secret and name it in \
             spec.certSecretRef",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            clean(&problem.to_string()),
            "Use a host name that the certificate is valid for in spec.image",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            clean(&problem.to_string()),
            "Renew the registry's certificate",
        ),
        _ => (
            clean(&problem.to_string()),
            "Give the registry a certificate that TLS clients accept",
        ),
    }
}

/// The last error of the chain: `Connection refused (os error 111)`.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    // Without a cause reqwest's own text would be shown, which can quote the URL.
    match last.downcast_ref::<reqwest::Error>() {
        Some(_) => "the request failed".to_owned(),
        None => clean(&last.to_string()),
    }
}
