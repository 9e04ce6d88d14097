//! An API server that says what a test makes it say.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::Arc;

use serde_json::{Value, json};

/// What the program asks for.
pub(super) struct Request {
    /// `GET`, `PATCH`, ...
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    /// What follows the path, if anything.
    pub(super) query: String,
    /// What was sent.
    pub(super) body: Value,
}

/// What the server says.
pub(super) struct Answer {
    status: u16,
    body: String,
    /// Whether the connection ends before the body does.
    is_cut: bool,
}

/// An answer with an object.
pub(super) fn ok(value: &Value) -> Answer {
    plain(&value.to_string())
}

/// An answer with a text.
pub(super) fn plain(text: &str) -> Answer {
    Answer {
        status: 200,
        body: text.to_owned(),
        is_cut: false,
    }
}

/// The beginning of an answer.
pub(super) fn cut(text: &str) -> Answer {
    Answer {
        is_cut: true,
        ..plain(text)
    }
}

/// A refusal, about the object of a name or about none.
pub(super) fn refusal(code: u16, message: &str, name: Option<&str>) -> Answer {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code,
        "reason": if code == 403 { "Forbidden" } else { "NotFound" }, "message": message,
        "details": {"name": name.unwrap_or_default()},
    });
    Answer {
        status: code,
        ..ok(&status)
    }
}

/// The objects of a kind.
pub(super) fn list(items: &[Value]) -> Answer {
    ok(
        &json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items}),
    )
}

/// Runs the program against a server that answers every request with `answer`.
pub(super) fn run(
    args: &[&str],
    answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("--server=http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || serve(&stream, &*answer));
        }
    });
    Command::new(env!("CARGO_BIN_EXE_kubectl-flux"))
        .args(args)
        .arg(server)
        .env_remove("FLUX_SYSTEM_NAMESPACE")
        .env_remove("FLUX_NS_FOLLOWS_KUBE_CONTEXT")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env_remove("GITHUB_TOKEN")
        .env("HOME", "/nonexistent")
        .env("KUBECONFIG", "/nonexistent/config")
        .output()
        .unwrap()
}

/// One request per connection. A peer that went away ends it.
fn serve(mut stream: &TcpStream, answer: &dyn Fn(&Request) -> Answer) {
    let Some(request) = read(stream) else { return };
    let Answer {
        status,
        body,
        is_cut,
    } = answer(&request);
    let _ = write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len() + usize::from(is_cut)
    );
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    })
}
