//! A relay before an HTTP server that counts bytes and does to answers what bad networks do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What happens to answers that are longer than the given number of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    None,
    /// They end there.
    Cut(usize),
    /// From there on they are noise.
    Noise(usize),
    /// So many bytes of the pack are others, there or just after; what follows is right.
    Flip(usize, usize),
}

pub(crate) struct Relay {
    pub(crate) port: u16,
    fault: Arc<Mutex<Fault>>,
    bytes: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Relay {
    /// Listens for clients of a server that closes the connection after each answer.
    pub(crate) async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let fault = Arc::new(Mutex::new(Fault::None));
        let bytes = Arc::new(AtomicUsize::new(0));
        let (now, count) = (fault.clone(), bytes.clone());
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (fault, count) = (*now.lock().unwrap(), count.clone());
                tokio::spawn(async move { serve(client, server, fault, &count).await });
            }
        });
        Self {
            port,
            fault,
            bytes,
            task,
        }
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// Bytes in both directions since the last call.
    pub(crate) fn take(&self) -> usize {
        self.bytes.swap(0, Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(client: TcpStream, server: u16, fault: Fault, count: &AtomicUsize) {
    let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = async {
        let mut buffer = vec![0; 8192];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            count.fetch_add(length, Ordering::SeqCst);
            if to_server.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let answers = async {
        let mut answer = Vec::new();
        from_server.read_to_end(&mut answer).await.ok();
        match fault {
            Fault::Cut(at) => answer.truncate(at),
            Fault::Noise(at) => {
                for (index, byte) in answer.iter_mut().enumerate().skip(at) {
                    *byte = byte.wrapping_mul(31).wrapping_add(index as u8);
                }
            }
            Fault::Flip(at, length) => {
                // The server tells of its progress in between, in ASCII; that bears anything.
                let data = answer.iter().skip(at).position(|byte| !byte.is_ascii());
                let at = at + data.unwrap_or_default();
                for byte in answer.iter_mut().skip(at).take(length) {
                    *byte = !*byte;
                }
            }
            Fault::None => {}
        }
        count.fetch_add(answer.len(), Ordering::SeqCst);
        to_client.write_all(&answer).await.ok();
    };
    tokio::select! {
        () = requests => {}
        () = answers => {}
    }
}
