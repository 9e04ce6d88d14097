//! A proxy that speaks HTTP `CONNECT`, over TLS if it has a certificate, and SOCKS5, with the login
//! `u`/`p`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub(crate) struct Proxy {
    pub(crate) port: u16,
    /// Connections that were let through.
    pub(crate) passed: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let passed = Arc::new(AtomicUsize::new(0));
        let count = passed.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (count, tls) = (count.clone(), tls.clone());
                tokio::spawn(async move {
                    if let Some(tls) = tls {
                        let Ok(mut near) = tls.accept(stream).await else {
                            return;
                        };
                        if let Some(mut far) = connect(&mut near).await {
                            count.fetch_add(1, Ordering::SeqCst);
                            copy_bidirectional(&mut near, &mut far).await.ok();
                        }
                    } else if let Some((mut near, mut far)) = handshake(stream).await {
                        count.fetch_add(1, Ordering::SeqCst);
                        copy_bidirectional(&mut near, &mut far).await.ok();
                    }
                });
            }
        });
        Self { port, passed }
    }
}

async fn handshake(mut near: TcpStream) -> Option<(TcpStream, TcpStream)> {
    let mut first = [0];
    near.peek(&mut first).await.ok()?;
    if first[0] == 5 {
        socks5(near).await
    } else {
        connect(&mut near).await.map(|far| (near, far))
    }
}

async fn connect<S: AsyncRead + AsyncWrite + Unpin>(near: &mut S) -> Option<TcpStream> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(near.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let target = head.split(' ').nth(1)?.to_owned();
    if !head
        .to_ascii_lowercase()
        .contains("proxy-authorization: basic dtpw")
    {
        near.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            .await
            .ok()?;
        return None;
    }
    let far = TcpStream::connect(target).await.ok()?;
    near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
    Some(far)
}

async fn socks5(mut near: TcpStream) -> Option<(TcpStream, TcpStream)> {
    let mut head = [0; 2];
    near.read_exact(&mut head).await.ok()?;
    let mut methods = vec![0; usize::from(head[1])];
    near.read_exact(&mut methods).await.ok()?;
    if !methods.contains(&2) {
        near.write_all(&[5, 255]).await.ok()?;
        return None;
    }
    near.write_all(&[5, 2]).await.ok()?;
    let mut login = [0; 5];
    near.read_exact(&mut login).await.ok()?;
    if &login != b"\x01\x01u\x01p" {
        near.write_all(&[1, 1]).await.ok()?;
        return None;
    }
    near.write_all(&[1, 0]).await.ok()?;
    let mut request = [0; 4];
    near.read_exact(&mut request).await.ok()?;
    let length = if request[3] == 1 {
        4
    } else {
        near.read_u8().await.ok()?
    };
    let mut name = vec![0; usize::from(length)];
    near.read_exact(&mut name).await.ok()?;
    if request[3] == 1 {
        name = format!("{}.{}.{}.{}", name[0], name[1], name[2], name[3]).into_bytes();
    }
    let port = near.read_u16().await.ok()?;
    let far = TcpStream::connect((String::from_utf8(name).ok()?, port))
        .await
        .ok()?;
    near.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.ok()?;
    Some((near, far))
}
