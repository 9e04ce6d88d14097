//! Keeps the certificate authority in a Secret that all replicas share, and renews it.
//!
//! A new authority is announced before it signs anything: both certificates are in the bundle for
//! some minutes, so that every API server knows the successor when the first leaf of it is served.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt as _};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::certificates::{Authority, CertificateError, Periods};
use crate::install::reason;

/// Name of the Secret.
pub const SECRET: &str = "admission-webhook-ca";

/// When an announced authority begins to sign.
const PROMOTE: &str = "admission.flux-sync.io/promote-at";

/// How often a replica tries again when another one was quicker.
const ATTEMPTS: usize = 5;

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The API server did not answer as hoped.
    #[error("cannot keep the authority in Secret {namespace}/{SECRET}: {}", reason(.error))]
    Api {
        /// Namespace of the Secret
        namespace: String,
        /// The answer
        error: Box<kube::Error>,
    },
    /// A certificate could not be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Others kept changing the Secret.
    #[error("Secret {0}/{SECRET} was changed by others {ATTEMPTS} times in a row")]
    Contended(String),
}

/// The authority that signs, the bundle to trust, and perhaps a successor.
#[derive(Debug)]
pub struct State {
    /// Signs leaves.
    pub signer: Authority,
    next: Option<(Authority, OffsetDateTime)>,
    previous: Option<String>,
}

impl State {
    /// A new authority.
    ///
    /// # Errors
    /// [`CertificateError`] if there is no randomness.
    pub fn fresh(now: OffsetDateTime, periods: &Periods) -> Result<Self, CertificateError> {
        Ok(Self {
            signer: Authority::generate(now, periods)?,
            next: None,
            previous: None,
        })
    }

    /// What API servers have to trust, PEM: the signer first.
    #[must_use]
    pub fn bundle(&self) -> String {
        let next = self.next.iter().map(|(next, _)| next.certificate());
        let certificates = std::iter::once(self.signer.certificate())
            .chain(next)
            .chain(self.previous.as_deref());
        certificates
            .map(|pem| format!("{}\n", pem.trim_end()))
            .collect()
    }

    /// Whether API servers are to trust this authority (PEM).
    #[must_use]
    pub fn trusts(&self, authority: &str) -> bool {
        self.bundle().contains(authority.trim_end())
    }

