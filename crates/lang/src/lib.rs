//! Under construction.

pub mod giturl;
