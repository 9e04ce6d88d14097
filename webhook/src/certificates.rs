//! Certificates: a small authority of our own and the leaf that this process serves with.
//!
//! Pure but for randomness; where the authority is kept is in [`crate::authority`].

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

/// How long things last, and how early they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periods {
    /// Life of the authority.
    pub authority: Duration,
    /// Life of a leaf: short, because its key never leaves the process and is cheap to replace.
    pub leaf: Duration,
    /// How far before now certificates become valid, for API servers whose clock is behind.
    pub backdated: Duration,
    /// How long a new authority is in the bundle before it signs: informers of API servers take
    /// seconds, this is generous.
    pub announced: Duration,
}

impl Default for Periods {
    fn default() -> Self {
        Self {
            authority: Duration::days(365),
            leaf: Duration::days(7),
            backdated: Duration::days(1),
            announced: Duration::minutes(5),
        }
    }
}

/// The time that certificates are made and judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// How far it is ahead of that of the machine.
    pub ahead: Duration,
}

impl Clock {
    /// Now.
    #[must_use]
    pub fn now(self) -> OffsetDateTime {
        OffsetDateTime::now_utc() + self.ahead
    }
}

/// What went wrong with a certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A certificate or key could not be made or read.
    #[error("cannot make or read a certificate")]
    Certificate(#[from] rcgen::Error),
    /// A stored certificate is not X.509.
    #[error("the stored certificate is not a PEM certificate")]
    Parse,
    /// rustls does not take the leaf.
    #[error("cannot serve with the certificate")]
    Serve(#[from] rustls::Error),
}

/// A certificate authority with its key.
pub struct Authority {
    certificate: String,
    key: String,
    issuer: Issuer<'static, KeyPair>,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// A new one: ECDSA P-256.
    ///
    /// # Errors
    /// [`CertificateError::Certificate`] if there is no randomness.
    pub fn generate(now: OffsetDateTime, periods: &Periods) -> Result<Self, CertificateError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // Successors need names of their own: verifiers look an issuer up by its name.
        let name = format!("flux-admission-webhook CA {}", now.unix_timestamp());
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = now - periods.backdated;
        params.not_after = now + periods.authority;
        let certificate = params.self_signed(&key)?.pem();
        Self::from_pem(&certificate, &key.serialize_pem())
    }

    /// One that was stored.
    ///
    /// # Errors
    /// [`CertificateError`] if certificate or key cannot be read.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, CertificateError> {
        let (not_before, not_after) = validity(certificate)?;
        let issuer = Issuer::from_ca_cert_pem(certificate, KeyPair::from_pem(key)?)?;
        Ok(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            issuer,
            not_before,
            not_after,
        })
    }

    /// The certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The private key, PEM. Only for storing it.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// When it ends.
    #[must_use]
    pub const fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// Whether two thirds of its life are over.
    #[must_use]
    pub fn is_due(&self, now: OffsetDateTime) -> bool {
        now >= self.not_after - (self.not_after - self.not_before) / 3
    }

    /// A certificate for these names (DNS names or IP addresses).
    ///
    /// # Errors
    /// [`CertificateError`] if a name cannot stand in a certificate.
    pub fn leaf(
        &self,
        names: &[String],
        now: OffsetDateTime,
        periods: &Periods,
    ) -> Result<Leaf, CertificateError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.to_vec())?;
        params
            .distinguished_name
            .push(DnType::CommonName, "flux-admission-webhook");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_before = now - periods.backdated;
        params.not_after = (now + periods.leaf).min(self.not_after);
        let certificate = params.signed_by(&key, &self.issuer)?;
        let certified = CertifiedKey::from_der(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            &provider(),
        )?;
        Ok(Leaf {
            certified: Arc::new(certified),
            authority: self.certificate.clone(),
            made: now,
            renew_at: now + (params.not_after - now) * 2 / 3,
            not_after: params.not_after,
        })
    }
}

