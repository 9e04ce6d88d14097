//! From objects to the cluster: stages, inventory, prune and health.
//!
//! The crate takes finished objects (as JSON values) and an owner, and brings the cluster there
//! with server-side apply. It builds nothing and knows nothing of Git: see `flux-build` for where
//! objects come from, and the operator for when this runs.
//!
//! | module | what it is for |
//! |---|---|
//! | [`object`] | reading identity and metadata out of JSON objects |
//! | [`managers`] | taking over fields that `kubectl apply` left behind |
//! | [`mapper`] | which path and scope a kind has on this API server |
//! | [`request`] | single requests, with the server's warnings kept |
//! | [`normalize`] | what is done to an object before it is applied |
//! | [`rules`] | the annotations by which users steer apply and prune |
//! | [`ignore`] | fields that are left to others |
//! | [`stages`] | the order of things |
//! | [`plan`] | what will be applied, settled before anything is |
//! | [`seen`] | the metadata of an object in a few words |
//! | [`fields`] | who owns which fields |
//! | [`live`] | what is known of live objects, and what others change |
//! | [`applier`] | applying a set of objects |
//! | [`definitions`] | waiting until new kinds are served |
//! | [`prune`] | deleting what is no longer wanted |
//! | [`health`] | whether an object has reached its desired state |
//! | [`variables`] | reading the variables of `substituteFrom` |
//! | [`wait`] | waiting for health by watching, not by asking again |
//! | [`words`] | errors of the client in words for people |

pub mod applier;
pub mod definitions;
pub mod fields;
mod follow;
pub mod health;
pub mod ignore;
pub mod live;
pub mod managers;
pub mod mapper;
pub mod normalize;
pub mod object;
mod one;
pub mod plan;
pub mod prune;
mod refusal;
pub mod request;
pub mod rules;
pub mod seen;
pub mod stages;
pub mod variables;
pub mod wait;
pub mod words;

pub use applier::{Applier, Outcome};
pub use live::Live;
pub use mapper::Mapper;
pub use object::Owner;
pub use plan::{Options, Plan};
pub use refusal::in_quotes;
