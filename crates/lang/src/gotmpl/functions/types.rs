//! Sprig's questions about types, and its versions.

use super::super::value::{Struct, Value};
use super::compare::deep_equal;
use super::{Call, Function, Result, exact};
use crate::semver::{Constraint, Version};

pub(super) static FUNCTIONS: [Function; 9] = [
    exact("typeOf", 1, |call| Ok(name(call.value(0)).into())),
    exact("typeIs", 2, |call| {
        Ok(Value::Bool(call.text(0)? == name(call.value(1))))
    }),
    exact("typeIsLike", 2, |call| {
        // A pointer is like what it points to.
        let (target, name) = (call.text(0)?, name(call.value(1)));
        let is_like = name == target || name.strip_prefix('*') == Some(target);
        Ok(Value::Bool(is_like))
    }),
    exact("kindOf", 1, |call| Ok(kind(call.value(0)).into())),
    exact("kindIs", 2, |call| {
        Ok(Value::Bool(call.text(0)? == kind(call.value(1))))
    }),
    exact("deepEqual", 2, |call| {
        let (a, b) = (call.value(0).clone(), call.value(1).clone());
        deep_equal(&a, &b, call.meter).map(Value::Bool)
    }),
    exact("semver", 1, |call| Ok(version(&parse(call, 0)?).into())),
    exact("semverCompare", 2, |call| {
        let constraint = Constraint::parse(call.text(0)?).map_err(|error| error.to_string())?;
        Ok(Value::Bool(constraint.matches(&parse(call, 1)?)))
    }),
    exact("hello", 0, |_| Ok("Hello!".into())),
];

fn parse(call: &Call<'_>, at: usize) -> Result<Version> {
    Version::parse(call.text(at)?).map_err(|error| error.to_string())
}

/// Go's type of a value.
fn name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "<nil>",
        Value::List(_) => "[]interface {}",
        Value::Map(_) => "map[string]interface {}",
        other => other.type_name(),
    }
}

/// Go's kind of a value.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Nil => "invalid",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::List(_) => "slice",
        Value::Map(_) => "map",
        Value::Struct(record) if record.type_name().starts_with('*') => "ptr",
        Value::Struct(_) => "struct",
    }
}

/// A version with its parts, which prints in the full form without a `v`.
fn version(version: &Version) -> Struct {
    let original = version.to_string();
    let metadata = original
        .split_once('+')
        .map_or("", |(_, metadata)| metadata);
    let Version {
        major,
        minor,
        patch,
        ..
    } = version;
    let mut text = format!("{major}.{minor}.{patch}");
    for (sign, part) in [('-', version.pre_release()), ('+', metadata)] {
        if !part.is_empty() {
            text.push(sign);
            text.push_str(part);
        }
    }
    let number = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    Struct::new("*semver.Version")
        .method("Major", number(*major))
        .method("Minor", number(*minor))
        .method("Patch", number(*patch))
        .method("Prerelease", version.pre_release())
        .method("Metadata", metadata)
        .method("Original", original.as_str())
        .method("String", text.as_str())
        .display(text)
}
