//! What the statuses of all kinds have in common.

use std::fmt::Debug;

use flux_api::{
    Condition, GitRepositoryStatus, ImagePolicyStatus, ImageRepositoryStatus,
    ImageUpdateAutomationStatus, KustomizationStatus, names,
};
use kube::ResourceExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A status with conditions, an observed generation and a handled request.
pub trait Status: Clone + Debug + Default + Serialize + DeserializeOwned + Send + Sync {
    /// Its conditions.
    fn conditions(&mut self) -> &mut Vec<Condition>;

    /// Notes the generation (when it counts as observed) and the request that were handled.
    fn observe(&mut self, generation: Option<i64>, handled: Option<String>);

    /// Whether somebody asks by annotation for a run of the object that was not made yet.
    fn is_asked(&self, object: &impl ResourceExt) -> bool;
}

macro_rules! statuses {
    ($($status:ty),+ $(,)?) => {$(
        impl Status for $status {
            fn conditions(&mut self) -> &mut Vec<Condition> {
                &mut self.conditions
            }

            fn observe(&mut self, generation: Option<i64>, handled: Option<String>) {
                self.observed_generation = generation.or(self.observed_generation);
                self.last_handled_reconcile_at =
                    handled.or(self.last_handled_reconcile_at.take());
            }

            fn is_asked(&self, object: &impl ResourceExt) -> bool {
                let requested = object.annotations().get(names::REQUESTED_AT);
                requested.is_some() && requested != self.last_handled_reconcile_at.as_ref()
            }
        }
    )+};
}

statuses!(
    GitRepositoryStatus,
    ImagePolicyStatus,
    ImageRepositoryStatus,
    ImageUpdateAutomationStatus,
    KustomizationStatus,
);
