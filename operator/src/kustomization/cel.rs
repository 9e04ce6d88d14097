//! Expressions of the Common Expression Language in specs: `healthCheckExprs` and `readyExpr`.
//!
//! They are evaluated on a thread for blocking work. The language has no loops, but nested macros
//! over long lists take their time, and only our own functions can interrupt them: what would take
//! too long without those is found beforehand and refused.

mod functions;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cel::{Context as Scope, ExecutionError, IdedExpr};
use serde_json::Value;

/// Most values in the objects that an expression sees.
const MAX_VALUES: usize = 50_000;
/// Most steps of nested macros: less than a microsecond each.
const MAX_STEPS: usize = 2_000_000;
/// The macros that go through a list or map.
const MACROS: [&str; 5] = ["all", "exists", "exists_one", "filter", "map"];
/// Longest time that an evaluation is waited for.
const LIMIT: Duration = Duration::from_secs(2);

/// Why an expression has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CelError {
    /// It is not one.
    #[error("failed to parse the CEL expression '{0}': {1}")]
    Parse(String, String),
    /// It cannot be evaluated over this object.
    #[error("failed to evaluate the CEL expression '{0}': {1}")]
    Evaluate(String, String),
}

/// An expression whose answer is yes or no.
#[derive(Clone)]
pub struct Expression {
    text: Arc<str>,
    program: Arc<IdedExpr>,
    loops: Loops,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`CelError::Parse`].
    pub fn parse(text: &str) -> Result<Self, CelError> {
        let wrong = |why: String| CelError::Parse(text.chars().take(200).collect(), why);
        let program = flux_lang::cel::parse(text).map_err(|error| wrong(error.to_string()))?;
        Ok(Self {
            text: text.into(),
            program: Arc::new(program),
            loops: Loops::of(text),
        })
    }

    /// Whether it is true for these variables.
    ///
    /// # Errors
    /// [`CelError::Evaluate`], also when it takes longer than two seconds.
    pub async fn is_true(&self, variables: Vec<(String, Value)>) -> Result<bool, CelError> {
        let program = self.program.clone();
        let longest = variables.iter().map(|(_, value)| longest(value)).max();
        if self.loops.steps(longest.unwrap_or_default()) > MAX_STEPS {
            let why = "its macros are nested too deeply for lists of this length";
            return Err(CelError::Evaluate(self.text.to_string(), why.to_owned()));
        }
        let deadline = Instant::now() + LIMIT;
        let work = tokio::task::spawn_blocking(move || evaluate(&program, &variables, deadline));
        let answer = match tokio::time::timeout(LIMIT, work).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err("it could not be carried out".to_owned()),
            Err(_) => Err(format!("no result within {} s", LIMIT.as_secs())),
        };
        answer.map_err(|why| CelError::Evaluate(self.text.to_string(), why))
    }
}

/// The macros of an expression.
#[derive(Clone, Copy)]
struct Loops {
    count: usize,
    /// Deepest nesting.
    depth: u32,
}

impl Loops {
    fn of(text: &str) -> Self {
        let (mut count, mut depth) = (0, 0);
        let mut open: Vec<bool> = Vec::new();
        let mut quote = None;
        let mut word = String::new();
        let mut escaped = false;
        for character in text.chars() {
            if let Some(end) = quote {
                let ends = character == end && !escaped;
                escaped = character == '\\' && !escaped;
                if ends {
                    quote = None;
                }
                continue;
            }
            match character {
                '\'' | '"' => quote = Some(character),
                '(' => {
                    let is_macro = MACROS.contains(&word.as_str());
                    open.push(is_macro);
                    if is_macro {
                        count += 1;
                        let nested = open.iter().filter(|one| **one).count();
                        depth = depth.max(u32::try_from(nested).unwrap_or(u32::MAX));
                    }
                }
                ')' => {
                    open.pop();
                }
                _ => {}
            }
            if character == '_' || character.is_alphanumeric() {
                word.push(character);
            } else if !character.is_whitespace() {
                word.clear();
            }
        }
        Self { count, depth }
    }

    /// Steps for lists of a certain length.
    fn steps(self, length: usize) -> usize {
        length.saturating_pow(self.depth).saturating_mul(self.count)
    }
}

/// The length of the longest list or map.
fn longest(value: &Value) -> usize {
    match value {
        Value::Array(list) => list
            .iter()
            .map(longest)
            .max()
            .unwrap_or_default()
            .max(list.len()),
        Value::Object(map) => map
            .values()
            .map(longest)
            .max()
            .unwrap_or_default()
            .max(map.len()),
        _ => 0,
    }
}

