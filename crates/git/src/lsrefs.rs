//! Listing refs of a remote: one question with prefixes in protocol version 2, or the whole list
//! of an older server. libgit2 itself only speaks the older protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::GitError;
use crate::http;
use crate::link::Link;
use crate::listing::{self, Listing, Reader, Step};
use crate::pktline::Packet;
use crate::remote::Remote;
use crate::said::{self, Purpose};
use crate::session;
use crate::ssh::{self, Channel, Pool};
use crate::wire::{Source, Wire};

/// The program or service that lists refs.
pub(crate) const UPLOAD_PACK: &str = "git-upload-pack";

/// Lists the refs with one of the prefixes; all of them if there are none.
///
/// `speaks_v2` remembers that the server knows version 2, which saves one of two requests over HTTP.
pub(crate) async fn list(
    remote: &Remote,
    link: &Link,
    speaks_v2: &AtomicBool,
    prefixes: &[String],
) -> Result<Listing, GitError> {
    let listing = async {
        match link {
            Link::Http(client) => over_http(remote, client, speaks_v2, prefixes).await,
            Link::Ssh(pool) => over_ssh(remote, pool, prefixes).await,
        }
    };
    tokio::time::timeout(remote.timeout, listing)
        .await
        .unwrap_or_else(|_| Err(session::unfinished(remote)))
}

async fn over_ssh(
    remote: &Remote,
    pool: &Arc<Pool>,
    prefixes: &[String],
) -> Result<Listing, GitError> {
    let channel = ssh::run(remote, pool, UPLOAD_PACK, true).await?;
    let mut wire = Wire::new(remote, Purpose::Read, Source::Ssh(channel));
    let mut reader = Reader::new(prefixes);
    let result = exchange(remote, &mut wire, &mut reader, prefixes).await;
    if let Err(error) = result {
        let said = wire.channel().map(Channel::take_stderr).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        return Err(said::meaning(remote, Purpose::Read, &said).unwrap_or(error));
    }
    wire.leave().await;
    Ok(reader.into_listing())
}

async fn exchange(
    remote: &Remote,
    wire: &mut Wire<'_>,
    reader: &mut Reader,
    prefixes: &[String],
) -> Result<(), GitError> {
    if read(wire, |packet| reader.greeting(packet)).await? == Step::Ask {
        reader.check_format(remote)?;
        if let Some(channel) = wire.channel() {
            channel.send(listing::request(prefixes).into()).await?;
        }
        read(wire, |packet| reader.answer(packet)).await?;
    }
    reader.check_format(remote)
}

async fn over_http(
    remote: &Remote,
    client: &reqwest::Client,
    speaks_v2: &AtomicBool,
    prefixes: &[String],
) -> Result<Listing, GitError> {
    let ask = async |base: &str, mut reader: Reader| {
        let body = listing::request(prefixes);
        let sent = http::rpc(client, remote, base, UPLOAD_PACK, body, true);
        let response = session::within(remote.connect_timeout(), remote, sent).await?;
        let mut wire = Wire::new(remote, Purpose::Read, Source::Http(response));
        read(&mut wire, |packet| reader.answer(packet)).await?;
        Ok::<_, GitError>(reader.into_listing())
    };
    if speaks_v2.load(Ordering::Relaxed) {
        // The server may have moved or changed since: then ask from the beginning.
        match ask(&remote.url.without_user(), Reader::new(prefixes)).await {
            Ok(listing) => return Ok(listing),
            Err(error @ (GitError::Timeout { .. } | GitError::Connect { .. })) => {
                return Err(error);
            }
            Err(_) => speaks_v2.store(false, Ordering::Relaxed),
        }
    }
    let (response, base) = http::info_refs(client, remote, UPLOAD_PACK, true).await?;
    let mut wire = Wire::new(remote, Purpose::Read, Source::Http(response));
    let mut reader = Reader::new(prefixes);
    let step = read(&mut wire, |packet| reader.greeting(packet)).await?;
    reader.check_format(remote)?;
    if step != Step::Ask {
        return Ok(reader.into_listing());
    }
    let listing = ask(&base, reader).await?;
    // Only without a redirect is the short way the same way.
    let direct = base.trim_end_matches('/') == remote.url.without_user().trim_end_matches('/');
    speaks_v2.store(direct, Ordering::Relaxed);
    Ok(listing)
}

/// Feeds frames until one ends the section: returns [`Step::Ask`] or [`Step::Done`].
async fn read(
    wire: &mut Wire<'_>,
    mut feed: impl FnMut(&Packet) -> Step,
) -> Result<Step, GitError> {
    loop {
        let Some(packet) = wire.packet().await? else {
            return Err(wire.protocol(&"the connection was closed before all refs were listed"));
        };
        if let Some(end) = wire.end(feed(&packet))? {
            return Ok(end);
        }
    }
}
