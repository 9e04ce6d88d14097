//! The two questions: tags of a repository, digest of a tag.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use sha2::{Digest as _, Sha256};
use tracing::warn;

use crate::credentials::Credentials;
use crate::error::RegistryError;
use crate::link::{BadLink, next_page};
use crate::reference::Reference;
use crate::session::{Answer, Call, Session};
use crate::tags::{self, Tags};
use crate::transport::Proxy;

/// Tags asked for per page. Some registries refuse more than 1,000.
const PAGE_SIZE: usize = 1_000;
/// Pages read at most: five million tags from a registry that honours the page size.
const MAX_PAGES: usize = 5_000;
/// Bytes of all pages together: a million tags of 60 characters.
const MAX_LIST_BYTES: usize = 64 << 20;
/// Tags at most: with [`MAX_LIST_BYTES`] this bounds what a list takes in memory to some 70 MiB.
const MAX_TAGS: usize = 2_000_000;
/// Bytes of one manifest; the specification asks registries to take 4 MiB.
const MAX_MANIFEST_BYTES: usize = 4 << 20;
/// Longest tag that the specification allows.
const MAX_TAG: usize = 128;

/// Every kind of manifest a tag can point to. Without it a registry may convert the manifest, and
/// the digest would be another.
const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.v1+prettyjws, \
     application/vnd.docker.distribution.manifest.v1+json";

/// How to talk to a registry.
#[derive(Clone)]
pub struct ClientOptions {
    /// The login.
    pub credentials: Credentials,
    /// CA certificates (PEM) trusted in addition to the system's.
    pub ca: Option<Vec<u8>>,
    /// Client certificate chain and private key (PEM each).
    pub client_cert: Option<(Vec<u8>, Vec<u8>)>,
    /// Proxy; without one the environment's (`HTTPS_PROXY`, …) counts.
    pub proxy: Option<Proxy>,
    /// Whether plain HTTP may be used when the registry does not speak TLS. Loopback, `.local`
    /// and private addresses may in any case, as in Flux.
    pub insecure: bool,
    /// Time for one question, all pages, retries and token requests included.
    pub timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            credentials: Credentials::anonymous(),
            ca: None,
            client_cert: None,
            proxy: None,
            insecure: false,
            timeout: Duration::from_secs(60),
        }
    }
}

impl ClientOptions {
    /// A digest of everything but the timeout: who is equal in it sees the same tags, and can
    /// share a [`Client`].
    #[must_use]
    pub fn identity(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        // Each part with its length, so that no two lists of parts look the same.
        let mut part = |bytes: Option<&[u8]>| {
            hash.update([u8::from(bytes.is_some())]);
            let bytes = bytes.unwrap_or_default();
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        self.credentials.parts(&mut part);
        part(self.ca.as_deref());
        let certificate = self.client_cert.as_ref();
        part(certificate.map(|(certificate, _)| &**certificate));
        part(certificate.map(|(_, key)| &**key));
        let proxy = self.proxy.as_ref();
        part(proxy.map(|proxy| proxy.address.as_bytes()));
        let login = proxy.and_then(|proxy| proxy.login.as_ref());
        part(login.map(|(user, _)| user.as_bytes()));
        part(login.map(|(_, password)| password.as_bytes()));
        part(self.insecure.then_some(b"insecure"));
        hash.finalize().into()
    }
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClientOptions")
            .field("credentials", &self.credentials)
            .field("ca", &self.ca.is_some())
            .field("client_cert", &self.client_cert.is_some())
            .field("proxy", &self.proxy.is_some())
            .field("insecure", &self.insecure)
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// A client for one set of options. Cheap to clone; connections, the registry's way of
/// authentication and tokens are kept between questions, so keep the client between scans.
#[derive(Clone, Debug)]
pub struct Client {
    session: Arc<Session>,
    timeout: Duration,
}

impl Client {
    /// Prepares a client; nothing is sent yet.
    ///
    /// # Errors
    /// [`RegistryError::Options`] for certificates or a proxy address that cannot be used.
    ///
    /// # Panics
    /// When the process has not installed a rustls crypto provider.
    pub fn new(options: ClientOptions) -> Result<Self, RegistryError> {
        Ok(Self {
            timeout: options.timeout,
            session: Arc::new(Session::new(options)?),
        })
    }

    /// The same client with another time for one question: what it has learned is shared.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self {
            session: self.session.clone(),
            timeout,
        }
    }

    /// All tags of a repository, in the registry's order. Names that the specification does not
    /// allow are left out, with a line in the log: they could not be pulled anyway, and would end
    /// up in manifests.
    ///
    /// # Errors
    /// [`RegistryError`]; lists of more than 64 MiB, 5,000 pages or two million tags are
    /// [`RegistryError::TooLarge`].
    pub async fn tags(&self, reference: &Reference) -> Result<Tags, RegistryError> {
        self.in_time(reference, self.list(reference)).await
    }

    /// The digest (`sha256:…`) of the manifest or index that a tag points to.
    ///
    /// # Errors
    /// [`RegistryError`]; [`RegistryError::NotFound`] when there is no such tag.
    pub async fn digest(&self, reference: &Reference, tag: &str) -> Result<String, RegistryError> {
        self.in_time(reference, self.manifest_digest(reference, tag))
            .await
    }

