//! libgit2's smart transport over HTTP: one request for each service call.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf as _, Bytes};
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};

use super::{is_listing, report};
use crate::error::GitError;
use crate::http;
use crate::link::Link;
use crate::lsrefs::UPLOAD_PACK;
use crate::session::{Session, within};

pub(super) struct Http {
    session: Arc<Session>,
    /// Where the listing came from: a redirect holds for the requests that follow.
    base: Arc<Mutex<Option<String>>>,
}

impl Http {
    pub(super) fn new(session: Arc<Session>) -> Self {
        Self {
            session,
            base: Arc::default(),
        }
    }
}

impl SmartSubtransport for Http {
    fn action(
        &self,
        _url: &str,
        service: Service,
    ) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        Ok(Box::new(Stream {
            session: self.session.clone(),
            base: self.base.clone(),
            listing: is_listing(service)?,
            body: Vec::new(),
            response: None,
            rest: Bytes::new(),
        }))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

struct Stream {
    session: Arc<Session>,
    base: Arc<Mutex<Option<String>>>,
    /// Whether this is the request for the list of refs.
    listing: bool,
    /// Written, but not sent yet: the request is sent by the first read.
    body: Vec<u8>,
    response: Option<reqwest::Response>,
    /// Received, but not read yet.
    rest: Bytes,
}

impl Stream {
    fn request(&mut self) -> Result<reqwest::Response, GitError> {
        let session = &self.session;
        let remote = &session.remote;
        let Link::Http(client) = &session.link else {
            return Err(GitError::Internal("this is no http remote".to_owned()));
        };
        let lock = || self.base.lock().unwrap_or_else(PoisonError::into_inner);
        if self.listing {
            let (response, base) =
                session.block_on(http::info_refs(client, remote, UPLOAD_PACK, false))?;
            *lock() = Some(base);
            return Ok(response);
        }
        let base = lock().clone().unwrap_or_else(|| remote.url.without_user());
        let body = std::mem::take(&mut self.body);
        session.block_on(http::rpc(client, remote, &base, UPLOAD_PACK, body, false))
    }

    fn fill(&mut self) -> Result<(), GitError> {
        let mut response = match self.response.take() {
            Some(response) => response,
            None => self.request()?,
        };
        let session = &self.session;
        let remote = &session.remote;
        let limit = if self.listing {
            remote.connect_timeout()
        } else {
            remote.read_timeout()
        };
        let next = async {
            let chunk = response.chunk().await;
            chunk.map_err(|error| http::broken(remote, &error))
        };
        let chunk = session.block_on(within(limit, remote, next))?;
        self.response = Some(response);
        self.rest = chunk.unwrap_or_default();
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            self.fill().map_err(|error| report(&self.session, error))?;
        }
        let count = self.rest.len().min(buffer.len());
        self.rest
            .copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.body.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
