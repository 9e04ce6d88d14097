//! Rules for ImageUpdateAutomation.

pub(super) mod git;
pub(super) mod template;
