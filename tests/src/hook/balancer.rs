//! What a Service is to pods: one address, and connections to whatever is behind it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Passes connections on to backends, one after the other; one that refuses is passed over.
#[derive(Debug)]
pub struct Balancer {
    address: SocketAddr,
    backends: Arc<Mutex<Vec<SocketAddr>>>,
    task: JoinHandle<()>,
}

impl Balancer {
    /// Listens on a free port of this machine.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let backends: Arc<Mutex<Vec<SocketAddr>>> = Arc::default();
        let task = tokio::spawn(accept(listener, backends.clone()));
        Ok(Self {
            address,
            backends,
            task,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends new connections there, too.
    pub fn add(&self, backend: SocketAddr) {
        lock(&self.backends).push(backend);
    }

    /// Sends no new connections there.
    pub fn remove(&self, backend: SocketAddr) {
        lock(&self.backends).retain(|other| *other != backend);
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, backends: Arc<Mutex<Vec<SocketAddr>>>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let backends = backends.clone();
        tokio::spawn(async move {
            let candidates = {
                let mut backends = lock(&backends);
                if !backends.is_empty() {
                    backends.rotate_left(1);
                }
                backends.clone()
            };
            for backend in candidates {
                if let Ok(mut server) = TcpStream::connect(backend).await {
                    // As packets would be: nobody waits to fill a larger one.
                    let _ = (client.set_nodelay(true), server.set_nodelay(true));
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                    return;
                }
            }
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
