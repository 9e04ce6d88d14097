//! A TLS listener for axum's server.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::serve::Listener;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    error::{Error, Result},
    pki::Certificate,
};

/// A client that has not finished its handshake by then is dropped.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How many connections wait between handshake and service.
const BACKLOG: usize = 64;

/// Accepts TLS connections. Handshakes run beside each other, so that a slow client holds up
/// nobody.
#[derive(Debug)]
pub(crate) struct TlsListener {
    connections: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsListener {
    /// Must be called inside the runtime that serves.
    pub(crate) fn new(listener: TcpListener, certificate: &Certificate) -> Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(config(certificate)?));
        let address = listener.local_addr().map_err(|source| Error::Run {
            program: "a TLS listener".to_owned(),
            source,
        })?;
        let (ready, connections) = mpsc::channel(BACKLOG);
        tokio::spawn(async move {
            while !ready.is_closed() {
                let Ok((stream, peer)) = listener.accept().await else {
                    continue;
                };
                // Small answers must not wait for the acknowledgement of the ones before.
                let _ = stream.set_nodelay(true);
                let (acceptor, ready) = (acceptor.clone(), ready.clone());
                tokio::spawn(async move {
                    let handshake = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream));
                    if let Ok(Ok(stream)) = handshake.await {
                        let _ = ready.send((stream, peer)).await;
                    }
                });
            }
        });
        Ok(Self {
            connections,
            address,
        })
    }
}

fn config(certificate: &Certificate) -> Result<ServerConfig> {
    let unusable = |error| rustls::Error::General(format!("unusable PEM: {error}"));
    let chain = CertificateDer::from_pem_slice(certificate.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![chain.map_err(unusable)?], key.map_err(unusable)?)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.connections.recv().await {
            Some(connection) => connection,
            // The accepting task ends only with the runtime.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}
