//! Errors of libraries in words for people.

pub use flux_apply::words::{api_error, chain};
