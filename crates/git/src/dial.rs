//! Connections for ssh: direct, through the `CONNECT` of an HTTP proxy, which may itself be spoken to
//! over TLS, or through SOCKS5.
//!
//! Not for http(s) remotes: their client brings its own proxy support.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, crypto};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::GitError;
use crate::remote::{Proxy, ProxyScheme};

/// What ssh is spoken over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Connects to a host, through the proxy if there is one.
pub(crate) async fn dial(
    host: &str,
    port: u16,
    proxy: Option<&Proxy>,
) -> Result<Box<dyn Stream>, GitError> {
    let Some(proxy) = proxy else {
        return Ok(Box::new(tcp(host, port).await?));
    };
    let stream = tcp(&proxy.host, proxy.port).await?;
    let refused = |error: io::Error| GitError::Proxy {
        proxy: proxy.address(),
        address: format!("{host}:{port}"),
        problem: error.to_string(),
    };
    let mut stream: Box<dyn Stream> = match proxy.scheme {
        ProxyScheme::Https => Box::new(encrypted(stream, proxy).await.map_err(refused)?),
        ProxyScheme::Http | ProxyScheme::Socks5 => Box::new(stream),
    };
    let done = match proxy.scheme {
        ProxyScheme::Http | ProxyScheme::Https => connect(&mut stream, host, port, proxy).await,
        ProxyScheme::Socks5 => socks5(&mut stream, host, port, proxy).await,
    };
    done.map(|()| stream).map_err(refused)
}

/// TLS to the proxy, which the system's authorities or that of its Secret must vouch for.
async fn encrypted(stream: TcpStream, proxy: &Proxy) -> io::Result<impl Stream + use<>> {
    let own = CertificateDer::pem_slice_iter(proxy.ca.as_deref().unwrap_or_default());
    let own: Result<Vec<_>, _> = own.collect();
    let own = own.map_err(|_| io::Error::other("'ca.crt' of its Secret is not PEM"))?;
    let provider = Arc::new(crypto::ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(own, provider.clone());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier.map_err(io::Error::other)?))
        .with_no_client_auth();
    let name = ServerName::try_from(proxy.host.clone()).map_err(io::Error::other)?;
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream, GitError> {
    let addresses: Vec<_> = match tokio::net::lookup_host((host, port)).await {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            return Err(GitError::Dns {
                host: host.to_owned(),
                problem: error.to_string(),
            });
        }
    };
    let mut problem = "it has no address".to_owned();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Requests and answers are small and alternate: never wait to fill a segment.
                stream.set_nodelay(true).ok();
                return Ok(stream);
            }
            Err(error) => problem = plain(&error),
        }
    }
    Err(GitError::Connect {
        address: format!("{host}:{port}"),
        problem,
    })
}

/// An I/O error in words, without "(os error 111)".
pub(crate) fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::TimedOut => "connection timed out".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        io::ErrorKind::UnexpectedEof => "connection closed".to_owned(),
        _ => error.to_string(),
    }
}

/// RFC 9110, 9.3.6.
async fn connect(stream: &mut impl Stream, host: &str, port: u16, proxy: &Proxy) -> io::Result<()> {
    let target = if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some((user, password)) = &proxy.credentials {
        let token = STANDARD.encode(format!("{user}:{}", password.as_str()));
        request.push_str(&format!("Proxy-Authorization: Basic {token}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    // One byte at a time: what follows the empty line already belongs to the SSH server.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > 16 * 1024 {
            return Err(io::Error::other("its answer is not HTTP"));
        }
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    let status = head.lines().next().unwrap_or_default();
    match status.split(' ').nth(1) {
        Some(code) if code.starts_with('2') => Ok(()),
        _ => Err(io::Error::other(format!(
            "it answers '{}'",
            crate::said::tidy(status)
        ))),
    }
}

/// RFC 1928 and 1929.
async fn socks5(stream: &mut impl Stream, host: &str, port: u16, proxy: &Proxy) -> io::Result<()> {
    let methods: &[u8] = if proxy.credentials.is_some() {
        &[5, 2, 0, 2]
    } else {
        &[5, 1, 0]
    };
    stream.write_all(methods).await?;
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen).await?;
    match (chosen, &proxy.credentials) {
        ([5, 0], _) => {}
        ([5, 2], Some((user, password))) => {
            let mut login = vec![1];
            for part in [user.as_bytes(), password.as_bytes()] {
                let length = u8::try_from(part.len()).map_err(|_| {
                    io::Error::other("user name or password is longer than 255 bytes")
                })?;
                login.push(length);
                login.extend_from_slice(part);
            }
            stream.write_all(&login).await?;
            let mut answer = [0; 2];
            stream.read_exact(&mut answer).await?;
            if answer != [1, 0] {
                return Err(io::Error::other("it refuses user name and password"));
            }
        }
        ([5, _], _) => return Err(io::Error::other("it wants another way of authentication")),
        _ => return Err(io::Error::other("it does not speak SOCKS5")),
    }
    let mut request = vec![5, 1, 0];
    match host.parse() {
        Ok(IpAddr::V4(address)) => {
            request.push(1);
            request.extend_from_slice(&address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            request.push(4);
            request.extend_from_slice(&address.octets());
        }
        Err(_) => {
            let length =
                u8::try_from(host.len()).map_err(|_| io::Error::other("host name too long"))?;
            request.extend_from_slice(&[3, length]);
            request.extend_from_slice(host.as_bytes());
        }
    }
    request.extend_from_slice(&port.to_be_bytes());
    stream.write_all(&request).await?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    let problem = match answer[1] {
        0 => None,
        2 => Some("not allowed by its rules"),
        3 => Some("network unreachable"),
        4 => Some("host unreachable"),
        5 => Some("connection refused"),
        6 => Some("time to live expired"),
        _ => Some("general failure"),
    };
    if let Some(problem) = problem {
        return Err(io::Error::other(problem));
    }
    let address = match answer[3] {
        1 => 4,
        4 => 16,
        _ => usize::from(stream.read_u8().await?),
    };
    stream.read_exact(&mut vec![0; address + 2]).await?;
    Ok(())
}
