//! More of sprig's dictionaries.

use super::super::value::{Map, Value};
use super::{Call, Function, Result, exact, list, variadic};

pub(super) static FUNCTIONS: [Function; 10] = [
    variadic("pick", 1, |call| filter(call, true)),
    variadic("omit", 1, |call| filter(call, false)),
    variadic("pluck", 1, |call| {
        let mut found = Vec::new();
        for at in 1..call.args.len() {
            found.extend(call.map(at)?.get(call.value(0)).cloned());
        }
        Ok(list(found))
    }),
    variadic("merge", 1, |call| merge_all(call, false)),
    variadic("mergeOverwrite", 1, |call| merge_all(call, true)),
    // Values do not change: the same one is as good as a copy.
    exact("deepCopy", 1, |call| Ok(call.value(0).clone())),
    variadic("dig", 3, dig),
    variadic("all", 0, |call| {
        Ok(Value::Bool(call.args.iter().all(Value::truth)))
    }),
    variadic("any", 0, |call| {
        Ok(Value::Bool(call.args.iter().any(Value::truth)))
    }),
    exact("chunk", 2, |call| {
        let size = call.count(0)?.max(1);
        let chunks = call.list(1)?.chunks(size);
        let chunks = chunks.map(|items| list(items.to_vec()));
        Ok(list(chunks.collect()))
    }),
];

/// Entries whose keys are among the other arguments, or are not.
fn filter(call: &mut Call<'_>, keep: bool) -> Result {
    let keys = call.from(1);
    for at in 0..keys.len() {
        call.text(at + 1)?;
    }
    let entries = call.map(0)?.entries().iter();
    let named = |key: &Value| keys.iter().any(|named| named.order(key).is_eq());
    let kept: Vec<_> = entries
        .filter(|(key, _)| named(key) == keep)
        .cloned()
        .collect();
    let cost = kept.len().saturating_mul(keys.len());
    call.meter.work(cost)?;
    Ok(Map::new(kept).into())
}

/// The first map with what the others have in addition, or instead.
fn merge_all(call: &mut Call<'_>, overwrite: bool) -> Result {
    let mut merged = Value::from(Map::new(call.map(0)?.entries().to_vec()));
    for at in 1..call.args.len() {
        call.map(at)?;
        let other = call.value(at).clone();
        merged = merge(call, &merged, &other, overwrite)?;
    }
    Ok(merged)
}

fn merge(call: &mut Call<'_>, ours: &Value, theirs: &Value, overwrite: bool) -> Result {
    let (Value::Map(ours), Value::Map(theirs)) = (ours, theirs) else {
        return Ok(ours.clone());
    };
    let size = ours.entries().len() + theirs.entries().len();
    call.meter.work(1 + size)?;
    call.meter.memory(size * 2 * size_of::<Value>())?;
    let mut entries = ours.entries().to_vec();
    for (key, value) in theirs.entries() {
        match ours.get(key) {
            Some(own @ Value::Map(_)) if matches!(value, Value::Map(_)) => {
                let own = own.clone();
                entries.push((key.clone(), merge(call, &own, value, overwrite)?));
            }
            // What is empty does not overwrite, and is overwritten.
            Some(own) if own.truth() && !(overwrite && value.truth()) => {}
            _ => entries.push((key.clone(), value.clone())),
        }
    }
    Ok(Map::new(entries).into())
}

/// Follows keys into nested maps: keys, a default, the map.
fn dig(call: &mut Call<'_>) -> Result {
    let count = call.args.len();
    let (default, mut value) = (call.value(count - 2), call.value(count - 1));
    for at in 0..count - 2 {
        call.text(at)?;
        let Value::Map(map) = value else {
            return Ok(default.clone());
        };
        match map.get(call.value(at)) {
            Some(found) => value = found,
            None => return Ok(default.clone()),
        }
    }
    Ok(value.clone())
}
