//! The functions that Flux's expressions have beside the standard ones: cel-go's extensions
//! strings, sets and encoders. Positions count characters. Pure.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use cel::extractors::{Arguments, This};
use cel::{Context, ExecutionError, Value};

/// Longest text that a function makes, in bytes: a few `replace` in a row grow exponentially.
const MAX_TEXT: usize = 1 << 20;

type Answer = Result<Value, String>;

/// Makes the functions known to expressions; after `deadline` they fail, since nothing else ends an
/// evaluation that nobody waits for any more.
pub(super) fn add(scope: &mut Context<'_>, deadline: Instant) {
    for (name, function) in METHODS {
        scope.add_function(
            name,
            move |This(this): This<Value>, Arguments(arguments): Arguments| {
                carry_out(name, deadline, || function(&this, &arguments))
            },
        );
    }
    for (name, function) in FUNCTIONS {
        scope.add_function(name, move |Arguments(arguments): Arguments| {
            carry_out(name, deadline, || function(&arguments))
        });
    }
}

fn carry_out(
    name: &str,
    deadline: Instant,
    function: impl FnOnce() -> Answer,
) -> Result<Value, ExecutionError> {
    let answer = match Instant::now() < deadline {
        true => function(),
        false => Err("the time for the expression is over".to_owned()),
    };
    answer.map_err(|why| ExecutionError::function_error(name, why))
}

type Method = fn(&Value, &[Value]) -> Answer;
type Function = fn(&[Value]) -> Answer;

const METHODS: [(&str, Method); 12] = [
    ("charAt", |this, arguments| match arguments {
        [at] => {
            let text = characters(this)?;
            let at = position(at, text.len())?;
            Ok(made(text.get(at).map(char::to_string).unwrap_or_default()))
        }
        _ => wrong_arguments(),
    }),
    ("indexOf", |this, arguments| {
        let this = text(this)?;
        let (wanted, from) = match arguments {
            [wanted] => (text(wanted)?, 0),
            [wanted, from] => (text(wanted)?, position(from, this.chars().count())?),
            _ => return wrong_arguments(),
        };
        let from = byte(this, from);
        let found = this.get(from..).and_then(|rest| rest.find(wanted));
        Ok(index(this, found.map(|at| from + at)))
    }),
    ("lastIndexOf", |this, arguments| {
        let this = text(this)?;
        let (wanted, last) = match arguments {
            [wanted] => (text(wanted)?, this.len()),
            [wanted, last] => {
                let last = position(last, this.chars().count())?;
                (text(wanted)?, byte(this, last))
            }
            _ => return wrong_arguments(),
        };
        // It begins at `last` or before: nothing that ends later counts.
        let mut end = last.saturating_add(wanted.len()).min(this.len());
        while !this.is_char_boundary(end) {
            end -= 1;
        }
        Ok(index(
            this,
            this.get(..end).and_then(|text| text.rfind(wanted)),
        ))
    }),
    ("join", |this, arguments| {
        let parts = list(this)?
            .iter()
            .map(text)
            .collect::<Result<Vec<_>, _>>()?;
        let between = match arguments {
            [] => "",
            [between] => text(between)?,
            _ => return wrong_arguments(),
        };
        bounded(parts.join(between))
    }),
    ("split", |this, arguments| {
        let (this, limit) = (text(this)?, arguments.get(1).map(number).transpose()?);
        let between = match arguments {
            [between] | [between, _] => text(between)?,
            _ => return wrong_arguments(),
        };
        Ok(list_of(split(this, between, limit)))
    }),
    ("replace", |this, arguments| {
        let (this, limit) = (text(this)?, arguments.get(2).map(number).transpose()?);
        let (old, new) = match arguments {
            [old, new] | [old, new, _] => (text(old)?, text(new)?),
            _ => return wrong_arguments(),
        };
        let times = usize::try_from(limit.unwrap_or(-1)).unwrap_or(usize::MAX);
        let times = times.min(this.len() + 1);
        if new.len().saturating_mul(times) > MAX_TEXT {
            return too_long();
        }
        bounded(this.replacen(old, new, times))
    }),
    ("substring", |this, arguments| {
        let text = characters(this)?;
        let (from, to) = match arguments {
            [from] => (position(from, text.len())?, text.len()),
            [from, to] => (position(from, text.len())?, position(to, text.len())?),
            _ => return wrong_arguments(),
        };
        let part = text.get(from..to);
        let part = part.ok_or_else(|| format!("the range {from} to {to} runs backwards"))?;
        Ok(made(part.iter().collect()))
    }),
    ("trim", |this, _| Ok(made(text(this)?.trim().to_owned()))),
    ("lowerAscii", |this, _| {
        Ok(made(text(this)?.to_ascii_lowercase()))
    }),
    ("upperAscii", |this, _| {
        Ok(made(text(this)?.to_ascii_uppercase()))
    }),
    ("reverse", |this, _| {
        Ok(made(characters(this)?.iter().rev().collect()))
    }),
    ("format", |this, arguments| match arguments {
        [values] => format(text(this)?, list(values)?),
        _ => wrong_arguments(),
    }),
];

