//! Go's comparisons, and the deep equality of sprig's list functions.

use super::super::limits::Meter;
use super::super::value::Value;
use super::{Call, Function, Result, exact, variadic};

pub(super) static FUNCTIONS: [Function; 6] = [
    variadic("eq", 1, |call| eq(call).map(Value::Bool)),
    exact("ne", 2, |call| eq(call).map(|equal| Value::Bool(!equal))),
    exact("lt", 2, |call| less(call).map(Value::Bool)),
    exact("ge", 2, |call| less(call).map(|less| Value::Bool(!less))),
    exact("le", 2, |call| Ok(Value::Bool(less(call)? || eq(call)?))),
    exact("gt", 2, |call| Ok(Value::Bool(!(less(call)? || eq(call)?)))),
];

/// Whether the first argument equals one of the others.
fn eq(call: &mut Call<'_>) -> Result<bool> {
    let Some((first, others)) = call.args.split_first() else {
        return Ok(false);
    };
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        let equal = match (first, other) {
            (Value::Nil, Value::Nil) => true,
            (Value::Nil, _) | (_, Value::Nil) => false,
            (Value::List(_) | Value::Map(_), Value::List(_) | Value::Map(_)) => {
                let name = first.type_name();
                return Err(format!("non-comparable type: {name}"));
            }
            (Value::Struct(_), Value::Struct(_)) => deep_equal(first, other, call.meter)?,
            (a, b) if a.type_name() != b.type_name() => {
                let (a, b) = (a.type_name(), b.type_name());
                return Err(format!("incompatible types for comparison: {a} and {b}"));
            }
            (a, b) => deep_equal(a, b, call.meter)?,
        };
        if equal {
            return Ok(true);
        }
    }
    Ok(false)
}

fn less(call: &mut Call<'_>) -> Result<bool> {
    match (call.value(0), call.value(1)) {
        (Value::Int(a), Value::Int(b)) => Ok(a < b),
        (Value::Float(a), Value::Float(b)) => Ok(a < b),
        (Value::String(a), Value::String(b)) => Ok(a < b),
        (
            a @ (Value::Int(_) | Value::Float(_) | Value::String(_) | Value::Bool(_)),
            b @ (Value::Int(_) | Value::Float(_) | Value::String(_) | Value::Bool(_)),
        ) if a.type_name() != b.type_name() => {
            let (a, b) = (a.type_name(), b.type_name());
            Err(format!("incompatible types for comparison: {a} and {b}"))
        }
        _ => Err("invalid type for comparison".to_owned()),
    }
}

/// Go's `reflect.DeepEqual`. Lists that share their elements may be exponentially large as trees,
/// so every comparison costs.
pub(super) fn deep_equal(a: &Value, b: &Value, meter: &mut Meter) -> Result<bool> {
    meter.bytes(a.size().min(b.size()))?;
    match (a, b) {
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Int(a), Value::Int(b)) => Ok(a == b),
        #[expect(
            clippy::float_cmp,
            reason = "exact equality is what the template asks for"
        )]
        (Value::Float(a), Value::Float(b)) => Ok(a == b),
        (Value::String(a), Value::String(b)) => Ok(a == b),
        (Value::List(a), Value::List(b)) => {
            let pairs = a.items().iter().zip(b.items());
            all(a.items().len() == b.items().len(), pairs, meter)
        }
        (Value::Map(a), Value::Map(b)) => {
            let (a, b) = (a.entries(), b.entries());
            let pairs = a.iter().zip(b);
            let pairs = pairs.flat_map(|(a, b)| [(&a.0, &b.0), (&a.1, &b.1)]);
            all(a.len() == b.len(), pairs, meter)
        }
        (Value::Struct(x), Value::Struct(y)) if a.type_name() == b.type_name() => {
            let (a_text, b_text) = (x.text(), y.text());
            let (x, y) = (x.fields(), y.fields());
            let pairs = x.iter().zip(y).map(|(x, y)| (&x.1, &y.1));
            all(x.len() == y.len() && a_text == b_text, pairs, meter)
        }
        _ => Ok(false),
    }
}

fn all<'v>(
    same_length: bool,
    pairs: impl Iterator<Item = (&'v Value, &'v Value)>,
    meter: &mut Meter,
) -> Result<bool> {
    if !same_length {
        return Ok(false);
    }
    for (a, b) in pairs {
        if !deep_equal(a, b, meter)? {
            return Ok(false);
        }
    }
    Ok(true)
}
