//! Comparisons as Kubernetes knows them: numbers are compared by their value, whatever their types.
//!
//! JSON has one kind of number, so `status.load == 1` must not depend on whether somebody wrote `1` or
//! `1.0`. The library compares such numbers only where they are values of its older form; these
//! functions bring them there.

use std::cmp::Ordering;

use cel::common::ast::operators;
use cel::extractors::Arguments;
use cel::{Context, ExecutionError, Value};

type Comparison = fn(&Value, &Value) -> Option<bool>;

/// Operator, the function in its place (a name that no expression can write), and what it does;
/// `None` for what cannot be compared.
const FUNCTIONS: [(&str, &str, Comparison); 7] = [
    (operators::EQUALS, "@==", |a, b| Some(a == b)),
    (operators::NOT_EQUALS, "@!=", |a, b| Some(a != b)),
    (operators::LESS, "@<", |a, b| {
        order(a, b).map(Ordering::is_lt)
    }),
    (operators::LESS_EQUALS, "@<=", |a, b| {
        order(a, b).map(Ordering::is_le)
    }),
    (operators::GREATER, "@>", |a, b| {
        order(a, b).map(Ordering::is_gt)
    }),
    (operators::GREATER_EQUALS, "@>=", |a, b| {
        order(a, b).map(Ordering::is_ge)
    }),
    (operators::IN, "@in_", contains),
];

/// The function in the place of an operator.
pub(super) fn function(operator: &str) -> Option<&'static str> {
    let found = FUNCTIONS.iter().find(|(name, ..)| *name == operator);
    found.map(|(_, function, _)| *function)
}

/// Makes the functions known.
pub fn add(scope: &mut Context<'_>) {
    for (_, name, comparison) in FUNCTIONS {
        scope.add_function(name, move |Arguments(values): Arguments| {
            let answer = match values.as_slice() {
                [left, right] => comparison(left, right),
                _ => None,
            };
            answer
                .map(Value::Bool)
                .ok_or(ExecutionError::NoSuchOverload)
        });
    }
}

/// Which is less, where that can be said: values of one type that has an order, and any two numbers.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Null, _) | (_, Value::Null) => None,
        _ => left.partial_cmp(right),
    }
}

fn contains(item: &Value, container: &Value) -> Option<bool> {
    match container {
        Value::List(list) => Some(list.contains(item)),
        Value::Map(map) => Some(map.map.keys().any(|key| Value::from(key) == *item)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        for (text, want) in [
            ("1 == 1.0", Some(true)),
            ("1.0 == 1", Some(true)),
            ("1u == 1.0", Some(true)),
            ("1 == 1u", Some(true)),
            ("1 == 1.5", Some(false)),
            ("1 != 1.0", Some(false)),
            ("1 != 1.5", Some(true)),
            ("1 < 1.5", Some(true)),
            ("1.5 < 1", Some(false)),
            ("2 > 1.5", Some(true)),
            ("-1 < 1u", Some(true)),
            ("1 <= 1.0", Some(true)),
            ("1.0 >= 1", Some(true)),
            ("1.5 >= 2", Some(false)),
            ("[1, 2] == [1.0, 2.0]", Some(true)),
            ("{'a': 1} == {'a': 1.0}", Some(true)),
            ("1 in [2.0, 1.0]", Some(true)),
            ("1.5 in [1, 2]", Some(false)),
            ("'a' in {'a': 1}", Some(true)),
            ("1.0 in {1: 'a'}", Some(true)),
            ("!(1 in [])", Some(true)),
            ("[1, 2].exists_one(x, x == 2.0)", Some(true)),
            ("[1, 2.5].filter(x, x > 2) == [2.5]", Some(true)),
            ("1 == '1'", Some(false)),
            ("null == null && 1 != null", Some(true)),
            ("'a' < 'b' && false < true", Some(true)),
            ("b'a' == b'a'", Some(true)),
            ("duration('60s') == duration('1m')", Some(true)),
            (
                "timestamp('2026-01-01T00:00:00Z') < timestamp('2026-01-02T00:00:00Z')",
                Some(true),
            ),
            ("1 < '1'", None),
            ("null < 1", None),
            ("[1] < [2]", None),
            ("1 in 'a'", None),
            ("true || 1 < 'a'", Some(true)),
            ("1 < 'a' || true", Some(true)),
            ("false && 1 < 'a'", Some(false)),
        ] {
            let mut scope = Context::default();
            add(&mut scope);
            let expression = super::super::parse(text).unwrap();
            let found = match Value::resolve(&expression, &scope) {
                Ok(Value::Bool(answer)) => Some(answer),
                _ => None,
            };
            assert_eq!(found, want, "{text}");
        }
    }
}
