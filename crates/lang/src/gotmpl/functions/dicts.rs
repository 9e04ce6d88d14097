//! Sprig's dictionaries. There is no `set`: values do not change.

use super::super::value::{Map, Value};
use super::{Call, Function, Result, exact, list, variadic};

pub(super) static FUNCTIONS: [Function; 5] = [
    variadic("dict", 0, dict),
    exact("get", 2, |call| {
        let (map, key) = (call.map(0)?, call.value(1));
        call.text(1)?;
        Ok(map.get(key).cloned().unwrap_or_else(|| "".into()))
    }),
    exact("hasKey", 2, |call| {
        let (map, key) = (call.map(0)?, call.value(1));
        call.text(1)?;
        Ok(Value::Bool(map.get(key).is_some()))
    }),
    variadic("keys", 0, keys),
    exact("values", 1, |call| {
        let entries = call.map(0)?.entries();
        Ok(list(entries.iter().map(|(_, v)| v.clone()).collect()))
    }),
];

/// Keys and values in turn; a last key without a value gets the empty string.
fn dict(call: &mut Call<'_>) -> Result {
    let mut entries = Vec::with_capacity(call.args.len().div_ceil(2));
    let mut args = std::mem::take(&mut call.args).into_iter();
    while let Some(key) = args.next() {
        let value = args.next().unwrap_or_else(|| "".into());
        entries.push((call.keep(&key)?.into(), value));
    }
    Ok(Map::new(entries).into())
}

/// The keys of all the maps, sorted within each.
fn keys(call: &mut Call<'_>) -> Result {
    let mut keys = Vec::new();
    for at in 0..call.args.len() {
        keys.extend(call.map(at)?.entries().iter().map(|(k, _)| k.clone()));
    }
    Ok(list(keys))
}
