//! Sprig's lists, and its notion of empty.

use super::super::value::Value;
use super::compare::deep_equal;
use super::{Call, Function, Result, exact, list, variadic};

pub(super) static FUNCTIONS: [Function; 22] = [
    variadic("list", 0, |call| Ok(list(std::mem::take(&mut call.args)))),
    variadic("tuple", 0, |call| Ok(list(std::mem::take(&mut call.args)))),
    exact("first", 1, |call| {
        Ok(call.list(0)?.first().cloned().unwrap_or_default())
    }),
    exact("last", 1, |call| {
        Ok(call.list(0)?.last().cloned().unwrap_or_default())
    }),
    exact("rest", 1, |call| {
        let items = call.list(0)?;
        Ok(list(items.get(1..).unwrap_or_default().to_vec()))
    }),
    exact("initial", 1, |call| {
        let initial = call.list(0)?.split_last().map(|(_, items)| items);
        Ok(list(initial.unwrap_or_default().to_vec()))
    }),
    exact("append", 2, append),
    exact("push", 2, append),
    exact("prepend", 2, |call| {
        let items = [&[call.value(1).clone()], call.list(0)?].concat();
        Ok(list(items))
    }),
    variadic("concat", 0, concat),
    exact("reverse", 1, |call| {
        Ok(list(call.list(0)?.iter().rev().cloned().collect()))
    }),
    exact("uniq", 1, uniq),
    exact("compact", 1, |call| {
        let items = call.list(0)?.iter().filter(|item| !is_empty(item));
        Ok(list(items.cloned().collect()))
    }),
    variadic("without", 1, without),
    exact("has", 2, has),
    exact("sortAlpha", 1, sort_alpha),
    exact("toStrings", 1, |call| {
        let texts = strings(call, 0)?.into_iter();
        Ok(list(texts.map(Value::from).collect()))
    }),
    variadic("default", 1, |call| {
        let given = call.value(1);
        Ok(if is_empty(given) {
            call.value(0)
        } else {
            given
        }
        .clone())
    }),
    exact("empty", 1, |call| Ok(Value::Bool(is_empty(call.value(0))))),
    variadic("coalesce", 0, |call| {
        let found = call.args.iter().find(|value| !is_empty(value));
        Ok(found.cloned().unwrap_or_default())
    }),
    exact("ternary", 3, |call| {
        let at = if call.bool(2)? { 0 } else { 1 };
        Ok(call.value(at).clone())
    }),
    exact("join", 2, |call| {
        let parts = strings(call, 1)?;
        let separator = call.text(0)?;
        let length: usize = parts.iter().map(|part| part.len() + separator.len()).sum();
        call.meter.room(length)?;
        Ok(parts.join(separator).into())
    }),
];

/// Sprig's `empty`, which is the opposite of Go's truth.
fn is_empty(value: &Value) -> bool {
    !value.truth()
}

fn append(call: &mut Call<'_>) -> Result {
    let items = [call.list(0)?, &[call.value(1).clone()]].concat();
    Ok(list(items))
}

fn concat(call: &mut Call<'_>) -> Result {
    let size: usize = call.args.iter().map(Value::size).sum();
    call.meter.room(size)?;
    let mut items = Vec::new();
    for at in 0..call.args.len() {
        items.extend_from_slice(call.list(at)?);
    }
    Ok(list(items))
}

fn uniq(call: &mut Call<'_>) -> Result {
    let items = call.list(0)?.to_vec();
    let mut kept: Vec<Value> = Vec::new();
    for item in items {
        if !contains(call, &kept, &item)? {
            kept.push(item);
        }
    }
    Ok(list(kept))
}

fn without(call: &mut Call<'_>) -> Result {
    let items = call.list(0)?.to_vec();
    let omitted = call.from(1).to_vec();
    let mut kept = Vec::new();
    for item in items {
        if !contains(call, &omitted, &item)? {
            kept.push(item);
        }
    }
    Ok(list(kept))
}

fn has(call: &mut Call<'_>) -> Result {
    if matches!(call.value(1), Value::Nil) {
        return Ok(Value::Bool(false));
    }
    let (needle, items) = (call.value(0).clone(), call.list(1)?.to_vec());
    contains(call, &items, &needle).map(Value::Bool)
}

fn contains(call: &mut Call<'_>, items: &[Value], needle: &Value) -> Result<bool> {
    for item in items {
        if deep_equal(item, needle, call.meter)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn sort_alpha(call: &mut Call<'_>) -> Result {
    if !matches!(call.value(0), Value::List(_)) {
        return Ok(list(vec![call.printed(0)?.into()]));
    }
    let mut texts = strings(call, 0)?;
    texts.sort();
    Ok(list(texts.into_iter().map(Value::from).collect()))
}

/// An argument as strings: the elements of a list that are not nil, or the one value.
fn strings(call: &mut Call<'_>, at: usize) -> Result<Vec<String>> {
    let value = call.value(at).clone();
    let items = match &value {
        Value::List(list) => list.items(),
        one => std::slice::from_ref(one),
    };
    let mut texts = Vec::with_capacity(items.len());
    for item in items.iter().filter(|item| !matches!(item, Value::Nil)) {
        texts.push(call.keep(item)?);
    }
    Ok(texts)
}
