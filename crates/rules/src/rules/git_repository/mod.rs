//! Rules for GitRepository.

pub(super) mod content;
pub(super) mod credentials;
pub(super) mod reference;
pub(super) mod secrets;
pub(super) mod timing;
pub(super) mod url;
