//! The client against registries in this process, and against the CNCF registry where installed.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed step is a failed test"
)]

mod auth;
mod distribution;
mod failures;
mod listing;
mod server;
mod tls;

use std::sync::Once;

/// What each program does in its first line.
fn install_crypto_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        rustls::crypto::ring::default_provider()
            .install_default()
            .expect("first to install");
    });
}
