//! The byte streams of a git command on a server: standard input, output and error.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};

use super::pool::{Connection, Pool, Terms};
use crate::error::GitError;
use crate::said::LIMIT;

/// How long to wait for the end of a command that has closed its output: its exit and its last
/// words on standard error come after.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A running command. Dropping it hangs up, unless it was [`Channel::release`]d.
pub(crate) struct Channel {
    read: ChannelReadHalf,
    write: ChannelWriteHalf<Msg>,
    connection: Connection,
    home: (Arc<Pool>, Terms),
    received: VecDeque<Bytes>,
    stderr: Vec<u8>,
    ended: bool,
}

impl Channel {
    pub(super) fn new(
        connection: Connection,
        channel: russh::Channel<Msg>,
        home: (Arc<Pool>, Terms),
    ) -> Self {
        let (read, write) = channel.split();
        Self {
            read,
            write,
            connection,
            home,
            received: VecDeque::new(),
            stderr: Vec::new(),
            ended: false,
        }
    }

    /// Waits until the server says that the command runs; false when it does not.
    pub(super) async fn has_begun(&mut self) -> bool {
        loop {
            match self.read.wait().await {
                Some(ChannelMsg::Success) => return true,
                message => self.take(message),
            }
            if self.ended {
                return false;
            }
        }
    }

    /// Leaves the connection to the next command: this one has ended, or was told goodbye.
    pub(crate) async fn release(self) {
        if !self.ended {
            self.write.eof().await.ok();
            self.write.close().await.ok();
        }
        let (pool, terms) = self.home;
        pool.keep(terms, self.connection);
    }

    /// The next piece of standard output; none at its end.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.received.pop_front() {
                return Some(bytes);
            }
            if self.ended {
                return None;
            }
            let message = self.read.wait().await;
            self.take(message);
            if self.ended {
                self.last_words().await;
            }
        }
    }

    /// Writes to standard input. Output that arrives meanwhile is kept: a server that waits for
    /// us to read would otherwise never read what we write.
    pub(crate) async fn send(&mut self, bytes: Bytes) -> Result<(), GitError> {
        let mut taken = Vec::new();
        let sent = {
            let Self { read, write, .. } = self;
            let mut sending = std::pin::pin!(write.data_bytes(bytes));
            loop {
                tokio::select! {
                    sent = &mut sending => break sent,
                    message = read.wait() => {
                        let closed = message.is_none();
                        taken.push(message);
                        if closed {
                            break Err(russh::Error::SendError);
                        }
                    }
                }
            }
        };
        for message in taken {
            self.take(message);
        }
        if sent.is_err() {
            self.ended = true;
            self.last_words().await;
        }
        sent.map_err(|_| GitError::Protocol {
            host: "the server".to_owned(),
            problem: "it closed the connection while we were sending".to_owned(),
        })
    }

    /// What came on standard error since the last call, up to a limit.
    pub(crate) fn take_stderr(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.stderr)
    }

    fn take(&mut self, message: Option<ChannelMsg>) {
        match message {
            Some(ChannelMsg::Data { data }) => self.received.push_back(data),
            Some(ChannelMsg::ExtendedData { data, .. }) => {
                let room = LIMIT.saturating_sub(self.stderr.len()).min(data.len());
                self.stderr
                    .extend_from_slice(data.get(..room).unwrap_or_default());
            }
            Some(ChannelMsg::Failure) => {
                self.stderr
                    .extend_from_slice(b"the server does not let us run a command\n");
                self.ended = true;
            }
            Some(ChannelMsg::Eof | ChannelMsg::Close) | None => self.ended = true,
            Some(_) => {}
        }
    }

    async fn last_words(&mut self) {
        let rest = async {
            while let Some(message) = self.read.wait().await {
                let closed = matches!(message, ChannelMsg::Close);
                self.take(Some(message));
                if closed {
                    break;
                }
            }
        };
        // Their absence is not an error.
        tokio::time::timeout(LAST_WORDS, rest).await.ok();
    }
}
