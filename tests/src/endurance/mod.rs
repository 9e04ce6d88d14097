//! What an operator has to endure: tests do it at a small scale, `soak` at that of an issue.

pub mod hostile;
pub mod kills;
pub mod outages;
mod scenario;
