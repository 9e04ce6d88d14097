//! Listing refs of a remote: one question with prefixes in protocol version 2, or the whole list
//! of an older server. libgit2 itself only speaks the older protocol.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use reqwest::Response;

use crate::error::GitError;
use crate::http;
use crate::listing::{self, Listing, Reader, Step};
use crate::pktline::{Decoder, FLUSH, Packet};
use crate::remote::Remote;
use crate::said::{self, Purpose};
use crate::ssh;

/// The program or service that lists refs.
const UPLOAD_PACK: &str = "git-upload-pack";

/// More than this many bytes of refs are not read: about a million refs.
const MAX_BYTES: usize = 64 << 20;

/// Lists the refs with one of the prefixes; all of them if there are none.
///
/// `client` is for http(s) remotes. `speaks_v2` remembers that the server knows version 2, which
/// saves one of two requests over HTTP.
pub(crate) async fn list(
    remote: &Remote,
    client: Option<&reqwest::Client>,
    speaks_v2: &AtomicBool,
    prefixes: &[String],
) -> Result<Listing, GitError> {
    let listing = async {
        match client {
            Some(client) => over_http(remote, client, speaks_v2, prefixes).await,
            None => over_ssh(remote, prefixes).await,
        }
    };
    tokio::time::timeout(remote.timeout, listing)
        .await
        .unwrap_or_else(|_| Err(crate::session::unfinished(remote)))
}

async fn over_ssh(remote: &Remote, prefixes: &[String]) -> Result<Listing, GitError> {
    let channel = ssh::run(remote, UPLOAD_PACK, true).await?;
    let mut wire = Wire::new(remote, Source::Ssh(channel));
    let mut reader = Reader::new(prefixes);
    let result = exchange(remote, &mut wire, &mut reader, prefixes).await;
    if let Source::Ssh(channel) = &mut wire.source {
        if result.is_ok() {
            // Says goodbye: the server would report a hang-up otherwise.
            channel.send(Bytes::from_static(FLUSH)).await.ok();
            channel.finish().await;
        } else {
            let said = String::from_utf8_lossy(&channel.take_stderr()).into_owned();
            if let Some(meaning) = said::meaning(remote, Purpose::Read, &said) {
                return Err(meaning);
            }
        }
    }
    result.map(|()| reader.into_listing())
}

async fn exchange(
    remote: &Remote,
    wire: &mut Wire<'_>,
    reader: &mut Reader,
    prefixes: &[String],
) -> Result<(), GitError> {
    if wire.read(|packet| reader.greeting(packet)).await? == Step::Ask {
        check_format(remote, reader)?;
        if let Source::Ssh(channel) = &mut wire.source {
            channel.send(listing::request(prefixes).into()).await?;
        }
        wire.read(|packet| reader.answer(packet)).await?;
    }
    check_format(remote, reader)
}

async fn over_http(
    remote: &Remote,
    client: &reqwest::Client,
    speaks_v2: &AtomicBool,
    prefixes: &[String],
) -> Result<Listing, GitError> {
    let ask = async |base: &str, mut reader: Reader| {
        let body = listing::request(prefixes);
        let response = http::rpc(client, remote, base, UPLOAD_PACK, body, true).await?;
        let mut wire = Wire::new(remote, Source::Http(response));
        wire.read(|packet| reader.answer(packet)).await?;
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
    let mut wire = Wire::new(remote, Source::Http(response));
    let mut reader = Reader::new(prefixes);
    let step = wire.read(|packet| reader.greeting(packet)).await?;
    check_format(remote, &reader)?;
    if step != Step::Ask {
        return Ok(reader.into_listing());
    }
    let listing = ask(&base, reader).await?;
    // Only without a redirect is the short way the same way.
    let direct = base.trim_end_matches('/') == remote.url.without_user().trim_end_matches('/');
    speaks_v2.store(direct, Ordering::Relaxed);
    Ok(listing)
}

fn check_format(remote: &Remote, reader: &Reader) -> Result<(), GitError> {
    match reader.format() {
        "sha1" => Ok(()),
        format => Err(GitError::ObjectFormat {
            url: remote.url.to_string(),
            format: said::tidy(format),
        }),
    }
}

enum Source {
    Ssh(ssh::Channel),
    Http(Response),
}

/// Frames from a connection.
struct Wire<'a> {
    remote: &'a Remote,
    source: Source,
    decoder: Decoder,
    bytes: usize,
}

impl<'a> Wire<'a> {
    fn new(remote: &'a Remote, source: Source) -> Self {
        Self {
            remote,
            source,
            decoder: Decoder::default(),
            bytes: 0,
        }
    }

    /// Feeds frames until one ends the section: returns [`Step::Ask`] or [`Step::Done`].
    async fn read(&mut self, mut feed: impl FnMut(&Packet) -> Step) -> Result<Step, GitError> {
        loop {
            while let Some(packet) = self.decoder.next().map_err(|e| self.protocol(&e))? {
                match feed(&packet) {
                    Step::More => {}
                    Step::Error(text) => {
                        let unknown = || self.protocol(&said::tidy(&text));
                        let meaning = said::meaning(self.remote, Purpose::Read, &text);
                        return Err(meaning.unwrap_or_else(unknown));
                    }
                    Step::Garbage(text) => {
                        return Err(self.protocol(&format!("unexpected '{}'", said::tidy(&text))));
                    }
                    step @ (Step::Ask | Step::Done) => return Ok(step),
                }
            }
            let Some(chunk) = self.chunk().await? else {
                return Err(self.protocol(&"the connection was closed before all refs were listed"));
            };
            self.bytes += chunk.len();
            if self.bytes > MAX_BYTES {
                return Err(self.protocol(&format!("more than {MAX_BYTES} bytes of refs")));
            }
            self.decoder.push(&chunk);
        }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, GitError> {
        match &mut self.source {
            Source::Ssh(channel) => {
                tokio::time::timeout(self.remote.read_timeout(), channel.next())
                    .await
                    .map_err(|_| crate::session::silent(self.remote))
            }
            Source::Http(response) => response
                .chunk()
                .await
                .map_err(|error| http::broken(self.remote, &error)),
        }
    }

    fn protocol(&self, problem: &dyn std::fmt::Display) -> GitError {
        GitError::Protocol {
            host: self.remote.url.authority(),
            problem: problem.to_string(),
        }
    }
}
