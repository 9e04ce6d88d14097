//! Rules for Ingress.
//!
//! An Ingress means what its controller makes of it, so most rules hold for ingress-nginx only,
//! and only where it is known or presumed to be in charge.

pub(super) mod annotations;
pub(super) mod backend;
pub(super) mod class;
pub(super) mod neighbours;
mod nginx;
pub(super) mod path;
pub(super) mod rewrite;
mod table;
pub(super) mod traffic;
pub(crate) mod view;