const FUNCTIONS: [(&str, Function); 6] = [
    ("strings.quote", |arguments| match arguments {
        [value] => bounded(quote(text(value)?)),
        _ => wrong_arguments(),
    }),
    ("sets.contains", |arguments| {
        let (left, right) = two_lists(arguments)?;
        Ok(Value::Bool(right.iter().all(|one| left.contains(one))))
    }),
    ("sets.intersects", |arguments| {
        let (left, right) = two_lists(arguments)?;
        Ok(Value::Bool(right.iter().any(|one| left.contains(one))))
    }),
    ("sets.equivalent", |arguments| {
        let (left, right) = two_lists(arguments)?;
        let all_in = |these: &[Value], those: &[Value]| these.iter().all(|one| those.contains(one));
        Ok(Value::Bool(all_in(left, right) && all_in(right, left)))
    }),
    ("base64.encode", |arguments| match arguments {
        [Value::Bytes(bytes)] => bounded(STANDARD.encode(bytes.as_slice())),
        _ => Err("it takes bytes, as of bytes('text')".to_owned()),
    }),
    ("base64.decode", |arguments| match arguments {
        [value] => {
            let value = text(value)?;
            let bytes = STANDARD
                .decode(value)
                .or_else(|_| STANDARD_NO_PAD.decode(value));
            let bytes = bytes.map_err(|error| format!("it is not base64: {error}"))?;
            Ok(Value::Bytes(Arc::new(bytes)))
        }
        _ => wrong_arguments(),
    }),
];

fn wrong_arguments() -> Answer {
    Err("it takes another number of arguments".to_owned())
}

fn too_long() -> Answer {
    Err(format!("its result is longer than {MAX_TEXT} bytes"))
}

fn bounded(text: String) -> Answer {
    if text.len() > MAX_TEXT {
        return too_long();
    }
    Ok(made(text))
}

fn made(text: String) -> Value {
    Value::String(Arc::new(text))
}

fn list_of(parts: Vec<String>) -> Value {
    Value::List(Arc::new(parts.into_iter().map(made).collect()))
}

fn text(value: &Value) -> Result<&str, String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(format!("it takes a text, not {}", other.type_of())),
    }
}

fn characters(value: &Value) -> Result<Vec<char>, String> {
    text(value).map(|text| text.chars().collect())
}

fn list(value: &Value) -> Result<&[Value], String> {
    match value {
        Value::List(list) => Ok(list),
        other => Err(format!("it takes a list, not {}", other.type_of())),
    }
}

fn two_lists(arguments: &[Value]) -> Result<(&[Value], &[Value]), String> {
    match arguments {
        [left, right] => Ok((list(left)?, list(right)?)),
        _ => Err("it takes two lists".to_owned()),
    }
}

fn number(value: &Value) -> Result<i64, String> {
    match value {
        Value::Int(number) => Ok(*number),
        other => Err(format!("it takes a whole number, not {}", other.type_of())),
    }
}

/// A position in a text of this length, its end included.
fn position(value: &Value, length: usize) -> Result<usize, String> {
    let number = number(value)?;
    let at = usize::try_from(number).ok().filter(|at| *at <= length);
    at.ok_or_else(|| format!("{number} is outside of the text, which has {length} characters"))
}

