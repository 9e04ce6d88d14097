//! The Kubernetes resource types of Flux, and the CRDs that are generated from them.
//!
//! One struct per kind holds the fields of every served version (`v1`, `v1beta2`, `v1beta1`):
//! whatever version a manifest was written in, it deserializes here and nothing of it is lost.
//! Fields that only old versions know say so in their description.
//!
//! Reading is lenient where an API server may hold what we would not write: unknown fields are
//! ignored, unknown words of an enumeration are kept ([`GitProvider::Other`] and its kin), and a
//! duration that is none is kept as text ([`GoDuration::error`]). A watch delivers lists, and one
//! odd object must not hide all the others.
//!
//! Not here: what the fields do. That is in the crates that act on them.

mod open_enum;
mod schema;

pub mod conditions;
pub mod crd;
pub mod duration;
pub mod flags;
pub mod image;
pub mod inventory;
pub mod kustomize;
pub mod lean;
pub mod lease;
pub mod meta;
pub mod names;
pub mod source;
pub mod takeover;

pub use duration::{DurationError, GoDuration, go_string};
pub use image::*;
pub use inventory::{ObjectId, ResourceRef};
pub use kustomize::*;
pub use lean::{Lean, LeanMetadata};
pub use meta::*;
pub use source::*;

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
