//! Rules for ImagePolicy.
//!
//! What Flux does with a policy: `filterTags.pattern` is searched anywhere in a tag; `extract`
//! makes the sort key from its groups, and without `extract` the whole tag is the key; the keys
//! are compared as versions, text or numbers.

pub(super) mod choice;
pub(super) mod digest;
pub(super) mod filter;
pub(super) mod keys;
pub(super) mod pattern;
pub(super) mod preview;
pub(super) mod versions;
