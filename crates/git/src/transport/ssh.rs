//! libgit2's smart transport over an SSH channel: one command for a whole operation.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};

use super::{is_listing, report};
use crate::link::Link;
use crate::lsrefs::UPLOAD_PACK;
use crate::session::{Session, within};
use crate::ssh::{self, Channel};

pub(super) struct Ssh {
    session: Arc<Session>,
}

impl Ssh {
    pub(super) fn new(session: Arc<Session>) -> Self {
        Self { session }
    }
}

impl SmartSubtransport for Ssh {
    fn action(
        &self,
        _url: &str,
        service: Service,
    ) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        is_listing(service)?;
        let session = self.session.clone();
        let Link::Ssh(pool) = &session.link else {
            return Err(git2::Error::from_str("this is no ssh remote"));
        };
        // The steps inside have their own limits.
        let channel = session
            .block_on(ssh::run(&session.remote, pool, UPLOAD_PACK, false))
            .map_err(|error| git2::Error::from_str(&report(&session, error).to_string()))?;
        Ok(Box::new(Stream {
            session,
            channel: Some(channel),
            rest: Bytes::new(),
            asked: false,
        }))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

struct Stream {
    session: Arc<Session>,
    /// Until it is released.
    channel: Option<Channel>,
    /// Received, but not read yet.
    rest: Bytes,
    /// The server was asked for something after it had listed its refs.
    asked: bool,
}

impl Stream {
    /// Notes what the server wrote to standard error; whether it was anything.
    fn hear(&mut self) -> bool {
        let said = self.channel.as_mut().map(Channel::take_stderr);
        let said = said.unwrap_or_default();
        self.session.hear(&said);
        !said.is_empty()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            let Self {
                session, channel, ..
            } = self;
            let remote = &session.remote;
            let limit = if self.asked {
                remote.read_timeout()
            } else {
                remote.connect_timeout()
            };
            let next = async {
                Ok(match channel {
                    Some(channel) => channel.next().await,
                    None => None,
                })
            };
            match session
                .block_on(within(limit, remote, next))
                .map_err(|error| report(&self.session, error))?
            {
                Some(bytes) => self.rest = bytes,
                None => {
                    self.hear();
                    return Ok(0);
                }
            }
        }
        let count = self.rest.len().min(buffer.len());
        self.rest
            .copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.asked = true;
        let data = Bytes::copy_from_slice(bytes);
        let Some(channel) = &mut self.channel else {
            return Ok(0);
        };
        match self.session.block_on(channel.send(data)) {
            Ok(()) => Ok(bytes.len()),
            // The server's last words explain more than "closed".
            Err(error) if self.hear() => Err(io::Error::other(error.to_string())),
            Err(error) => Err(report(&self.session, error)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.hear();
        // By now libgit2 has said goodbye, or has received all.
        if let Some(channel) = self.channel.take()
            && self.session.is_well()
        {
            let release = async {
                channel.release().await;
                Ok(())
            };
            self.session.block_on(release).ok();
        }
    }
}