/// Where a character begins, in bytes.
fn byte(text: &str, character: usize) -> usize {
    let mut places = text.char_indices().map(|(at, _)| at);
    places.nth(character).unwrap_or(text.len())
}

/// A place in bytes as a position, or -1.
fn index(text: &str, at: Option<usize>) -> Value {
    let before = at.and_then(|at| text.get(..at));
    let position = before.and_then(|before| i64::try_from(before.chars().count()).ok());
    Value::Int(position.unwrap_or(-1))
}

/// As Go splits: an empty separator between all characters, a limit keeps the rest in one piece.
fn split(text: &str, between: &str, limit: Option<i64>) -> Vec<String> {
    let limit = match limit.unwrap_or(-1) {
        0 => return Vec::new(),
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    if !between.is_empty() {
        return text.splitn(limit, between).map(str::to_owned).collect();
    }
    let mut parts: Vec<String> = text.chars().map(String::from).collect();
    if parts.len() > limit {
        let rest = parts.split_off(limit - 1).concat();
        parts.push(rest);
    }
    parts
}

fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// `%s %d %b %o %x %X %f %e`, with a precision for the last two.
fn format(pattern: &str, values: &[Value]) -> Answer {
    let mut result = String::new();
    let mut values = values.iter();
    let mut rest = pattern.chars();
    while let Some(character) = rest.next() {
        if character != '%' {
            result.push(character);
            continue;
        }
        let mut verb = rest.next();
        let mut precision = 6;
        if verb == Some('.') {
            let digits: String = rest
                .as_str()
                .chars()
                .take_while(char::is_ascii_digit)
                .collect();
            precision = digits.parse().unwrap_or(0_usize).min(100);
            verb = rest.nth(digits.len());
        }
        if verb == Some('%') {
            result.push('%');
            continue;
        }
        let value = values.next().ok_or("there are fewer values than places")?;
        let part = match (verb, value) {
            (Some('s'), value) => plain(value)?,
            (Some('d'), Value::Int(_) | Value::UInt(_)) => plain(value)?,
            (Some('b'), Value::Int(number)) => {
                format!("{}{:b}", sign(*number), number.unsigned_abs())
            }
            (Some('o'), Value::Int(number)) => {
                format!("{}{:o}", sign(*number), number.unsigned_abs())
            }
            (Some('x'), Value::Int(number)) => {
                format!("{}{:x}", sign(*number), number.unsigned_abs())
            }
            (Some('X'), Value::Int(number)) => {
                format!("{}{:X}", sign(*number), number.unsigned_abs())
            }
            (Some('f'), Value::Float(number)) => format!("{number:.precision$}"),
            (Some('e'), Value::Float(number)) => exponential(*number, precision),
            (Some(verb), value) => {
                return Err(format!("'%{verb}' does not fit a {}", value.type_of()));
            }
            (None, _) => return Err("it ends in the middle of a place".to_owned()),
        };
        result.push_str(&part);
        if result.len() > MAX_TEXT {
            return too_long();
        }
    }
    Ok(made(result))
}

fn sign(number: i64) -> &'static str {
    if number < 0 { "-" } else { "" }
}

/// With at least two digits of exponent, as Go writes it.
fn exponential(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text,
    }
}

