//! Tests of the whole system against real servers. One program, so that all of them share one
//! control plane ([`flux_tests::env::Env::shared`]) where they can.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod admission;
mod bad_input;
mod command;
mod fleet;
mod git_server;
mod guest;
mod images;
mod inherited;
mod install;
mod layout;
mod node;
mod plugin;
mod process;
mod programs;
mod registry;
mod sandbox;
mod seed;
