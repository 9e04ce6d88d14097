//! What the tests of the whole system stand on: a throw-away control plane with a Git server and
//! an image registry ([`sandbox`]), and the product's own programs running in it ([`env`]); and
//! the images of those programs ([`image`]), from which pods run and releases ([`release`]) are
//! made.
//!
//! [`measure`] has what benchmarks of the whole system need, [`endurance`] what the operator has to
//! endure, [`hook`] the same for the webhook, [`fleet`] many Kustomizations to count requests of.
//!
//! Nothing here is part of the product.

pub mod endurance;
pub mod env;
pub mod fleet;
pub mod hook;
pub mod image;
pub mod measure;
pub mod release;
pub mod sandbox;
pub mod tutorial;
