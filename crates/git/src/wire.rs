//! Frames from a Git service, whichever transport they come over.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;

use crate::error::GitError;
use crate::http;
use crate::listing::Step;
use crate::pktline::{Decoder, FLUSH, Packet};
use crate::remote::Remote;
use crate::said::{self, Purpose};
use crate::session;
use crate::ssh::Channel;

/// More than this many bytes of frames are not read: about a million refs.
const MAX_BYTES: usize = 64 << 20;

/// Where the bytes come from.
pub(crate) enum Source {
    Ssh(Channel),
    Http(Response),
}

/// A connection, cut into frames.
pub(crate) struct Wire<'a> {
    remote: &'a Remote,
    purpose: Purpose,
    source: Source,
    decoder: Decoder,
    bytes: usize,
    /// For each wait for the server.
    limit: Duration,
}

impl<'a> Wire<'a> {
    /// For a listing, which takes the server no work.
    pub(crate) fn new(remote: &'a Remote, purpose: Purpose, source: Source) -> Self {
        Self {
            remote,
            purpose,
            source,
            decoder: Decoder::default(),
            bytes: 0,
            limit: remote.connect_timeout(),
        }
    }

    /// From now on the server may have to work before it answers.
    pub(crate) fn be_patient(&mut self) {
        self.limit = self.remote.read_timeout();
    }

    /// The command over ssh; none over HTTP, where an answer cannot be answered.
    pub(crate) fn channel(&mut self) -> Option<&mut Channel> {
        match &mut self.source {
            Source::Ssh(channel) => Some(channel),
            Source::Http(_) => None,
        }
    }

    /// Ends the conversation where the server waits for more: it would report a hang-up otherwise.
    pub(crate) async fn leave(self) {
        if let Source::Ssh(mut channel) = self.source
            && channel.send(Bytes::from_static(FLUSH)).await.is_ok()
        {
            channel.release().await;
        }
    }

    /// Ends the conversation where the server has said all.
    pub(crate) async fn end_of_answer(self) {
        if let Source::Ssh(channel) = self.source {
            channel.release().await;
        }
    }

    /// The next frame; none when the server has closed the connection.
    pub(crate) async fn packet(&mut self) -> Result<Option<Packet>, GitError> {
        loop {
            if let Some(packet) = self.buffered()? {
                return Ok(Some(packet));
            }
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    /// The next frame if all of it has arrived.
    pub(crate) fn buffered(&mut self) -> Result<Option<Packet>, GitError> {
        let packet = self.decoder.next();
        packet.map_err(|error| self.protocol(&error))
    }

    /// Waits for more bytes; false at their end.
    pub(crate) async fn fill(&mut self) -> Result<bool, GitError> {
        let Some(chunk) = self.chunk().await? else {
            return Ok(false);
        };
        self.bytes += chunk.len();
        if self.bytes > MAX_BYTES {
            return Err(self.protocol(&format!("more than {MAX_BYTES} bytes of refs")));
        }
        self.decoder.push(&chunk);
        Ok(true)
    }

    /// Whether a reader of refs has come to an end, or how it failed.
    pub(crate) fn end(&self, step: Step) -> Result<Option<Step>, GitError> {
        match step {
            Step::More => Ok(None),
            Step::Ask | Step::Done => Ok(Some(step)),
            Step::Error(text) => Err(self.refusal(&text)),
            Step::Garbage(text) => {
                Err(self.protocol(&format!("unexpected '{}'", said::tidy(&text))))
            }
        }
    }

    /// What a text means by which the server ends the conversation.
    pub(crate) fn refusal(&self, text: &str) -> GitError {
        said::meaning(self.remote, self.purpose, text)
            .unwrap_or_else(|| self.protocol(&said::tidy(text)))
    }

    pub(crate) fn protocol(&self, problem: &dyn std::fmt::Display) -> GitError {
        GitError::Protocol {
            host: self.remote.url.authority(),
            problem: problem.to_string(),
        }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, GitError> {
        let (remote, source) = (self.remote, &mut self.source);
        let next = async {
            match source {
                Source::Ssh(channel) => Ok(channel.next().await),
                Source::Http(response) => response
                    .chunk()
                    .await
                    .map_err(|error| http::broken(remote, &error)),
            }
        };
        session::within(self.limit, remote, next).await
    }
}
