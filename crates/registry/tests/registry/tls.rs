//! Certificates: the registry's and our own.

use std::sync::Arc;

use flux_registry::{Client, ClientOptions, RegistryError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use rustls::server::WebPkiClientVerifier;

use crate::server::{Asked, Server, client_with, json, options};

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    /// Certificate and key for a name, both PEM.
    fn issue(&self, name: &str) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("leaf {name}"));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn pem(&self) -> Vec<u8> {
        self.issuer.pem().into_bytes()
    }
}

async fn registry(authority: &Authority, name: &str, clients: Option<&Authority>) -> Server {
    crate::install_crypto_provider();
    let (certificate, key) = authority.issue(name);
    let chain =
        vec![rustls::pki_types::CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let builder = match clients {
        None => rustls::ServerConfig::builder().with_no_client_auth(),
        Some(clients) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(clients.issuer.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
                .build()
                .unwrap();
            rustls::ServerConfig::builder().with_client_cert_verifier(verifier)
        }
    };
    let config = builder.with_single_cert(chain, key).unwrap();
    Server::start_tls(config, |_: Asked| json(r#"{"tags": ["1"]}"#)).await
}

#[tokio::test]
async fn a_private_authority_must_be_named() {
    let authority = Authority::new("private authority");
    let server = registry(&authority, "127.0.0.1", None).await;
    let image = server.image("a/b");
    let trusting = client_with(ClientOptions {
        ca: Some(authority.pem()),
        ..options()
    });
    assert_eq!(trusting.tags(&image).await.unwrap(), ["1"]);
    for insecure in [false, true] {
        let error = client_with(ClientOptions {
            insecure,
            ..options()
        })
        .tags(&image)
        .await
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the TLS certificate of registry {} was refused for a/b: it is signed by an \
                 unknown authority. Put that authority's certificate under ca.crt into a Secret \
                 and name it in spec.certSecretRef",
                server.address
            )
        );
    }
    assert!(
        server.log().iter().all(|line| !line.contains("/v2/ ")),
        "no clear text follows"
    );
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new("private authority");
    let server = registry(&authority, "registry.example", None).await;
    let client = client_with(ClientOptions {
        ca: Some(authority.pem()),
        ..options()
    });
    let error = client.tags(&server.image("a/b")).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("Use a host name that the certificate is valid for"),
        "{error}"
    );
}

#[tokio::test]
async fn client_certificates_are_shown() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let server = registry(&servers, "127.0.0.1", Some(&clients)).await;
    let image = server.image("a/b");
    let (certificate, key) = clients.issue("operator");
    let ca = Some(servers.pem());
    let client_cert = Some((certificate.into_bytes(), key.into_bytes()));
    let known = client_with(ClientOptions {
        ca: ca.clone(),
        client_cert,
        ..options()
    });
    assert_eq!(known.tags(&image).await.unwrap(), ["1"]);
    let unknown = client_with(ClientOptions { ca, ..options() });
    assert!(unknown.tags(&image).await.is_err());
}

#[tokio::test]
async fn plain_http_needs_leave() {
    // Not a name that is taken for local, as 127.0.0.1 is.
    let server = Server::start_at("127.0.0.2", |_: Asked| json(r#"{"tags": ["1"]}"#)).await;
    let image = server.image("a/b");
    let error = client_with(options()).tags(&image).await.unwrap_err();
    assert!(matches!(error, RegistryError::PlainHttp { .. }), "{error}");
    assert!(server.log().is_empty());
    let client = client_with(ClientOptions {
        insecure: true,
        ..options()
    });
    assert_eq!(client.tags(&image).await.unwrap(), ["1"]);
}

#[test]
fn unusable_certificates_are_told_apart() {
    crate::install_crypto_provider();
    for (options, text) in [
        (
            ClientOptions {
                ca: Some(b"nonsense".to_vec()),
                ..options()
            },
            "ca.crt holds no certificate",
        ),
        (
            ClientOptions {
                client_cert: Some((b"x".to_vec(), b"hunter2".to_vec())),
                ..options()
            },
            "tls.crt or tls.key is not PEM",
        ),
    ] {
        let error = Client::new(options).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        assert!(!error.to_string().contains("hunter2"));
        assert_eq!(error.reason(), "AuthenticationFailed");
    }
}
