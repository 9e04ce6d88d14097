//! The best tags of each policy, kept between scans: a new tag is judged alone.

use std::sync::{Arc, Mutex, PoisonError};

use flux_image::policy::{PolicyError, Ranking, Selector};

use crate::context::Shared;
use crate::image_repository::store::Known;
use crate::key::Key;

/// What is known of a policy.
#[derive(Clone)]
struct State {
    /// Of the policy's spec.
    generation: Option<i64>,
    /// Of the tags that were taken in.
    version: u64,
    ranking: Arc<Mutex<Ranking>>,
}

/// Rankings by ImagePolicy.
#[derive(Default)]
pub struct Rankings(Shared<State>);

impl Rankings {
    /// The tag that a policy selects. Blocking when the tags have to be read as a whole.
    ///
    /// # Errors
    /// When it selects none.
    pub fn select(
        &self,
        policy: &Key,
        generation: Option<i64>,
        selector: &Selector,
        known: &Known,
    ) -> Result<String, PolicyError> {
        let state = self.0.get(policy);
        let state = state.filter(|state| state.generation == generation && state.catches_up(known));
        let ranking = match state {
            Some(state) => state.ranking,
            None => Arc::new(Mutex::new(Ranking::new(
                selector.clone(),
                known.tags.iter(),
            ))),
        };
        let selected = {
            let mut ranking = ranking.lock().unwrap_or_else(PoisonError::into_inner);
            let selection = ranking.select(known.tags.iter());
            selection.map(|selection| selection.tag.to_owned())
        };
        let state = State {
            generation,
            version: known.version,
            ranking,
        };
        self.0.set(policy, state);
        selected
    }

    /// Forgets a policy that is gone.
    pub fn remove(&self, policy: &Key) {
        self.0.remove(policy);
    }
}

impl State {
    /// Takes in what changed since; false if that is not known.
    fn catches_up(&self, known: &Known) -> bool {
        if self.version == known.version {
            return true;
        }
        match &known.change {
            Some((from, difference)) if *from == self.version => {
                let mut ranking = self.ranking.lock().unwrap_or_else(PoisonError::into_inner);
                difference
                    .removed
                    .iter()
                    .for_each(|tag| ranking.remove(tag));
                difference.added.iter().for_each(|tag| ranking.insert(tag));
                true
            }
            _ => false,
        }
    }
}
