//! What is wrong with an object, and what to write instead.
//!
//! [`review`] takes an object (any served version), optionally what it was before, and a
//! [`Context`] of facts about the cluster; it answers with findings and with the required fields
//! that may be filled in. The admission webhook, linting of files and the scan of a cluster all
//! ask the same function. It does no I/O.
//!
//! Its laws:
//! - an [`Severity::Error`] is provable from the object alone, or from what the administrator
//!   declared in [`Settings`]; whatever depends on another object is at most a warning;
//! - defaults only ever add a field that is absent and that the schema requires;
//! - an error that was there before the update is a warning now (the ratchet), so that old objects
//!   can still be changed;
//! - nothing is said about an object that is being deleted;
//! - a scalar that holds `${...}` or an encrypted value is not judged: nobody knows it yet.
//!
//! A rule is one [`Rule`] value: words, examples and a function. The examples are its tests, so a
//! new rule touches one file below `rules/`.

mod catalogue;
mod context;
mod duration;
mod engine;
mod facts;
pub mod files;
mod finding;
mod index;
mod kind;
mod objects;
mod optional;
mod policy;
mod rule;
mod rules;
mod secret;
mod subject;
mod text;

pub use catalogue::{explain, markdown};
pub use context::{Context, IngressNginx, Release, ReleaseError, Settings};
pub use engine::{SKIP_ANNOTATION, review};
pub use facts::{Fact, Facts, IngressClass, LISTED, Other, ServicePort, Tags};
pub use finding::{Default, Finding, Review, Severity};
pub use flux_image::policy::Preview;
pub use index::{Key, keys};
pub use kind::Kind;
pub use objects::Objects;
pub use optional::{OPTIONAL, Optional};
pub use policy::{Level, MODE_LABEL, Mode, POLICY_NAME, Policy};
pub use rule::{Example, Report, Rule};
pub use secret::Secret;
pub use subject::Subject;

/// Every rule, in the order of the catalogue: by kind, then by number.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    rules::GROUPS.iter().flat_map(|group| group.iter())
}

/// The rule with this id, e.g. `IN15`.
#[must_use]
pub fn rule(id: &str) -> Option<&'static Rule> {
    rules().find(|rule| rule.id == id)
}
