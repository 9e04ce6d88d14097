//! What the tests of the whole system stand on: a throw-away control plane with a Git server and
//! an image registry ([`sandbox`]), and the product's own programs running in it ([`env`]).
//!
//! Nothing here is part of the product.

pub mod env;
pub mod sandbox;
pub mod tutorial;