    fn call<'a>(&'a self, reference: &'a Reference) -> Call<'a> {
        Call::new(&self.session, reference, self.timeout)
    }

    async fn list(&self, reference: &Reference) -> Result<Tags, RegistryError> {
        let call = self.call(reference);
        let missing = format!("repository {}", reference.repository());
        let mut url = call.url("tags/list").await?;
        url.set_query(Some(&format!("n={PAGE_SIZE}")));
        let (mut tags, mut seen, mut bytes) = (Tags::default(), HashSet::new(), 0);
        loop {
            let room = MAX_LIST_BYTES.saturating_sub(bytes);
            let answer = call.ask(Method::GET, &url, None, room).await?;
            call.expect_success(&answer, &missing)?;
            bytes += answer.body.len();
            let page = tags::read_page(&answer.body, &mut tags, MAX_TAGS, is_tag)
                .map_err(|_| call.protocol("its list of tags is not the JSON expected"))?;
            if page.refused > 0 {
                let refused = page.refused;
                warn!(repository = %reference, refused, "registry lists names that cannot be tags");
            }
            if page.is_full {
                return Err(call.too_large(&format!("{MAX_TAGS} tags")));
            }
            // Not the addresses themselves, whose length is up to the registry.
            seen.insert(digest(&url));
            match next_page(&url, answer.header_values("link")) {
                Ok(None) => return Ok(tags),
                Ok(Some(next)) if seen.contains(&digest(&next)) => {
                    return Err(call.protocol("its pages of tags form a loop"));
                }
                Ok(Some(_)) if seen.len() >= MAX_PAGES => {
                    return Err(call.too_large(&format!("{MAX_PAGES} pages of tags")));
                }
                Ok(Some(next)) => url = next,
                Err(BadLink(problem)) => return Err(call.protocol(&problem)),
            }
        }
    }

    async fn manifest_digest(
        &self,
        reference: &Reference,
        tag: &str,
    ) -> Result<String, RegistryError> {
        let call = self.call(reference);
        let missing = format!("tag {tag} in repository {}", reference.repository());
        if !is_tag(tag) {
            return Err(call.protocol(&format!("{tag:?} cannot be a tag")));
        }
        let url = call.url(&format!("manifests/{tag}")).await?;
        let head = call
            .ask(Method::HEAD, &url, Some(MANIFEST_TYPES), 0)
            .await?;
        let no_head = matches!(head.status.as_u16(), 405 | 501);
        if !no_head {
            call.expect_success(&head, &missing)?;
            if let Some(digest) = stated_digest(&head) {
                return Ok(digest);
            }
        }
        // The header is optional in the specification: then the body has to be hashed.
        let answer = call
            .ask(Method::GET, &url, Some(MANIFEST_TYPES), MAX_MANIFEST_BYTES)
            .await?;
        call.expect_success(&answer, &missing)?;
        Ok(stated_digest(&answer).unwrap_or_else(|| sha256(&answer.body)))
    }

    async fn in_time<T>(
        &self,
        reference: &Reference,
        question: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        let timeout = self.timeout;
        tokio::time::timeout(timeout, question)
            .await
            .unwrap_or_else(|_| {
                Err(RegistryError::Timeout {
                    registry: reference.registry().to_owned(),
                    repository: reference.repository().to_owned(),
                    timeout,
                })
            })
    }
}

fn digest(url: &reqwest::Url) -> [u8; 32] {
    Sha256::digest(url.as_str()).into()
}

/// The specification's grammar: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
fn is_tag(tag: &str) -> bool {
    (1..=MAX_TAG).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// The digest header, if it is there and has the form `algorithm:hex`.
fn stated_digest(answer: &Answer) -> Option<String> {
    let value = answer.header_values("docker-content-digest").next()?.trim();
    let (algorithm, hex) = value.split_once(':')?;
    let sound = !algorithm.is_empty()
        && algorithm
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+._-".contains(&byte))
        && (32..=256).contains(&hex.len())
        && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    sound.then(|| value.to_owned())
}

fn sha256(body: &[u8]) -> String {
    let hex: String = Sha256::digest(body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_grammar() {
        for tag in ["2.51", "latest", "_x", "V1-a.b_c", &"a".repeat(128)] {
            assert!(is_tag(tag), "{tag}");
        }
        for tag in ["", ".a", "-a", "a b", "a\n", "a/b", "é", &"a".repeat(129)] {
            assert!(!is_tag(tag), "{tag:?}");
        }
    }

    #[test]
    fn identities() {
        let plain = ClientOptions::default();
        let patient = ClientOptions {
            timeout: Duration::from_secs(1),
            ..plain.clone()
        };
        assert_eq!(plain.identity(), patient.identity());
        let login = |user: &str, password: &str| ClientOptions {
            credentials: Credentials::basic("r.io", user, password),
            ..plain.clone()
        };
        let insecure = ClientOptions {
            insecure: true,
            ..plain.clone()
        };
        let all = [plain.clone(), insecure, login("a", "bc"), login("ab", "c")];
        let distinct: HashSet<_> = all.iter().map(ClientOptions::identity).collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn digest_of_a_body() {
        assert_eq!(
            sha256(b""),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
