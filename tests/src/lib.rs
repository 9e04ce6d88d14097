//! What the tests of the whole system stand on: a throw-away control plane with a Git server and
//! an image registry ([`sandbox`]).
//!
//! Nothing here is part of the product.

pub mod sandbox;
