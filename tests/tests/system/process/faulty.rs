//! A Git server that can be well or as bad as they come: in front of the sandbox's own, over plain
//! HTTP, so that what is broken is the server and not the encryption.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use flux_tests::env::Env;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// Nobody listens.
    Down,
    /// It accepts connections and says nothing.
    Slow,
    /// It closes the connection in the middle of a pack.
    Cut,
    /// Its answers are of the right type, and nonsense.
    Garbage,
    /// It answers with a page for people.
    Page,
    /// It says nothing to a push, of which it takes nothing.
    PushLost,
    /// It takes a push and then says nothing.
    AnswerLost,
}

/// The running server; it ends with its runtime.
pub(super) struct Faulty {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
}

#[derive(Clone)]
struct Behind {
    client: reqwest::Client,
    prefix: String,
    fault: watch::Receiver<Fault>,
}

impl Faulty {
    /// Starts one with a fault.
    pub(super) async fn start(env: &Env, fault: Fault) -> Self {
        let (sender, fault) = watch::channel(fault);
        let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true);
        let behind = Behind {
            client: client.build().unwrap(),
            prefix: env.git().unwrap().https_prefix(),
            fault: fault.clone(),
        };
        let inner = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let server = inner.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(behind);
        tokio::spawn(async move { axum::serve(inner, router).await });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(listen(listener, address, server, fault));
        Self {
            address,
            fault: sender,
        }
    }

    /// What is wrong from now on. Connections from before end.
    pub(super) fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// Where clients find a repository.
    pub(super) fn url(&self, repository: &str) -> String {
        format!("http://{}/{repository}", self.address)
    }

    /// `host:port`.
    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }
}

/// Accepts connections as long as the fault allows it.
async fn listen(
    listener: TcpListener,
    address: SocketAddr,
    server: SocketAddr,
    mut fault: watch::Receiver<Fault>,
) -> Option<Infallible> {
    let mut listener = Some(listener);
    loop {
        if *fault.borrow_and_update() == Fault::Down {
            listener = None;
            fault.changed().await.ok()?;
            continue;
        }
        let open = match listener.take() {
            Some(open) => open,
            None => TcpListener::bind(address).await.ok()?,
        };
        let open = listener.insert(open);
        tokio::select! {
            changed = fault.changed() => changed.ok()?,
            accepted = open.accept() => {
                let (connection, _) = accepted.ok()?;
                tokio::spawn(relay(connection, server, fault.clone()));
            }
        }
    }
}

/// Passes a connection on until the fault changes.
async fn relay(mut client: TcpStream, server: SocketAddr, mut fault: watch::Receiver<Fault>) {
    let is_slow = *fault.borrow_and_update() == Fault::Slow;
    let passed = async {
        if is_slow {
            std::future::pending::<()>().await;
        }
        let mut server = TcpStream::connect(server).await.ok()?;
        tokio::io::copy_bidirectional(&mut client, &mut server)
            .await
            .ok()
    };
    tokio::select! {
        _ = fault.changed() => {}
        _ = passed => {}
    }
}

async fn answer(State(behind): State<Behind>, request: Request) -> Response {
    let fault = *behind.fault.borrow();
    let is_push = request.uri().path().ends_with("/git-receive-pack");
    if is_push && matches!(fault, Fault::PushLost | Fault::AnswerLost) {
        if fault == Fault::AnswerLost {
            pass_on(&behind, request).await.ok();
        }
        return std::future::pending().await;
    }
    match pass_on(&behind, request).await {
        Ok(answer) => spoil(answer, fault).await,
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

async fn pass_on(behind: &Behind, request: Request) -> reqwest::Result<reqwest::Response> {
    let (parts, content) = request.into_parts();
    let content = to_bytes(content, usize::MAX).await.unwrap_or_default();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let url = format!("{}{path}", behind.prefix.trim_end_matches('/'));
    let mut headers = parts.headers;
    headers.remove(header::HOST);
    let passed = behind.client.request(parts.method, url).headers(headers);
    passed.body(content).send().await?.error_for_status()
}

async fn spoil(answer: reqwest::Response, fault: Fault) -> Response {
    let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
    let content = answer.bytes().await.unwrap_or_default();
    let page = "<!DOCTYPE html><title>Sorry\u{1b}[31m</title><h1>We are down for maintenance</h1>";
    let content = match fault {
        Fault::Cut if content.windows(4).any(|word| word == b"PACK") => cut(&content),
        Fault::Garbage => {
            let nonsense = (0..content.len().max(99)).map(|at| (at * 37) as u8);
            Bytes::from_iter(nonsense).into()
        }
        Fault::Page => return ([(header::CONTENT_TYPE, "text/html")], page).into_response(),
        _ => content.into(),
    };
    let mut response = Response::new(content);
    if let Some(kind) = kind {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}

/// Half of it, and then the connection ends without a word.
fn cut(content: &Bytes) -> Body {
    let half = content.slice(..content.len() / 2);
    let parts = [Ok(half), Err(std::io::Error::other("cut"))];
    Body::from_stream(futures::stream::iter(parts))
}
