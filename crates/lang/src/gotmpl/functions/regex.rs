//! Sprig's regular expressions, in Go's syntax.

use super::super::limits::{SEARCH_WORK, out_of_memory};
use super::super::value::Value;
use super::{Call, Function, Result, exact};
use crate::goregex::GoRegex;

pub(super) static FUNCTIONS: [Function; 3] = [
    exact("regexMatch", 2, |call| {
        let regex = compile(call)?;
        Ok(Value::Bool(regex.is_match(call.text(1)?)))
    }),
    exact("regexFind", 2, |call| {
        let regex = compile(call)?;
        Ok(regex.find(call.text(1)?).unwrap_or_default().into())
    }),
    exact("regexReplaceAll", 3, |call| {
        let regex = compile(call)?;
        let left = call.meter.memory_left();
        let replaced = regex.replace_all(call.text(1)?, call.text(2)?, left);
        Ok(replaced.ok_or_else(out_of_memory)?.into())
    }),
];

/// The first argument as an expression that may search the second.
fn compile(call: &mut Call<'_>) -> Result<GoRegex> {
    let length = call.text(1)?.len();
    call.meter.work(length.saturating_mul(SEARCH_WORK))?;
    let pattern = call.text(0)?.to_owned();
    call.meter.pattern(&pattern)
}