fn plain(value: &Value) -> Result<String, String> {
    Ok(match value {
        Value::String(text) => text.to_string(),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(answer) => answer.to_string(),
        Value::Null => "null".to_owned(),
        Value::List(list) => {
            let parts = list.iter().map(plain).collect::<Result<Vec<_>, _>>()?;
            format!("[{}]", parts.join(", "))
        }
        other => return Err(format!("a {} cannot be written", other.type_of())),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cel::Program;

    use super::*;

    fn evaluate(text: &str) -> Result<Value, String> {
        evaluate_by(text, Instant::now() + Duration::from_secs(60))
    }

    fn evaluate_by(text: &str, deadline: Instant) -> Result<Value, String> {
        let mut scope = Context::default();
        add(&mut scope, deadline);
        let program = Program::compile(text).map_err(|error| error.to_string())?;
        program.execute(&scope).map_err(|error| error.to_string())
    }

    #[test]
    fn functions_answer_as_those_of_cel_go() {
        for text in [
            "'tacocat'.charAt(3) == 'o'",
            "'tacocat'.charAt(7) == ''",
            "'hello mellow'.indexOf('') == 0",
            "'hello mellow'.indexOf('ello') == 1",
            "'hello mellow'.indexOf('jello') == -1",
            "'hello mellow'.indexOf('ello', 2) == 7",
            "'héllö héllö'.indexOf('ö', 5) == 10",
            "'héllö héllö'.lastIndexOf('llö') == 8",
            "'héllö héllö'.lastIndexOf('ö', 9) == 4",
            "'héllö héllö'.lastIndexOf('é', 7) == 7",
            "'héllö héllö'.lastIndexOf('x', 3) == -1",
            "'hello mellow'.lastIndexOf('') == 12",
            "'hello mellow'.lastIndexOf('ello', 6) == 1",
            "['hello', 'mellow'].join() == 'hellomellow'",
            "['hello', 'mellow'].join(' ') == 'hello mellow'",
            "'hello hello'.replace('he', 'we') == 'wello wello'",
            "'hello hello'.replace('he', 'we', 1) == 'wello hello'",
            "'hello hello'.replace('he', 'we', 0) == 'hello hello'",
            "'hello hello hello'.split(' ') == ['hello', 'hello', 'hello']",
            "'hello hello hello'.split(' ', 0) == []",
            "'hello hello hello'.split(' ', 2) == ['hello', 'hello hello']",
            "'abc'.split('', 2) == ['a', 'bc']",
            "'v1.2.3-rc1'.split('-')[0].substring(1) == '1.2.3'",
            "'tacocat'.substring(0, 4) == 'taco'",
            "'ta©o'.substring(2, 3) == '©'",
            "'  \\ttrim\\n  '.trim() == 'trim'",
            "'TacoCÆt'.lowerAscii() == 'tacocÆt'",
            "'TacoCÆt'.upperAscii() == 'TACOCÆT'",
            "'gums'.reverse() == 'smug'",
            "strings.quote('a \"b\"\\n') == '\"a \\\\\"b\\\\\"\\\\n\"'",
            "'%s is %d, %.2f%% of %x'.format(['a', 3, 1.5, 255]) == 'a is 3, 1.50% of ff'",
            "'%e'.format([1234.5]) == '1.234500e+03'",
            "'%s'.format([['a', 1, true]]) == '[a, 1, true]'",
            "sets.contains([1, 2, 3], [3, 1])",
            "!sets.contains([1], [1, 2])",
            "sets.equivalent([1, 2, 1], [2, 1])",
            "sets.intersects(['a'], ['b', 'a'])",
            "!sets.intersects([], [])",
            "base64.encode(bytes('hello')) == 'aGVsbG8='",
            "string(base64.decode('aGVsbG8')) == 'hello'",
        ] {
            assert_eq!(evaluate(text), Ok(Value::Bool(true)), "{text}");
        }
    }

    #[test]
    fn wrong_uses_are_told() {
        for (text, part) in [
            (
                "'a'.charAt(2)",
                "2 is outside of the text, which has 1 characters",
            ),
            ("'abc'.substring(2, 1)", "runs backwards"),
            ("'a'.substring()", "another number of arguments"),
            ("1.trim()", "it takes a text, not int"),
            ("sets.contains([1], 1)", "it takes a list, not int"),
            ("'%d'.format(['a'])", "'%d' does not fit a string"),
            ("'%d %d'.format([1])", "fewer values than places"),
            ("base64.decode('!')", "it is not base64"),
        ] {
            let error = evaluate(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let long = format!("'{}'.replace('', '{}')", "a".repeat(2000), "b".repeat(2000));
        assert!(evaluate(&long).unwrap_err().contains("longer than"));
    }

    #[test]
    fn nothing_goes_on_for_long() {
        let now = Instant::now();
        let late = evaluate_by("'a'.indexOf('a') == 0", now).unwrap_err();
        assert!(late.contains("time for the expression is over"), "{late}");
        let (text, wanted) = ("a".repeat(200_000), "a".repeat(100_000) + "b");
        for method in ["indexOf", "lastIndexOf"] {
            let found = evaluate(&format!("'{text}'.{method}('{wanted}') == -1"));
            assert_eq!(found, Ok(Value::Bool(true)));
        }
        assert!(now.elapsed() < Duration::from_secs(30));
    }
}
