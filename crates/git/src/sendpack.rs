//! Pushing: the conversation with `git-receive-pack` on either transport. Blocking.
//!
//! libgit2's own push looks for what the server lacks by walking history, and fails where a
//! shallow mirror has none. We know exactly what is new.

use bytes::Bytes;
use git2::Oid;

use crate::error::GitError;
use crate::http;
use crate::link::Link;
use crate::listing::{Reader, Step};
use crate::pktline::Packet;
use crate::receive::{self, Event, PUSH_OPTIONS, REPORT_STATUS, Report, SIDE_BAND, Update};
use crate::said::{self, Purpose};
use crate::session::Session;
use crate::ssh;
use crate::wire::{Source, Wire};

/// The program or HTTP service that takes pushes.
pub(crate) const RECEIVE_PACK: &str = "git-receive-pack";

/// How much is written at once over ssh: each piece has the time limit of one step.
const PIECE: usize = 64 << 10;

/// A server that has told its refs and waits for commands.
pub(crate) struct ReceivePack<'a> {
    session: &'a Session,
    wire: Wire<'a>,
    /// Where a redirect led, for HTTP.
    base: String,
    greeting: Reader,
}

impl<'a> ReceivePack<'a> {
    /// Connects, and learns what the refs of these full names are.
    pub(crate) fn connect(session: &'a Session, refs: &[String]) -> Result<Self, GitError> {
        let remote = &session.remote;
        // The steps inside have their own limits.
        let (source, base) = session.block_on(async {
            Ok(match &session.link {
                Link::Ssh(pool) => {
                    let channel = ssh::run(remote, pool, RECEIVE_PACK, false).await?;
                    (Source::Ssh(channel), String::new())
                }
                Link::Http(client) => {
                    let (response, base) =
                        http::info_refs(client, remote, RECEIVE_PACK, false).await?;
                    (Source::Http(response), base)
                }
            })
        })?;
        let mut server = Self {
            session,
            wire: Wire::new(remote, Purpose::Write, source),
            base,
            greeting: Reader::new(refs),
        };
        match server.greet() {
            Ok(()) => Ok(server),
            Err(error) => Err(server.explain(error)),
        }
    }

    fn greet(&mut self) -> Result<(), GitError> {
        let end = loop {
            let Some(packet) = self.packet()? else {
                return Err(self
                    .wire
                    .protocol(&"the connection was closed before all refs were listed"));
            };
            if let Some(end) = self.wire.end(self.greeting.greeting(&packet))? {
                break end;
            }
        };
        self.greeting.check_format(&self.session.remote)?;
        if end != Step::Done || !self.greeting.offers(REPORT_STATUS) {
            return Err(self
                .wire
                .protocol(&"it would not tell whether a push has succeeded"));
        }
        Ok(())
    }

    /// What a ref is now; none if it does not exist.
    pub(crate) fn tip(&self, name: &str) -> Option<Oid> {
        self.greeting.tip(name)
    }

    /// Whether the server takes push options.
    pub(crate) fn takes_options(&self) -> bool {
        self.greeting.offers(PUSH_OPTIONS)
    }

    /// Changes nothing, and says goodbye.
    pub(crate) fn leave(self) {
        let wire = self.wire;
        let goodbye = async {
            wire.leave().await;
            Ok(())
        };
        self.session.block_on(goodbye).ok();
    }

    /// Sends commands, options and the pack. Returns what the server says about each ref.
    pub(crate) fn send(
        mut self,
        updates: &[Update],
        options: &[String],
        pack: &[u8],
    ) -> Result<Report, GitError> {
        let mut message = receive::request(updates, options, |name| self.greeting.offers(name));
        message.extend_from_slice(pack);
        let result = self.write(message).and_then(|()| self.report());
        let report = result.map_err(|error| self.explain(error))?;
        let wire = self.wire;
        let end = async {
            wire.end_of_answer().await;
            Ok(())
        };
        self.session.block_on(end).ok();
        Ok(report)
    }

    fn write(&mut self, message: Vec<u8>) -> Result<(), GitError> {
        let session = self.session;
        let remote = &session.remote;
        if let Link::Http(client) = &session.link {
            let response = session.block_on(http::rpc(
                client,
                remote,
                &self.base,
                RECEIVE_PACK,
                message,
                false,
            ))?;
            self.wire = Wire::new(remote, Purpose::Write, Source::Http(response));
        } else if let Some(channel) = self.wire.channel() {
            let mut rest = Bytes::from(message);
            while !rest.is_empty() {
                let piece = rest.split_to(rest.len().min(PIECE));
                session.block_on(channel.send(piece))?;
            }
        }
        // Its hooks may take their time.
        self.wire.be_patient();
        Ok(())
    }

    fn report(&mut self) -> Result<Report, GitError> {
        let mut report = Report::new(self.greeting.offers(SIDE_BAND));
        loop {
            let event = match self.packet() {
                Ok(Some(packet)) => report
                    .feed(&packet)
                    .map_err(|error| self.wire.protocol(&error)),
                Ok(None) => Err(self
                    .wire
                    .protocol(&"the connection was closed before the push was confirmed")),
                Err(error) => Err(error),
            };
            match event {
                Ok(Event::More) => {}
                Ok(Event::Progress(text)) => self.session.hear(&text),
                Ok(Event::End) => break,
                // After the report only hooks run that cannot refuse any more. We stay until
                // they are done, since hanging up may kill them, but what comes is not our affair.
                Ok(Event::Fatal(_)) | Err(_) if report.is_complete() => break,
                Ok(Event::Fatal(text)) => return Err(self.wire.refusal(&text)),
                Err(error) => return Err(error),
            }
        }
        if !report.is_complete() {
            return Err(self
                .wire
                .protocol(&"the answer ends before the push was confirmed"));
        }
        self.hear();
        Ok(report)
    }

    /// The next frame; none at the end. Each wait for the server is a step of the session.
    fn packet(&mut self) -> Result<Option<Packet>, GitError> {
        loop {
            if let Some(packet) = self.wire.buffered()? {
                return Ok(Some(packet));
            }
            if !self.session.block_on(self.wire.fill())? {
                return Ok(None);
            }
        }
    }

    /// Notes what the server wrote to standard error.
    fn hear(&mut self) {
        if let Some(channel) = self.wire.channel() {
            self.session.hear(&channel.take_stderr());
        }
    }

    /// The server's own words tell more than that it hung up.
    fn explain(&mut self, error: GitError) -> GitError {
        self.hear();
        let GitError::Protocol { .. } = error else {
            return error;
        };
        let said = self.session.said();
        said::meaning(&self.session.remote, Purpose::Write, &said).unwrap_or(error)
    }
}