    /// Does what is due, and says whether that was anything.
    fn advance(
        &mut self,
        now: OffsetDateTime,
        periods: &Periods,
    ) -> Result<bool, CertificateError> {
        if now >= self.signer.not_after() {
            *self = Self::fresh(now, periods)?;
            return Ok(true);
        }
        match self.next.take() {
            Some((next, promote)) if now >= promote => {
                let old = std::mem::replace(&mut self.signer, next);
                self.previous = Some(old.certificate().to_owned());
                Ok(true)
            }
            Some(waiting) => {
                self.next = Some(waiting);
                Ok(false)
            }
            None if self.signer.is_due(now) => {
                let next = Authority::generate(now, periods)?;
                self.next = Some((next, now + periods.announced));
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn data(&self) -> BTreeMap<String, ByteString> {
        let mut data = BTreeMap::new();
        let mut put = |key: &str, value: &str| {
            data.insert(key.to_owned(), ByteString(value.as_bytes().to_vec()));
        };
        put("ca.crt", &self.bundle());
        put("tls.crt", self.signer.certificate());
        put("tls.key", self.signer.key());
        if let Some((next, _)) = &self.next {
            put("next.crt", next.certificate());
            put("next.key", next.key());
        }
        if let Some(previous) = &self.previous {
            put("previous.crt", previous);
        }
        data
    }

    fn annotations(&self) -> BTreeMap<String, String> {
        let promote = self
            .next
            .as_ref()
            .and_then(|(_, at)| at.format(&Rfc3339).ok());
        promote
            .into_iter()
            .map(|at| (PROMOTE.to_owned(), at))
            .collect()
    }

    /// Reads a Secret. A successor that cannot be read is dropped: another one is made.
    fn read(secret: &Secret) -> Result<Self, CertificateError> {
        let text = |key: &str| {
            let bytes = &secret.data.as_ref()?.get(key)?.0;
            std::str::from_utf8(bytes).ok()
        };
        let pair = |certificate, key| match (text(certificate), text(key)) {
            (Some(certificate), Some(key)) => Authority::from_pem(certificate, key),
            _ => Err(CertificateError::Parse),
        };
        let promote = secret
            .annotations()
            .get(PROMOTE)
            .and_then(|at| OffsetDateTime::parse(at, &Rfc3339).ok());
        Ok(Self {
            signer: pair("tls.crt", "tls.key")?,
            next: pair("next.crt", "next.key").ok().zip(promote),
            previous: text("previous.crt").map(str::to_owned),
        })
    }

    fn secret(&self, metadata: ObjectMeta) -> Secret {
        Secret {
            data: Some(self.data()),
            metadata: ObjectMeta {
                annotations: Some(self.annotations()),
                ..metadata
            },
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        }
    }
}

/// Reads the authority, makes or renews it where that is due, and stores what changed. Whoever
/// writes first wins; everybody else reads again. A Secret that somebody deleted is written again
/// from what is `held`: API servers trust that, and would have to learn another one.
///
/// # Errors
/// [`AuthorityError`] if the API server refuses, or others are quicker every time.
pub async fn ensure(
    client: &Client,
    namespace: &str,
    now: OffsetDateTime,
    periods: &Periods,
    held: Option<&State>,
) -> Result<State, AuthorityError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let api = |error| AuthorityError::Api {
        namespace: namespace.to_owned(),
        error: Box::new(error),
    };
    for _ in 0..ATTEMPTS {
        let found = secrets.get_opt(SECRET).await.map_err(api)?;
        let written = match found {
            None => {
                let metadata = ObjectMeta {
                    name: Some(SECRET.to_owned()),
                    namespace: Some(namespace.to_owned()),
                    labels: Some(labels()),
                    ..ObjectMeta::default()
                };
                let secret = match held.filter(|held| now < held.signer.not_after()) {
                    Some(held) => held.secret(metadata),
                    None => State::fresh(now, periods)?.secret(metadata),
                };
                secrets.create(&PostParams::default(), &secret).await
            }
            Some(secret) => {
                let (mut state, readable) = match State::read(&secret) {
                    Ok(state) => (state, true),
                    Err(error) => {
                        tracing::warn!(%error, "replacing an unreadable authority");
                        (State::fresh(now, periods)?, false)
                    }
                };
                if !state.advance(now, periods)? && readable {
                    return Ok(state);
                }
                let metadata = ObjectMeta {
                    resource_version: secret.resource_version(),
                    name: secret.metadata.name,
                    namespace: secret.metadata.namespace,
                    labels: Some(labels()),
                    ..ObjectMeta::default()
                };
                let secret = state.secret(metadata);
                secrets
                    .replace(SECRET, &PostParams::default(), &secret)
                    .await
            }
        };
        match written {
            Ok(secret) => return Ok(State::read(&secret)?),
            // Somebody else created, changed or deleted it meanwhile.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
                // Without the namespace nothing can be created; that will not change.
                if status.code == 404 && status.message.contains("namespaces") {
                    return Err(api(kube::Error::Api(status)));
                }
            }
            Err(error) => return Err(api(error)),
        }
    }
    Err(AuthorityError::Contended(namespace.to_owned()))
}

fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([("app.kubernetes.io/part-of".to_owned(), "flux".to_owned())])
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    fn start() -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::days(20_000)
    }

    fn stored(state: State) -> State {
        State::read(&state.secret(ObjectMeta::default())).expect("readable")
    }

    #[test]
    fn a_successor_is_announced_before_it_signs() {
        let mut now = start();
        let mut state = State::fresh(now, &Periods::default()).expect("made");
        let first = state.signer.certificate().to_owned();
        assert!(
            !state
                .advance(now, &Periods::default())
                .expect("nothing due")
        );

        now += Duration::days(250);
        assert!(state.advance(now, &Periods::default()).expect("announced"));
        let mut state = stored(state);
        assert_eq!(state.signer.certificate(), first);
        assert_eq!(state.bundle().matches("BEGIN CERTIFICATE").count(), 2);

        now += Duration::minutes(4);
        assert!(!state.advance(now, &Periods::default()).expect("too early"));

        now += Duration::minutes(1);
        let announced = state.bundle();
        assert!(state.advance(now, &Periods::default()).expect("promoted"));
        let state = stored(state);
        assert_ne!(state.signer.certificate(), first);
        assert!(announced.contains(state.signer.certificate().trim_end()));
        assert!(
            state.bundle().contains(first.trim_end()),
            "leaves of the old one are in use"
        );
    }

    #[test]
    fn an_expired_authority_is_replaced_at_once() {
        let mut state = State::fresh(start(), &Periods::default()).expect("made");
        let first = state.signer.certificate().to_owned();
        assert!(
            state
                .advance(start() + Duration::days(366), &Periods::default())
                .expect("replaced")
        );
        assert!(!state.bundle().contains(first.trim_end()));
    }

    #[test]
    fn other_secrets_are_not_an_authority() {
        assert!(State::read(&Secret::default()).is_err());
    }
}
