//! The whole crate against a real sshd and a real `git http-backend`.
//!
//! Needs openssh-server and git; where a program is missing its tests are skipped and say so.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail like tests"
)]

mod agent;
mod faults;
mod http;
mod openpgp;
mod pinned;
mod proxy;
mod push;
mod refs;
mod reuse;
mod sendpack;
mod shallow;
mod ssh;
mod support;
mod trees;
mod verify;
