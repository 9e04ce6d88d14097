//! Markers that could not be applied, as a condition: a marker that does nothing is otherwise
//! indistinguishable from one that has nothing to do.

use flux_api::{Condition, conditions};
use flux_image::marker::Problem;

/// Type of the condition; not one of Flux's.
pub const CONDITION: &str = "MarkersResolved";

const UNRESOLVED: &str = "MarkersUnresolved";
const RESOLVED: &str = "Succeeded";

/// How many markers are listed one by one.
const LISTED: usize = 50;

/// Sets the condition.
pub fn set(list: &mut Vec<Condition>, problems: &[Problem], generation: i64) {
    if problems.is_empty() {
        let message = "all markers were applied";
        conditions::set(list, CONDITION, true, RESOLVED, message, generation);
        return;
    }
    let mut lines: Vec<_> = problems
        .iter()
        .take(LISTED)
        .map(ToString::to_string)
        .collect();
    if problems.len() > LISTED {
        lines.push(format!("and {} more", problems.len() - LISTED));
    }
    conditions::set(
        list,
        CONDITION,
        false,
        UNRESOLVED,
        &lines.join("\n"),
        generation,
    );
}