/// What this process serves with.
#[derive(Clone, Debug)]
pub struct Leaf {
    certified: Arc<CertifiedKey>,
    authority: String,
    made: OffsetDateTime,
    renew_at: OffsetDateTime,
    not_after: OffsetDateTime,
}

impl Leaf {
    /// How long it is used at most.
    #[must_use]
    pub fn life(&self) -> Duration {
        self.not_after - self.made
    }

    /// PEM certificate of the authority that signed it.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// When it ends.
    #[must_use]
    pub const fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// Whether two thirds of its life are over.
    #[must_use]
    pub fn is_due(&self, now: OffsetDateTime) -> bool {
        now >= self.renew_at
    }
}

/// Gives every new connection the current leaf.
#[derive(Debug, Default)]
pub struct Served(ArcSwapOption<Leaf>);

impl Served {
    /// Serves with this leaf from the next handshake on.
    pub fn swap(&self, leaf: Leaf) {
        self.0.store(Some(Arc::new(leaf)));
    }

    /// The current leaf.
    #[must_use]
    pub fn leaf(&self) -> Option<Arc<Leaf>> {
        self.0.load_full()
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.leaf().map(|leaf| Arc::clone(&leaf.certified))
    }
}

/// The only crypto provider of this program.
pub(crate) fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}

/// `notBefore` and `notAfter` of a PEM certificate.
fn validity(pem: &str) -> Result<(OffsetDateTime, OffsetDateTime), CertificateError> {
    let (_, pem) =
        x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|_| CertificateError::Parse)?;
    let certificate = pem.parse_x509().map_err(|_| CertificateError::Parse)?;
    let validity = certificate.validity();
    Ok((
        validity.not_before.to_datetime(),
        validity.not_after.to_datetime(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    #[test]
    fn a_stored_authority_is_the_same_again() {
        let now = NOW + Duration::days(20_000);
        let made = Authority::generate(now, &Periods::default()).expect("made");
        let read = Authority::from_pem(made.certificate(), made.key()).expect("read");
        assert_eq!(read.certificate(), made.certificate());
        assert_eq!(read.not_after(), now + Periods::default().authority);
        assert!(
            read.leaf(
                &["a.b.svc".to_owned(), "127.0.0.1".to_owned()],
                now,
                &Periods::default()
            )
            .is_ok()
        );
        assert!(!format!("{made:?}").contains("PRIVATE"));
    }

    #[test]
    fn renewal_is_due_after_two_thirds() {
        let now = NOW + Duration::days(20_000);
        let authority = Authority::generate(now, &Periods::default()).expect("made");
        assert!(!authority.is_due(now + Duration::days(240)));
        assert!(authority.is_due(now + Duration::days(245)));
        let leaf = authority
            .leaf(&["a".to_owned()], now, &Periods::default())
            .expect("signed");
        assert!(!leaf.is_due(now + Duration::days(4)));
        assert!(leaf.is_due(now + Duration::days(5)));
        assert_eq!(leaf.not_after(), now + Periods::default().leaf);
    }

    #[test]
    fn a_leaf_does_not_outlive_its_authority() {
        let now = NOW + Duration::days(20_000);
        let authority = Authority::generate(now, &Periods::default()).expect("made");
        let late = now + Periods::default().authority - Duration::days(1);
        let leaf = authority
            .leaf(&["a".to_owned()], late, &Periods::default())
            .expect("signed");
        assert_eq!(leaf.not_after(), authority.not_after());
    }

    #[test]
    fn garbage_is_refused() {
        assert!(matches!(
            Authority::from_pem("x", "y"),
            Err(CertificateError::Parse)
        ));
        let authority =
            Authority::generate(NOW + Duration::days(20_000), &Periods::default()).expect("made");
        assert!(Authority::from_pem(authority.certificate(), "y").is_err());
    }
}
