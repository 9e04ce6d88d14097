//! A registry that answers as a test tells it to and writes down what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, Response, StatusCode, header};
use axum::serve::Listener;
use flux_registry::{Client, ClientOptions, Credentials, Reference};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What a handler sees of a request.
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: String,
    /// How often this target was asked before.
    pub(crate) before: usize,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Plain HTTP on a free port of 127.0.0.1.
    pub(crate) async fn start(handler: impl Handler) -> Self {
        Self::start_at("127.0.0.1", handler).await
    }

    /// The same on another address of this machine.
    pub(crate) async fn start_at(host: &str, handler: impl Handler) -> Self {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        Self::serve(listener, address, handler)
    }

    /// The same over TLS.
    pub(crate) async fn start_tls(config: rustls::ServerConfig, handler: impl Handler) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::serve(TlsListener { tcp, acceptor }, address, handler)
    }

    fn serve<L: Listener<Addr = SocketAddr>>(
        listener: L,
        address: SocketAddr,
        handler: impl Handler,
    ) -> Self {
        crate::install_crypto_provider();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let (seen, handler) = (Arc::clone(&log), Arc::new(handler));
        let router = Router::new().fallback(move |request: Request| {
            let (seen, handler) = (Arc::clone(&seen), Arc::clone(&handler));
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                let target = parts.uri.to_string();
                let line = format!("{} {target}", parts.method);
                let before = {
                    let mut seen = seen.lock().unwrap();
                    let before = seen.iter().filter(|earlier| **earlier == line).count();
                    seen.push(line);
                    before
                };
                let authorization = parts.headers.get(header::AUTHORIZATION);
                handler(Asked {
                    method: parts.method,
                    target,
                    authorization: authorization.map(|value| value.to_str().unwrap().to_owned()),
                    body: String::from_utf8(body.to_vec()).unwrap(),
                    before,
                })
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, log }
    }

    /// Requests so far, as `METHOD target`, in order.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// How many requests begin with a text.
    pub(crate) fn count(&self, start: &str) -> usize {
        self.log()
            .iter()
            .filter(|line| line.starts_with(start))
            .count()
    }

    /// A repository on this server.
    pub(crate) fn image(&self, repository: &str) -> Reference {
        Reference::parse(&format!("{}/{repository}", self.address)).unwrap()
    }

    /// A login for this server.
    pub(crate) fn login(&self, username: &str, password: &str) -> Credentials {
        Credentials::basic(&self.address.to_string(), username, password)
    }
}

/// A test's registry.
pub(crate) trait Handler: Fn(Asked) -> Response<Body> + Send + Sync + 'static {}
impl<F: Fn(Asked) -> Response<Body> + Send + Sync + 'static> Handler for F {}

pub(crate) fn client(credentials: Credentials) -> Client {
    client_with(ClientOptions {
        credentials,
        ..options()
    })
}

pub(crate) fn client_with(options: ClientOptions) -> Client {
    crate::install_crypto_provider();
    Client::new(options).unwrap()
}

pub(crate) fn options() -> ClientOptions {
    ClientOptions {
        timeout: Duration::from_secs(10),
        ..ClientOptions::default()
    }
}

pub(crate) fn status(code: u16) -> Response<Body> {
    with_headers(code, &[], "")
}

pub(crate) fn json(text: &str) -> Response<Body> {
    with_headers(200, &[("content-type", "application/json")], text)
}

pub(crate) fn with_headers(code: u16, headers: &[(&str, &str)], body: &str) -> Response<Body> {
    let mut response = Response::builder().status(StatusCode::from_u16(code).unwrap());
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Body::from(body.to_owned())).unwrap()
}

struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.tcp.accept().await.unwrap();
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
