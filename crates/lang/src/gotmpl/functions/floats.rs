//! Sprig's arithmetic with fractions. What is no number counts as 0.

use super::super::value::Value;
use super::numbers::to_int;
use super::{Call, Function, Result, exact, variadic};

pub(super) static FUNCTIONS: [Function; 12] = [
    exact("float64", 1, |call| {
        Ok(Value::Float(to_float(call.value(0))))
    }),
    variadic("addf", 1, |call| fold(call, |a, b| a + b)),
    exact("add1f", 1, |call| {
        Ok(Value::Float(to_float(call.value(0)) + 1.0))
    }),
    variadic("subf", 1, |call| fold(call, |a, b| a - b)),
    variadic("mulf", 1, |call| fold(call, |a, b| a * b)),
    variadic("divf", 1, |call| {
        if call.from(1).iter().any(|value| to_float(value) == 0.0) {
            return Err("division by zero".to_owned());
        }
        fold(call, |a, b| a / b)
    }),
    variadic("maxf", 1, |call| fold(call, f64::max)),
    variadic("minf", 1, |call| fold(call, f64::min)),
    exact("ceil", 1, |call| {
        Ok(Value::Float(to_float(call.value(0)).ceil()))
    }),
    exact("floor", 1, |call| {
        Ok(Value::Float(to_float(call.value(0)).floor()))
    }),
    variadic("round", 2, |call| {
        let (value, places) = (to_float(call.value(0)), call.int(1)?);
        let places = i32::try_from(places).map_err(|_| "too many places".to_owned())?;
        let scale = 10_f64.powi(places);
        let threshold = match call.from(2) {
            [] => 0.5,
            [given, ..] => to_float(given),
        };
        let scaled = value * scale;
        let part = scaled.fract().abs();
        let up = if part >= threshold { 1.0 } else { 0.0 };
        Ok(Value::Float(
            (scaled.trunc() + up * scaled.signum()) / scale,
        ))
    }),
    variadic("seq", 0, seq),
];

fn fold(call: &Call<'_>, combine: fn(f64, f64) -> f64) -> Result {
    let numbers = call.args.iter().map(to_float);
    Ok(Value::Float(numbers.reduce(combine).unwrap_or_default()))
}

fn to_float(value: &Value) -> f64 {
    match value {
        Value::Float(value) => *value,
        Value::String(text) => text.trim().parse().unwrap_or(0.0),
        #[expect(clippy::cast_precision_loss, reason = "as Go converts")]
        other => to_int(other) as f64,
    }
}

/// Numbers with spaces between, as the program of this name prints them.
fn seq(call: &mut Call<'_>) -> Result {
    let number = |at: usize| to_int(call.value(at));
    let down = |from: i64, to: i64| if to < from { -1 } else { 1 };
    let (from, step, to) = match call.args.len() {
        0 => return Ok("".into()),
        1 => (1, down(1, number(0)), number(0)),
        2 => (number(0), down(number(0), number(1)), number(1)),
        3 => (number(0), number(1), number(2)),
        _ => return Ok("".into()),
    };
    if step == 0 || (step < 0) != (to < from) && to != from {
        return Ok("".into());
    }
    let mut text = String::new();
    let mut at = from;
    while if step > 0 { at <= to } else { at >= to } {
        call.meter.work(1)?;
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&at.to_string());
        call.meter.room(text.len())?;
        let Some(next) = at.checked_add(step) else {
            break;
        };
        at = next;
    }
    Ok(text.into())
}
