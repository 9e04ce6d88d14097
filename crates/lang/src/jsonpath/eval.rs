//! From a template and an object to text.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Comparison, Filter, Node, Operand, Path, Step};

pub(super) fn nodes(nodes: &[Node], root: &Value, current: &Value, text: &mut String) {
    for node in nodes {
        match node {
            Node::Text(literal) => text.push_str(literal),
            Node::Path(path) => {
                let found: Vec<String> = self::path(path, root, current)
                    .into_iter()
                    .map(self::text)
                    .collect();
                text.push_str(&found.join(" "));
            }
            Node::Range(path, below) => {
                for value in self::path(path, root, current) {
                    self::nodes(below, root, value, text);
                }
            }
        }
    }
}

/// The values that a path leads to.
pub(super) fn path<'a>(path: &Path, root: &'a Value, current: &'a Value) -> Vec<&'a Value> {
    let start = if path.from_root { root } else { current };
    let mut values = vec![start];
    for step in &path.steps {
        values = values
            .into_iter()
            .flat_map(|value| follow(step, root, value))
            .collect();
    }
    values
}

fn follow<'a>(step: &Step, root: &'a Value, value: &'a Value) -> Vec<&'a Value> {
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::All => children(value).collect(),
        Step::Descend => {
            let mut all = vec![value];
            let mut next = 0;
            while let Some(value) = all.get(next).copied() {
                all.extend(children(value));
                next += 1;
            }
            all
        }
        Step::Slice { start, end, step } => slice(value, *start, *end, *step),
        Step::Union(steps) => steps
            .iter()
            .flat_map(|step| follow(step, root, value))
            .collect(),
        Step::Filter(filter) => children(value)
            .filter(|value| holds(filter, root, value))
            .collect(),
    }
}

fn children(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(map) => Box::new(map.values()),
        _ => Box::new(std::iter::empty()),
    }
}

/// Elements of a list; negative positions count from its end.
fn slice(value: &Value, start: Option<i64>, end: Option<i64>, step: Option<i64>) -> Vec<&Value> {
    let Some(items) = value.as_array() else {
        return Vec::new();
    };
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let place = |position: i64| match position < 0 {
        true => position.saturating_add(length),
        false => position,
    };
    let first = place(start.unwrap_or(0));
    let last = end.map_or(length, place).min(length);
    let step = usize::try_from(step.unwrap_or(1)).unwrap_or(1).max(1);
    let (Ok(first), Ok(last)) = (usize::try_from(first), usize::try_from(last)) else {
        return Vec::new();
    };
    let found = items.get(first..last).unwrap_or_default();
    found.iter().step_by(step).collect()
}

fn holds(filter: &Filter, root: &Value, value: &Value) -> bool {
    let all = |operand: &Operand| -> Vec<Value> {
        match operand {
            Operand::Literal(literal) => vec![literal.clone()],
            Operand::Path(path) => self::path(path, root, value).into_iter().cloned().collect(),
        }
    };
    let left = all(&filter.left);
    let Some((comparison, right)) = &filter.right else {
        return !left.is_empty();
    };
    match (left.as_slice(), all(right).as_slice()) {
        ([left], [right]) => compare(*comparison, left, right),
        _ => false,
    }
}

fn compare(comparison: Comparison, left: &Value, right: &Value) -> bool {
    let order = match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64().partial_cmp(&right.as_f64()),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (left, right) if left == right => Some(Ordering::Equal),
        _ => None,
    };
    match comparison {
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::Different => order != Some(Ordering::Equal),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }
}

/// A value as it is printed: texts without quotes, lists and maps as JSON.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
