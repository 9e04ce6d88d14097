//! Sprig's integer arithmetic, which takes any value for a number: what is none counts as 0, and
//! overflow wraps as in Go.

use super::super::literal;
use super::super::value::Value;
use super::{Call, Function, Result, exact, list, variadic};

pub(super) static FUNCTIONS: [Function; 15] = [
    variadic("add", 0, |call| Ok(fold(&call.args, 0, i64::wrapping_add))),
    exact("add1", 1, |call| {
        Ok(Value::Int(to_int(call.value(0)).wrapping_add(1)))
    }),
    exact("sub", 2, |call| {
        Ok(Value::Int(
            to_int(call.value(0)).wrapping_sub(to_int(call.value(1))),
        ))
    }),
    variadic("mul", 1, |call| Ok(fold(&call.args, 1, i64::wrapping_mul))),
    exact("div", 2, |call| {
        divide(call, i64::checked_div, i64::wrapping_div)
    }),
    exact("mod", 2, |call| {
        divide(call, i64::checked_rem, i64::wrapping_rem)
    }),
    variadic("max", 1, |call| Ok(fold(&call.args, i64::MIN, Ord::max))),
    variadic("biggest", 1, |call| {
        Ok(fold(&call.args, i64::MIN, Ord::max))
    }),
    variadic("min", 1, |call| Ok(fold(&call.args, i64::MAX, Ord::min))),
    exact("int", 1, |call| Ok(Value::Int(to_int(call.value(0))))),
    exact("int64", 1, |call| Ok(Value::Int(to_int(call.value(0))))),
    exact("atoi", 1, |call| {
        Ok(Value::Int(call.text(0)?.parse().unwrap_or(0)))
    }),
    exact("toDecimal", 1, |call| {
        // Of a number in octal notation.
        let value = call.value(0).clone();
        let digits = call.keep(&value)?;
        Ok(Value::Int(i64::from_str_radix(&digits, 8).unwrap_or(0)))
    }),
    exact("until", 1, |call| {
        let stop = call.int(0)?;
        steps(call, 0, stop, if stop < 0 { -1 } else { 1 })
    }),
    exact("untilStep", 3, |call| {
        let (start, stop, step) = (call.int(0)?, call.int(1)?, call.int(2)?);
        steps(call, start, stop, step)
    }),
];

fn fold(args: &[Value], start: i64, combine: fn(i64, i64) -> i64) -> Value {
    Value::Int(args.iter().map(to_int).fold(start, combine))
}

fn divide(
    call: &Call<'_>,
    checked: fn(i64, i64) -> Option<i64>,
    wrapping: fn(i64, i64) -> i64,
) -> Result {
    let (a, b) = (to_int(call.value(0)), to_int(call.value(1)));
    if b == 0 {
        return Err("integer divide by zero".to_owned());
    }
    // Only the least integer by -1 overflows.
    Ok(Value::Int(checked(a, b).unwrap_or_else(|| wrapping(a, b))))
}

/// A value as an integer: floats lose their fraction, strings are read as Go reads integers.
pub(super) fn to_int(value: &Value) -> i64 {
    match value {
        Value::Int(value) => *value,
        Value::Bool(value) => i64::from(*value),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "truncation is what sprig does"
        )]
        Value::Float(value) => *value as i64,
        Value::String(text) => {
            let whole = match text.split_once('.') {
                Some((whole, zeros)) if zeros.bytes().all(|byte| byte == b'0') => whole,
                _ => text,
            };
            literal::integer(whole).unwrap_or(0)
        }
        _ => 0,
    }
}

fn steps(call: &mut Call<'_>, start: i64, stop: i64, step: i64) -> Result {
    let distance = i128::from(stop) - i128::from(start);
    let step = i128::from(step);
    // Empty if the step leads nowhere or away from the end.
    let count = if distance == 0 || step == 0 || (distance < 0) != (step < 0) {
        0
    } else {
        (distance.abs() + step.abs() - 1) / step.abs()
    };
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    call.meter.room(count.saturating_mul(size_of::<Value>()))?;
    call.meter.work(count)?;
    let mut at = i128::from(start);
    let items = std::iter::repeat_with(|| {
        let value = i64::try_from(at).unwrap_or(stop);
        at += step;
        Value::Int(value)
    });
    Ok(list(items.take(count).collect()))
}
