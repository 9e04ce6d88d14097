//! What an apply makes of an object, as far as that can be known without the API server. Pure.
//!
//! It follows server-side apply: fields of the desired object are set, fields that were ours and are
//! not desired any more go, everything else stays. Which lists are merged by key is read from
//! `managedFields`, since nothing here knows schemas.

use flux_api::names::APPLY_FIELD_MANAGER;
use flux_apply::managers::Manager;
use flux_apply::normalize;
use flux_build::is_mask;
use serde_json::{Map, Value};

/// What `kubectl apply` remembers; the operator removes it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Maps of quantities, which the API server writes in its own way: `0.5` becomes `500m`.
const QUANTITIES: &[&str] = &["limits", "requests", "hard", "capacity"];
/// Single quantities.
const QUANTITY: &[&str] = &["sizeLimit", "divisor", "storage"];
/// Fields that the API server fills in within structures that are written as a whole.
const DEFAULTED: &[&str] = &["apiVersion", "defaultMode", "divisor", "protocol"];

/// The object without what only the API server writes.
pub(super) fn stripped(mut object: Value) -> Value {
    normalize::strip(&mut object);
    if let Some(metadata) = object["metadata"].as_object_mut() {
        let is_empty = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
            .is_some_and(|all| {
                all.remove(LAST_APPLIED);
                all.is_empty()
            });
        if is_empty {
            metadata.remove("annotations");
        }
    }
    object
}

