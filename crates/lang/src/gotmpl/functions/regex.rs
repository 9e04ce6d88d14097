//! Sprig's regular expressions, in Go's syntax.

use super::super::limits::{Pattern, out_of_memory};
use super::super::value::Value;
use super::{Call, Function, Result, exact, list};
use crate::goregex::GoRegex;

pub(super) static FUNCTIONS: [Function; 7] = [
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
    exact("regexReplaceAllLiteral", 3, |call| {
        let regex = compile(call)?;
        let left = call.meter.memory_left();
        let literal = call.text(2)?.replace('$', "$$");
        let replaced = regex.replace_all(call.text(1)?, &literal, left);
        Ok(replaced.ok_or_else(out_of_memory)?.into())
    }),
    exact("regexFindAll", 3, |call| {
        let (regex, limit) = (compile(call)?, limit(call)?);
        let found = regex.find_all(call.text(1)?, limit);
        call.meter.room(found.len() * size_of::<Value>())?;
        Ok(list(found.into_iter().map(Value::from).collect()))
    }),
    exact("regexSplit", 3, |call| {
        let (regex, limit) = (compile(call)?, limit(call)?);
        let parts = regex.split(call.text(1)?, limit);
        call.meter.room(parts.len() * size_of::<Value>())?;
        Ok(list(parts.into_iter().map(Value::from).collect()))
    }),
    exact("regexQuoteMeta", 1, |call| {
        let mut quoted = String::new();
        for c in call.text(0)?.chars() {
            if "\\.+*?()|[]{}^$".contains(c) {
                quoted.push('\\');
            }
            quoted.push(c);
        }
        Ok(quoted.into())
    }),
];

/// The last argument: how many are wanted, all for a negative number.
fn limit(call: &Call<'_>) -> Result<usize> {
    Ok(usize::try_from(call.int(2)?).unwrap_or(usize::MAX))
}

/// The first argument as an expression that may search the second.
fn compile(call: &mut Call<'_>) -> Result<GoRegex> {
    let length = call.text(1)?.len();
    let pattern = call.text(0)?.to_owned();
    let Pattern { regex, cost } = call.meter.pattern(&pattern)?;
    call.meter.work(length.saturating_mul(cost))?;
    Ok(regex)
}
