//! Waiting for servers: free ports and readiness, by polling with a deadline.

use std::{
    net::{Ipv4Addr, TcpListener},
    time::{Duration, Instant},
};

use super::{
    error::{Error, Result},
    process::Process,
};

/// Time between two looks. Short beside what servers take to start, long beside a look.
const INTERVAL: Duration = Duration::from_millis(25);

/// How often another port is tried when the chosen one was taken meanwhile.
const PORT_ATTEMPTS: usize = 5;

/// Polls `probe` until it succeeds. Its error says what is still missing.
///
/// # Errors
/// [`Error::NotReady`] after `deadline`; [`Error::Ended`] as soon as `process` has ended.
pub async fn until<T>(
    what: &str,
    deadline: Duration,
    process: Option<&Process>,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        // Asked first: a server that ended between the probe and the look gets its say.
        let ended = process.and_then(|process| Some((process, process.exit_status()?)));
        let last = match probe().await {
            Ok(value) => return Ok(value),
            Err(last) => last,
        };
        if let Some((process, status)) = ended {
            let (name, log) = (process.name().to_owned(), process.log().to_owned());
            return Err(Error::Ended {
                name,
                status,
                log,
                tail: process.tail(),
            });
        }
        if start.elapsed() >= deadline {
            let tail = process
                .map(|process| {
                    format!(
                        "\n{} ends with:\n{}",
                        process.log().display(),
                        process.tail()
                    )
                })
                .unwrap_or_default();
            return Err(Error::NotReady {
                what: what.to_owned(),
                waited: deadline,
                last,
                tail,
            });
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// A TCP port on 127.0.0.1 that nothing listens on right now.
pub fn free_port() -> Result<u16> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|source| Error::Run {
            program: "a listener on 127.0.0.1".to_owned(),
            source,
        })
}

/// Starts a server on a free port; on another one when something else was faster to bind it.
pub(crate) async fn on_free_port<T>(mut start: impl AsyncFnMut(u16) -> Result<T>) -> Result<T> {
    let mut attempt = 1;
    loop {
        match start(free_port()?).await {
            Err(error) if error.is_port_taken() && attempt < PORT_ATTEMPTS => attempt += 1,
            other => return other,
        }
    }
}

/// A probe that succeeds when something accepts connections on a port of 127.0.0.1.
pub(crate) async fn accepts(port: u16) -> Result<(), String> {
    match tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("port {port}: {error}")),
    }
}