/// Puts live values where the desired object has encrypted ones: nobody here can read those, so
/// that they have changed cannot be seen.
pub(super) fn fill_encrypted(desired: &mut Value, live: &Value) {
    match desired {
        Value::Object(map) => {
            for (key, value) in map {
                fill_encrypted(value, &live[key.as_str()]);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter_mut().enumerate() {
                fill_encrypted(value, &live[index]);
            }
        }
        Value::String(text)
            if live.is_string() && (text.starts_with("ENC[AES256_GCM") || is_mask(text)) =>
        {
            *desired = live.clone();
        }
        _ => {}
    }
}

/// The object as an apply makes it out of the live one.
pub(super) fn merged(live: &Value, desired: &Value) -> Value {
    let (ours, others) = owned(live);
    let mut all = ours.clone();
    unite(&mut all, &others);
    let mut object = live.clone();
    release(&mut object, &ours, Some(desired), &others);
    overlay(&mut object, desired, Some(&all), false);
    object
}

/// What the API server answered, without the fields that the operator takes over from `kubectl
/// apply` and does not find in the manifest.
pub(super) fn taken_over(mut after: Value, live: &Value, desired: &Value) -> Value {
    let (mut old, mut rest) = (Value::Null, Value::Null);
    for entry in entries(live) {
        match is_predecessor(entry) {
            true => unite(&mut old, &entry["fieldsV1"]),
            false => unite(&mut rest, &entry["fieldsV1"]),
        }
    }
    release(&mut after, &old, Some(desired), &rest);
    after
}

fn entries(live: &Value) -> impl Iterator<Item = &Value> {
    let entries = live["metadata"]["managedFields"].as_array();
    entries.into_iter().flatten()
}

fn is_predecessor(entry: &Value) -> bool {
    let text = |field: &str| entry[field].as_str().unwrap_or_default();
    let (name, operation) = (text("manager"), text("operation"));
    Manager::from(APPLY_FIELD_MANAGER).succeeds(name, operation, text("subresource"))
}

/// The field sets of the operator with its predecessors, and of everybody else.
fn owned(live: &Value) -> (Value, Value) {
    let (mut ours, mut others) = (Value::Null, Value::Null);
    for entry in entries(live) {
        let is_applied = entry["manager"] == APPLY_FIELD_MANAGER && entry["operation"] == "Apply";
        match is_applied || is_predecessor(entry) {
            true => unite(&mut ours, &entry["fieldsV1"]),
            false => unite(&mut others, &entry["fieldsV1"]),
        }
    }
    (ours, others)
}

fn unite(into: &mut Value, from: &Value) {
    let Some(from) = from.as_object() else { return };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    if let Some(into) = into.as_object_mut() {
        for (key, value) in from {
            unite(into.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Removes what is in `owned`, and neither desired nor in `others`.
fn release(node: &mut Value, owned: &Value, desired: Option<&Value>, others: &Value) {
    let empty = Map::new();
    for (key, below) in owned.as_object().unwrap_or(&empty) {
        let theirs = &others[key.as_str()];
        if let Some(field) = key.strip_prefix("f:") {
            let wanted = desired.and_then(|desired| desired.get(field));
            let Some(map) = node.as_object_mut() else {
                return;
            };
            if is_leaf(below) {
                if wanted.is_none() && theirs.is_null() {
                    map.remove(field);
                }
            } else if let Some(value) = map.get_mut(field) {
                release(value, below, wanted, theirs);
                if wanted.is_none() && theirs.is_null() && is_hollow(value) {
                    map.remove(field);
                }
            }
        } else if let (Some(keys), Some(items)) = (keys_of(key), node.as_array_mut()) {
            let Some(at) = items.iter().position(|item| fits(item, &keys)) else {
                continue;
            };
            let wanted = desired
                .and_then(Value::as_array)
                .and_then(|all| all.iter().find(|item| fits(item, &keys)));
            if wanted.is_none() && theirs.is_null() {
                items.remove(at);
            } else if let Some(item) = items.get_mut(at) {
                release(item, below, wanted, theirs);
            }
        } else if let (Some(text), Some(items)) = (key.strip_prefix("v:"), node.as_array_mut()) {
            let value: Value = serde_json::from_str(text).unwrap_or_default();
            let wanted = desired.and_then(Value::as_array);
            if theirs.is_null() && !wanted.is_some_and(|all| all.contains(&value)) {
                items.retain(|item| *item != value);
            }
        }
    }
}

/// Whether a node of a field set names a field as a whole.
fn is_leaf(below: &Value) -> bool {
    below.as_object().is_none_or(Map::is_empty)
}

fn is_hollow(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn keys_of(key: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(key.strip_prefix("k:")?).ok()
}

/// Whether an item of a list has these key fields; those that it leaves out were filled in by the
/// API server.
fn fits(item: &Value, keys: &Map<String, Value>) -> bool {
    let mut some = false;
    keys.iter().all(|(key, value)| match item.get(key) {
        Some(found) => {
            some = true;
            found == value
        }
        None => true,
    }) && some
}

/// Sets what is desired.
fn overlay(node: &mut Value, desired: &Value, owned: Option<&Value>, is_quantity: bool) {
    match desired {
        Value::Null => {}
        Value::Object(map) => {
            let is_whole = owned.is_some_and(is_leaf);
            let Some(fields) = node.as_object_mut() else {
                *node = desired.clone();
                return;
            };
            if is_whole {
                fields.retain(|key, _| map.contains_key(key) || DEFAULTED.contains(&key.as_str()));
            }
            for (key, value) in map {
                let below = match is_whole {
                    true => Some(&Value::Null),
                    false => owned.and_then(|owned| owned.get(format!("f:{key}"))),
                };
                let is_quantity = QUANTITY.contains(&key.as_str())
                    || (is_quantity && !value.is_object())
                    || QUANTITIES.contains(&key.as_str());
                match fields.get_mut(key) {
                    Some(field) => overlay(field, value, below, is_quantity),
                    None if value.is_null() => {}
                    None => {
                        fields.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        Value::Array(items) => overlay_list(node, items, owned),
        scalar if is_quantity && same_quantity(node, scalar) => {}
        scalar => *node = scalar.clone(),
    }
}

fn overlay_list(node: &mut Value, desired: &[Value], owned: Option<&Value>) {
    let Some(live) = node.as_array_mut() else {
        *node = Value::Array(desired.to_vec());
        return;
    };
    let owned = owned.and_then(Value::as_object);
    let has = |prefix: &str| owned.is_some_and(|map| map.keys().any(|k| k.starts_with(prefix)));
    if has("v:") {
        for value in desired
            .iter()
            .filter(|value| !live.contains(value))
            .cloned()
            .collect::<Vec<_>>()
        {
            live.push(value);
        }
    } else if has("k:") {
        for item in desired {
            let found = owned.into_iter().flatten().find_map(|(key, below)| {
                let keys = keys_of(key).filter(|keys| fits(item, keys))?;
                let at = live.iter().position(|live| fits(live, &keys))?;
                Some((at, below))
            });
            match found {
                Some((at, below)) => {
                    if let Some(live) = live.get_mut(at) {
                        overlay(live, item, Some(below), false);
                    }
                }
                None => live.push(item.clone()),
            }
        }
    } else if live.len() == desired.len() {
        // Written as a whole; what the API server filled into the items stays.
        for (live, item) in live.iter_mut().zip(desired) {
            overlay(live, item, None, false);
        }
    } else {
        *live = desired.to_vec();
    }
}

/// Whether two quantities are the same amount, however they are written.
fn same_quantity(one: &Value, other: &Value) -> bool {
    let amount = |value: &Value| match value {
        Value::String(text) => quantity(text),
        Value::Number(number) => number.as_f64(),
        _ => None,
    };
    match (amount(one), amount(other)) {
        (Some(one), Some(other)) => (one - other).abs() <= one.abs() * f64::EPSILON,
        _ => false,
    }
}

/// A quantity of Kubernetes (`apimachinery/pkg/api/resource`) as a number.
fn quantity(text: &str) -> Option<f64> {
    const UNITS: &[(&str, f64)] = &[
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
    ];
    let unit = UNITS.iter().find(|(unit, _)| text.ends_with(unit));
    let (digits, factor) = match unit {
        Some((unit, factor)) => (text.strip_suffix(unit)?, *factor),
        None => (text, 1.0),
    };
    digits.parse::<f64>().ok().map(|number| number * factor)
}

#[cfg(test)]
#[path = "predict/tests.rs"]
mod tests;
