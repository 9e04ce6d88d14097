//! Under construction.

pub mod giturl;
pub mod knownhosts;
