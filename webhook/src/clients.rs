//! Who may ask: API servers that show a client certificate, where the administrator gave them one
//! (`--admission-control-config-file` of the API server).
//!
//! Health and metrics stay open to everybody: the kubelet has no certificate.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use crate::certificates::provider;

/// Why nobody could be recognized.
#[derive(Debug, thiserror::Error)]
pub enum ClientsError {
    /// The file cannot be read, or holds no certificate.
    #[error("cannot read certificates from {file}: {reason}; --client-ca-file wants PEM")]
    File {
        /// The file
        file: String,
        /// What is wrong with it
        reason: String,
    },
    /// rustls does not take the authorities.
    #[error("cannot verify clients with these authorities: {0}")]
    Authorities(String),
}

/// The clients that reviews are answered for.
#[derive(Clone, Debug)]
pub struct Clients {
    verifier: Arc<dyn ClientCertVerifier>,
    names: Arc<[String]>,
}

impl Clients {
    /// Those with a certificate of an authority in this file and one of these common names; of any
    /// name if there are none.
    ///
    /// # Errors
    /// [`ClientsError`].
    pub fn read(file: &Path, names: &[String]) -> Result<Self, ClientsError> {
        let wrong = |reason: String| ClientsError::File {
            file: file.display().to_string(),
            reason,
        };
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(file);
        for certificate in certificates.map_err(|error| wrong(error.to_string()))? {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| wrong(error.to_string()))?;
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider()))
                .allow_unauthenticated()
                .build()
                .map_err(|error| ClientsError::Authorities(error.to_string()))?;
        Ok(Self {
            verifier,
            names: names.into(),
        })
    }

    /// What checks certificates during the handshake.
    pub(crate) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.verifier)
    }

    /// Whether the certificates of a connection, which were verified, are those of a client that is
    /// answered.
    #[must_use]
    pub fn knows(&self, certificates: &[CertificateDer<'_>]) -> bool {
        let Some(own) = certificates.first() else {
            return false;
        };
        if self.names.is_empty() {
            return true;
        }
        let Ok((_, own)) = x509_parser::parse_x509_certificate(own) else {
            return false;
        };
        own.subject()
            .iter_common_name()
            .filter_map(|name| name.as_str().ok())
            .any(|name| self.names.iter().any(|known| known == name))
    }
}
