//! Rules for ImageUpdateAutomation.

pub(super) mod git;
