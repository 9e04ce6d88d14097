//! Connections between the machine and the network of a node.
//!
//! A socket belongs to the namespace in which it was made, whichever thread uses it later. So a
//! thread of this process steps inside, for a moment to listen there or for good to connect
//! there, and neither side needs an interface or a route to the other.

use std::{
    fs::File,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    os::fd::AsFd,
    path::Path,
    sync::mpsc,
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::{net::TcpStream, sync::oneshot};

use super::{
    super::error::{Error, Result},
    network::Network,
};

/// Forwarded ports; it ends when dropped.
#[derive(Debug)]
pub(in crate::sandbox) struct Forward {
    /// Dropped to end it.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Forward {
    /// Leads connections to a free port of 127.0.0.1 to the same port inside; the port.
    pub(in crate::sandbox) fn inward(network: &Network) -> Result<(Self, u16)> {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(loopback).map_err(failed(loopback))?;
        let target = listener.local_addr().map_err(failed(loopback))?;
        let link = open(&network.link())?;
        let forward = Self::serve(vec![(listener, target)], move || enter(&link))?;
        Ok((forward, target.port()))
    }

    /// Leads connections to addresses inside to addresses of this machine.
    pub(in crate::sandbox) fn outward(
        network: &Network,
        routes: &[(SocketAddr, SocketAddr)],
    ) -> Result<Self> {
        let link = open(&network.link())?;
        let inside: Vec<SocketAddr> = routes.iter().map(|(listen, _)| *listen).collect();
        // A thread of its own: the namespace of the calling one must not change.
        let listeners = thread::spawn(move || {
            enter(&link).map_err(failed(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))?;
            let bind = |&listen: &SocketAddr| TcpListener::bind(listen).map_err(failed(listen));
            inside.iter().map(bind).collect::<Result<Vec<_>>>()
        })
        .join()
        .unwrap_or(Err(Error::NotStarted("forward")))?;
        let targets = routes.iter().map(|(_, target)| *target);
        Self::serve(listeners.into_iter().zip(targets).collect(), || Ok(()))
    }

    /// Leads connections to free ports of an address of this machine, or of all its addresses
    /// where it is another one's, such as a router's, to these ports of 127.0.0.1.
    pub(in crate::sandbox) fn outside<const N: usize>(
        address: IpAddr,
        targets: [u16; N],
    ) -> Result<(Self, [u16; N])> {
        let any: IpAddr = match address {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let (mut routes, mut ports) = (Vec::new(), targets);
        for (port, target) in ports.iter_mut().zip(targets) {
            let listen = SocketAddr::new(address, 0);
            let listener = TcpListener::bind(listen)
                .or_else(|_| TcpListener::bind(SocketAddr::new(any, 0)))
                .map_err(failed(listen))?;
            *port = listener.local_addr().map_err(failed(listen))?.port();
            routes.push((listener, SocketAddr::from((Ipv4Addr::LOCALHOST, target))));
        }
        Ok((Self::serve(routes, || Ok(()))?, ports))
    }

    fn serve(
        routes: Vec<(TcpListener, SocketAddr)>,
        prepare: impl FnOnce() -> std::io::Result<()> + Send + 'static,
    ) -> Result<Self> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        for (listener, target) in &routes {
            listener.set_nonblocking(true).map_err(failed(*target))?;
        }
        let (stop, stopped) = oneshot::channel::<()>();
        let (started, outcome) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("forward".to_owned())
            .spawn(move || {
                let runtime = prepare().and_then(|()| {
                    tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                });
                let runtime = match runtime {
                    Ok(runtime) => {
                        let _ = started.send(Ok(()));
                        runtime
                    }
                    Err(error) => {
                        let _ = started.send(Err(error));
                        return;
                    }
                };
                runtime.block_on(async {
                    for (listener, target) in routes {
                        tokio::spawn(accept(listener, target));
                    }
                    let _ = stopped.await;
                });
            })
            .map_err(failed(any))?;
        outcome
            .recv()
            .unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into()))
            .map_err(failed(any))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, target: SocketAddr) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    loop {
        let Ok((mut near, _)) = listener.accept().await else {
            continue;
        };
        tokio::spawn(async move {
            // A target that is not there: the client sees its connection closed.
            let Ok(mut far) = TcpStream::connect(target).await else {
                return;
            };
            for stream in [&near, &far] {
                let _ = stream.set_nodelay(true);
            }
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        });
    }
}

fn open(link: &Path) -> Result<File> {
    File::open(link).map_err(Error::file("open", link))
}

/// Moves the calling thread into a network namespace.
fn enter(link: &File) -> std::io::Result<()> {
    Ok(move_into_link_name_space(
        link.as_fd(),
        Some(LinkNameSpaceType::Network),
    )?)
}

fn failed(address: SocketAddr) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Run {
        program: format!("a forward for {address}"),
        source,
    }
}
