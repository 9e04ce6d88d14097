//! `git http-backend` behind a minimal HTTP server, with or without TLS.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Login that the server wants.
pub(crate) const LOGIN: (&str, &str) = ("git", "s3cret");

pub(crate) struct Httpd {
    pub(crate) port: u16,
    /// PEM, with TLS.
    pub(crate) ca: Option<String>,
    /// Request lines in order.
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Httpd {
    /// Serves a repository as `/org/app.git`, and to everybody as `/open.git`; `/moved.git` redirects
    /// to the former, `/away.git` to the latter of the server at the port that comes before it, under
    /// another name of the host.
    pub(crate) async fn start(bare: PathBuf, tls: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (acceptor, ca) = if tls { certificate() } else { (None, None) };
        let log = requests.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, bare, log) = (acceptor.clone(), bare.clone(), log.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, &bare, &log).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, &bare, &log).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            port,
            ca,
            requests,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.ca.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}/org/app.git", self.port)
    }

    /// Request lines since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }
}

impl Drop for Httpd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn certificate() -> (Option<TlsAcceptor>, Option<String>) {
    let made =
        rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])
            .unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (
        Some(TlsAcceptor::from(Arc::new(config))),
        Some(made.cert.pem()),
    )
}

/// One request per connection.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    bare: &Path,
    log: &Mutex<Vec<String>>,
) {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).await.unwrap();
    let mut words = first.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return;
    };
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    log.lock().unwrap().push(format!("{method} {target}"));
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    stream.read_exact(&mut body).await.unwrap();
    let answer = answer(method, target, &header, &body, bare).await;
    stream.get_mut().write_all(&answer).await.ok();
    stream.get_mut().shutdown().await.ok();
}

async fn answer(
    method: &str,
    target: &str,
    header: &(dyn Fn(&str) -> String + Sync),
    body: &[u8],
    bare: &Path,
) -> Vec<u8> {
    use base64::Engine as _;
    let plain = |status: &str, more: &str, text: &str| {
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        )
        .into_bytes()
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if let Some(rest) = path.strip_prefix("/moved.git") {
        let to = format!("Location: /org/app.git{rest}?{query}\r\n");
        return plain("301 Moved Permanently", &to, "");
    }
    if let Some((port, rest)) = path[1..].split_once("/away.git") {
        let (scheme, port) = port.split_once('/').unwrap();
        let to = format!("Location: {scheme}://localhost:{port}/open.git{rest}?{query}\r\n");
        return plain("302 Found", &to, "");
    }
    let open = path.strip_prefix("/open.git");
    let login =
        base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", LOGIN.0, LOGIN.1));
    if open.is_none() && header("authorization") != format!("Basic {login}") {
        return plain("401 Unauthorized", "", "who are you?\n");
    }
    let Some(rest) = open.or_else(|| path.strip_prefix("/org/app.git")) else {
        return plain("404 Not Found", "", "Repository not found.\n");
    };
    let mut cgi = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", bare.parent().unwrap())
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", format!("/bare{rest}"))
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", method)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_GIT_PROTOCOL", header("git-protocol"))
        .env("REMOTE_USER", LOGIN.0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = cgi.stdin.take().unwrap();
    let body = body.to_vec();
    tokio::spawn(async move { input.write_all(&body).await.ok() });
    let output = cgi.wait_with_output().await.unwrap().stdout;
    let split = output.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let (head, rest) = output.split_at(split);
    let head = String::from_utf8_lossy(head);
    let status = head
        .lines()
        .find_map(|l| l.strip_prefix("Status: "))
        .unwrap_or("200 OK");
    let mut answer = format!("HTTP/1.1 {status}\r\n");
    for line in head.lines().filter(|l| !l.starts_with("Status: ")) {
        answer.push_str(&format!("{line}\r\n"));
    }
    answer.push_str(&format!(
        "Content-Length: {}\r\nConnection: close\r\n",
        rest.len() - 4
    ));
    [answer.as_bytes(), &rest[2..]].concat()
}
