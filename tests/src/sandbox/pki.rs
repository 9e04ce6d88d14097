//! The sandbox's own certificate authority: one for the API server, the registry and Git over
//! HTTPS, and for client certificates. Nothing here is fit for anything but a throw-away system.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use super::error::{Error, Result};

/// How long certificates are valid: longer than any sandbox lives.
const VALIDITY: Duration = Duration::days(30);

/// Certificates begin this long ago, in case a clock is a little off.
const BACKDATED: Duration = Duration::hours(1);

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its private key, both PEM.
pub struct Certificate {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS#8.
    pub key: String,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// A new authority with a key of its own.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(name: &str) -> Result<Self> {
        let failed = |source| Error::Certificate {
            name: name.to_owned(),
            source,
        };
        let mut params = params(name, None, &[]).map_err(failed)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(failed)?;
        Ok(Self {
            issuer: CertifiedIssuer::self_signed(params, key).map_err(failed)?,
        })
    }

    /// The authority's own certificate, PEM.
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for a server that is reached under `hosts` (names or addresses).
    ///
    /// # Errors
    /// When a host is neither, or no key can be made.
    pub fn server(&self, name: &str, hosts: &[&str]) -> Result<Certificate> {
        self.issue(name, None, hosts, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate for a client: to Kubernetes, `name` is the user and `group` one of its
    /// groups.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn client(&self, name: &str, group: Option<&str>) -> Result<Certificate> {
        self.issue(name, group, &[], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(
        &self,
        name: &str,
        group: Option<&str>,
        hosts: &[&str],
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Certificate> {
        let failed = |source| Error::Certificate {
            name: name.to_owned(),
            source,
        };
        let mut params = params(name, group, hosts).map_err(failed)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?.pem();
        Ok(Certificate {
            certificate,
            key: key.serialize_pem(),
        })
    }
}

/// The key pair that service account tokens are signed with, PEM: private and public.
pub(crate) fn signing_key() -> Result<(String, String)> {
    let failed = |source| Error::Certificate {
        name: "service accounts".to_owned(),
        source,
    };
    let key = KeyPair::generate().map_err(failed)?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

fn params(
    name: &str,
    group: Option<&str>,
    hosts: &[&str],
) -> Result<CertificateParams, rcgen::Error> {
    let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(group) = group {
        params
            .distinguished_name
            .push(DnType::OrganizationName, group);
    }
    let now = OffsetDateTime::now_utc();
    params.not_before = now - BACKDATED;
    params.not_after = now + VALIDITY;
    Ok(params)
}
