//! An API server that answers as a test wants, for what a real one does not do on demand.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

/// Gives the answer to the request for a path: code and body.
pub(crate) type Answer = fn(&str) -> (u16, Value);

/// The server, which runs until the test ends, and the kubeconfig that leads to it.
pub(crate) struct Api {
    folder: TempDir,
}

impl Api {
    /// Listens at a free port.
    pub(crate) fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || respond(stream, answer));
            }
        });
        Self::at(&address.to_string())
    }

    /// A kubeconfig for an address, whether anybody listens there or not.
    pub(crate) fn at(address: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        });
        fs::write(folder.path().join("config"), config.to_string()).unwrap();
        Self { folder }
    }

    /// The kubeconfig; its context is `here`.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("config")
    }
}

/// A list as the API server has it.
pub(crate) fn list(items: &[Value]) -> (u16, Value) {
    let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items});
    (200, list)
}

/// A refusal as the API server has it.
pub(crate) fn refusal(code: u16, message: &str) -> (u16, Value) {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "message": message, "code": code,
    });
    (code, status)
}

fn respond(mut stream: TcpStream, answer: Answer) {
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    // The head ends with an empty line; requests that only read have no body.
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let target = request.split(' ').nth(1).unwrap_or_default();
    let (path, _) = target.split_once('?').unwrap_or((target, ""));
    let (code, body) = answer(path);
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {code} -\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    // Who was killed does not read the answer.
    let _ = stream.write_all((head + &body).as_bytes());
}
