//! Changes that others make to what was applied: corrected at once, but not for ever.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flux_api::ObjectId;
use flux_apply::live::Drift;
use flux_apply::object;
use kube_runtime::reflector::ObjectRef;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::args::DriftCorrection;
use crate::context::Context;
use crate::key::Key;

/// Corrections of one object within [`PERIOD`]; after that it is left to the interval. Two who
/// disagree for good would otherwise keep the API server busy.
const AT_MOST: usize = 3;
const PERIOD: Duration = Duration::from_secs(60);

/// Objects remembered before old ones are looked for.
const REMEMBERED: usize = 1024;

/// Wakes Kustomizations until the process ends.
pub async fn run(context: Arc<Context>, mut drifts: UnboundedReceiver<Drift>) {
    let mut limit = Limit::default();
    while let Some(Drift { owner, id }) = drifts.recv().await {
        if context.args.drift_correction == DriftCorrection::Interval {
            continue;
        }
        let name = object::display(&id);
        let key = Key::new(owner.namespace, owner.name);
        // Its resumption looks at everything.
        if is_suspended(&key, &context) {
            continue;
        }
        if limit.permits(id, Instant::now()) {
            tracing::info!(object = name, kustomization = %key, "changed by somebody else");
            context.health.disturb(&key);
            context.triggers.kustomizations.wake(&key);
        } else {
            tracing::warn!(
                object = name,
                kustomization = %key,
                "changed by somebody else again and again; it is corrected at the next interval"
            );
        }
    }
}

fn is_suspended(key: &Key, context: &Context) -> bool {
    let reference = ObjectRef::new(&key.name).within(&key.namespace);
    let object = context.stores.kustomizations.get(&reference);
    object.is_some_and(|object| object.spec.suspend)
}

/// How often objects were corrected of late.
#[derive(Default)]
struct Limit(HashMap<ObjectId, VecDeque<Instant>>);

impl Limit {
    fn permits(&mut self, id: ObjectId, now: Instant) -> bool {
        let recent = |at: &Instant| now.duration_since(*at) < PERIOD;
        if self.0.len() >= REMEMBERED {
            self.0.retain(|_, times| times.back().is_some_and(recent));
        }
        let times = self.0.entry(id).or_default();
        while times.front().is_some_and(|at| !recent(at)) {
            times.pop_front();
        }
        let permitted = times.len() < AT_MOST;
        if permitted {
            times.push_back(now);
        }
        permitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_corrections_a_minute() {
        let mut limit = Limit::default();
        let id = |name: &str| ObjectId {
            name: name.into(),
            ..ObjectId::default()
        };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for (name, seconds, permitted) in [
            ("a", 0, true),
            ("a", 1, true),
            ("b", 1, true),
            ("a", 2, true),
            ("a", 3, false),
            ("a", 59, false),
            ("b", 59, true),
            ("a", 60, true),
            ("a", 60, false),
            ("a", 130, true),
        ] {
            assert_eq!(
                limit.permits(id(name), at(seconds)),
                permitted,
                "{name} at {seconds}"
            );
        }
    }
}
