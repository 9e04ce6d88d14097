//! Git over HTTPS: a small server in this process that runs `git http-backend` as CGI (RFC 3875).
//!
//! It has a thread and a runtime of its own, so that it outlives the test that started it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use axum::{
    Router,
    body::{Body, HttpBody as _, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Response, StatusCode, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use tokio::{io::AsyncWriteExt, net::TcpListener, process::Command, sync::oneshot};

use super::super::{
    error::{Error, Result},
    node::GIT_HOST,
    pki::Authority,
    tls::TlsListener,
};

/// The largest request body: a push of this size is no test any more.
const BODY_LIMIT: usize = 256 << 20;

/// User and password of HTTP basic authentication.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password or token.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// The running server; it ends when dropped.
#[derive(Debug)]
pub(super) struct HttpServer {
    address: SocketAddr,
    backend: Arc<Backend>,
    /// Dropped to end the server.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Backend {
    git: PathBuf,
    root: PathBuf,
    login: Mutex<Option<Login>>,
    transferred: AtomicU64,
}

impl HttpServer {
    pub(super) fn start(authority: &Authority, git: PathBuf, root: PathBuf) -> Result<Self> {
        let failed = |source| Error::Run {
            program: "the Git HTTPS server".to_owned(),
            source,
        };
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let certificate = authority.server("git", &["127.0.0.1", "localhost", GIT_HOST])?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let listener = {
            let _inside = runtime.enter();
            TlsListener::new(
                TcpListener::from_std(listener).map_err(failed)?,
                &certificate,
            )?
        };
        let backend = Arc::new(Backend {
            git,
            root,
            login: Mutex::new(None),
            transferred: AtomicU64::new(0),
        });
        let app = Router::new().fallback(serve).with_state(backend.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new()
            .name("git-https".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        // Its errors are those of single connections; clients see them.
                        _ = axum::serve(listener, app).into_future() => {}
                        _ = stopped => {}
                    }
                });
            })
            .map_err(failed)?;
        Ok(Self {
            address,
            backend,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Bytes of all bodies that were received and sent.
    pub(super) fn transferred(&self) -> u64 {
        self.backend.transferred.load(Ordering::Relaxed)
    }

    pub(super) fn require_login(&self, login: Option<Login>) {
        *self
            .backend
            .login
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = login;
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(State(backend): State<Arc<Backend>>, request: Request) -> Response<Body> {
    let login = backend
        .login
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    if login
        .as_ref()
        .is_some_and(|login| !is_from(request.headers(), login))
    {
        let mut response = text(StatusCode::UNAUTHORIZED, "login required");
        let challenge = header::HeaderValue::from_static("Basic realm=\"sandbox\"");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
        return response;
    }
    match backend.run(request, login.map(|login| login.user)).await {
        Ok(response) => response,
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn is_from(headers: &HeaderMap, login: &Login) -> bool {
    let expected = format!(
        "Basic {}",
        BASE64.encode(format!("{}:{}", login.user, login.password))
    );
    headers
        .get(header::AUTHORIZATION)
        .is_some_and(|value| value.as_bytes() == expected.as_bytes())
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    response
}

impl Backend {
    /// One request through `git http-backend`.
    async fn run(&self, request: Request, user: Option<String>) -> anyhow::Result<Response<Body>> {
        let (head, body) = request.into_parts();
        let body = to_bytes(body, BODY_LIMIT).await?;
        let received = body.len() as u64;
        let variable = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let mut command = Command::new(&self.git);
        command
            .arg("http-backend")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs([("GIT_HTTP_EXPORT_ALL", "1"), ("GIT_CONFIG_NOSYSTEM", "1")])
            .env("HOME", &self.root)
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("PATH_INFO", head.uri.path())
            .env("QUERY_STRING", head.uri.query().unwrap_or_default())
            .env("REQUEST_METHOD", head.method.as_str())
            .env("CONTENT_LENGTH", body.len().to_string())
            .env("CONTENT_TYPE", variable("content-type").unwrap_or_default())
            .env("REMOTE_ADDR", "127.0.0.1");
        for (name, value) in [
            ("HTTP_CONTENT_ENCODING", variable("content-encoding")),
            ("GIT_PROTOCOL", variable("git-protocol")),
            // git takes pushes only from somebody it knows by name.
            ("REMOTE_USER", user.as_deref()),
        ] {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()?;
        let mut stdin = child.stdin.take();
        let feed = async move {
            if let Some(stdin) = &mut stdin {
                // It may answer without reading all.
                let _ = stdin.write_all(&body).await;
            }
            drop(stdin);
        };
        let (output, ()) = tokio::join!(child.wait_with_output(), feed);
        let answer = response(&output?.stdout)?;
        let sent = answer.body().size_hint().lower();
        self.transferred
            .fetch_add(received + sent, Ordering::Relaxed);
        Ok(answer)
    }
}

/// Turns the answer of a CGI program into one of HTTP: header lines, an empty line, the body.
fn response(output: &[u8]) -> Result<Response<Body>, axum::http::Error> {
    let split = output.windows(4).position(|window| window == b"\r\n\r\n");
    let (head, body) = match split {
        Some(at) => (&output[..at], &output[at + 4..]),
        None => (output, &[][..]),
    };
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(head).lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            response = response.status(value.split(' ').next().unwrap_or(value));
        } else {
            response = response.header(name, value);
        }
    }
    response.body(Body::from(body.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translates_cgi_answers() {
        let answer = b"Status: 404 Not Found\r\nExpires: never\r\n\r\nbody\r\n\r\nmore";
        let response = response(answer).unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()["expires"], "never");
        assert_eq!(
            super::response(b"Content-Type: a/b\r\n\r\n")
                .unwrap()
                .status(),
            StatusCode::OK
        );
    }
}
