//! Rules for ImageUpdateAutomation.

pub(super) mod git;
pub(super) mod policies;
pub(super) mod source;
pub(super) mod template;