fn evaluate(
    program: &IdedExpr,
    variables: &[(String, Value)],
    deadline: Instant,
) -> Result<bool, String> {
    let mut left = MAX_VALUES;
    let mut scope = Scope::default();
    functions::add(&mut scope, deadline);
    flux_lang::cel::compare::add(&mut scope);
    for (name, value) in variables {
        let value = convert(value, &mut left).ok_or("the object is too large for it")?;
        scope.add_variable_from_value(name.as_str(), value);
    }
    match cel::Value::resolve(program, &scope) {
        Ok(cel::Value::Bool(answer)) => Ok(answer),
        Ok(_) => Err("its result is neither true nor false".to_owned()),
        Err(ExecutionError::UndeclaredReference(name)) => Err(format!(
            "there is no '{name}': an expression knows the fields of the object, the standard functions, and those of the extensions strings, sets and encoders"
        )),
        Err(error) => Err(error.to_string()),
    }
}

/// JSON as CEL sees it: whole numbers are of one type, so that `spec.replicas - 1` works.
fn convert(value: &Value, left: &mut usize) -> Option<cel::Value> {
    *left = left.checked_sub(1)?;
    Some(match value {
        Value::Null => cel::Value::Null,
        Value::Bool(value) => cel::Value::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => cel::Value::Int(integer),
            None => cel::Value::Float(number.as_f64()?),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(list) => {
            let items: Option<Vec<cel::Value>> =
                list.iter().map(|item| convert(item, left)).collect();
            items?.into()
        }
        Value::Object(map) => {
            let fields: Option<HashMap<String, cel::Value>> = map
                .iter()
                .map(|(key, value)| Some((key.clone(), convert(value, left)?)))
                .collect();
            fields?.into()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    async fn answer(text: &str) -> Result<bool, String> {
        let object = json!({"metadata": {"generation": 2, "labels": {"app/ready": "yes"}},
            "spec": {"replicas": 3}, "status": {"replicas": 3, "load": 1.0, "conditions": [
                {"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]}});
        let variables = object.as_object().unwrap().clone().into_iter().collect();
        let expression = Expression::parse(text).map_err(|error| error.to_string())?;
        expression
            .is_true(variables)
            .await
            .map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn answers() {
        for (text, expected) in [
            (
                "status.conditions.filter(e, e.type == 'Ready').all(e, e.status == 'True')",
                true,
            ),
            (
                "status.conditions.exists(e, e.type == 'Other' && e.status == 'True')",
                false,
            ),
            (
                "spec.replicas - 1 == 2 && status.replicas == spec.replicas",
                true,
            ),
            (
                "spec.replicas == 3.0 && status.load == 1 && status.load < 1.5",
                true,
            ),
            ("status.?phase == optional.none()", true),
            ("has(status.phase) && status.phase == 'Done'", false),
            ("metadata.labels['app/ready'] == 'yes'", true),
            (
                "status.?phase.orValue('none') == 'none' && status.?replicas.orValue(0) == 3",
                true,
            ),
            (
                "status.conditions.exists(c, c.?reason.orValue('').split('-')[0] == '')",
                true,
            ),
            (
                "timestamp('2026-01-02T00:00:00Z') > timestamp('2026-01-01T00:00:00Z')",
                true,
            ),
        ] {
            assert_eq!(answer(text).await, Ok(expected), "{text}");
        }
    }

    #[tokio::test]
    async fn errors() {
        for (text, message) in [
            ("status.conditions.", "failed to parse the CEL expression"),
            (
                "status.phase == 'Done'",
                "failed to evaluate the CEL expression",
            ),
            ("spec.replicas", "neither true nor false"),
            ("quantity('1Gi') > 1", "there is no 'quantity'"),
        ] {
            let error = answer(text).await.unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
        let long = "true && ".repeat(10_000);
        assert!(answer(&long).await.unwrap_err().contains("longer than"));
    }

    #[tokio::test]
    async fn costly_expressions_are_refused() {
        let text = "l.all(a, l . all (b, l.all(c, a + b + c >= 0)))";
        let answer = async |length: u32| {
            let list: Vec<u32> = (0..length).collect();
            let variables = vec![("l".to_owned(), json!(list))];
            Expression::parse(text).unwrap().is_true(variables).await
        };
        assert!(answer(10).await.unwrap());
        let error = answer(2_000).await.unwrap_err().to_string();
        assert!(error.contains("nested too deeply"), "{error}");
        let loops = Loops::of("a.all(x, x == '.all(' || b.map(y, y)) && c.filter(z, z)");
        assert_eq!((loops.count, loops.depth), (3, 2));
    }
}
