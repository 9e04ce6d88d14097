//! Values into a text.

use super::parse::{Call, End, Operator, Part, Which};
use super::{Error, Unset, Variable, glob, line};

/// Largest result, in bytes. The API server takes objects of 3 MiB at most.
pub const MAX_RESULT: usize = 32 << 20;

/// Puts values in.
pub(super) fn expand<'v>(
    text: &str,
    parts: &[Part],
    unset: Unset,
    lookup: &dyn Fn(&str) -> Option<&'v str>,
) -> Result<String, Error> {
    let mut run = Run {
        text,
        unset,
        lookup,
        missing: Vec::new(),
    };
    let mut result = String::new();
    for part in parts {
        run.part(part, &mut result)?;
    }
    if run.missing.is_empty() {
        Ok(result)
    } else {
        Err(Error::NotSet(run.missing))
    }
}

struct Run<'r, 'v> {
    text: &'r str,
    unset: Unset,
    lookup: &'r dyn Fn(&str) -> Option<&'v str>,
    missing: Vec<Variable>,
}

impl Run<'_, '_> {
    fn part(&mut self, part: &Part, result: &mut String) -> Result<(), Error> {
        match part {
            Part::Text(text) => result.push_str(text),
            Part::Call(call) => {
                let value = self.call(call)?;
                if result.len() + value.len() > MAX_RESULT {
                    return Err(self.too_large(call, "the result has more than 32 MiB"));
                }
                result.push_str(&value);
            }
        }
        Ok(())
    }

    fn operand(&mut self, part: &Part) -> Result<String, Error> {
        let mut result = String::new();
        self.part(part, &mut result)?;
        Ok(result)
    }

    fn too_large(&self, call: &Call, what: &'static str) -> Error {
        Error::TooLarge {
            name: call.name.clone(),
            line: line(self.text, call.at),
            what,
        }
    }

    fn missing(&mut self, call: &Call) {
        if self.missing.iter().all(|known| known.name != call.name) {
            self.missing.push(Variable {
                name: call.name.clone(),
                line: line(self.text, call.at),
            });
        }
    }

    fn call(&mut self, call: &Call) -> Result<String, Error> {
        let value = (self.lookup)(&call.name);
        let has_default = matches!(call.operator, Operator::Default(_));
        if value.is_none() && !has_default && self.unset == Unset::Error {
            self.missing(call);
        }
        let value = value.unwrap_or_default();
        Ok(match &call.operator {
            Operator::Value => value.to_owned(),
            Operator::Length => value.len().to_string(),
            Operator::Default(parts) => {
                // Also where it is not used: Flux asks for the variables of an unused default.
                let mut default = String::new();
                for part in parts {
                    self.part(part, &mut default)?;
                }
                if value.is_empty() {
                    default
                } else {
                    value.to_owned()
                }
            }
            Operator::UpperFirst => first(value, upper),
            Operator::LowerFirst => first(value, lower),
            Operator::Upper => value.chars().map(upper).collect(),
            Operator::Lower => value.chars().map(lower).collect(),
            Operator::Slice { from, length } => {
                let from = self.operand(from)?;
                let length = match length {
                    Some(length) => Some(self.operand(length)?),
                    None => None,
                };
                let part =
                    slice(value, &from, length.as_deref()).ok_or_else(|| Error::NotText {
                        name: call.name.clone(),
                        line: line(self.text, call.at),
                    })?;
                part.to_owned()
            }
            Operator::Trim {
                end,
                longest,
                pattern,
            } => {
                let pattern = self.operand(pattern)?;
                trim(value, *end, *longest, &pattern)
                    .ok_or_else(|| self.too_large(call, "the pattern is too long for its value"))?
            }
            Operator::Replace { what, pattern, by } => {
                let pattern = self.operand(pattern)?;
                let by = match by {
                    Some(by) => Some(self.operand(by)?),
                    None => None,
                };
                replace(value, *what, &pattern, by.as_deref())
                    .ok_or_else(|| self.too_large(call, "the result has more than 32 MiB"))?
            }
        })
    }
}

/// Go maps one character to one: `ß` stays.
fn upper(character: char) -> char {
    only(character, character.to_uppercase())
}

fn lower(character: char) -> char {
    only(character, character.to_lowercase())
}

fn only(character: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => character,
    }
}

fn first(value: &str, change: fn(char) -> char) -> String {
    let mut characters = value.chars();
    let first = characters.next().map(change);
    first.into_iter().chain(characters).collect()
}

/// A part by bytes; what is no number leaves the value as it is.
fn slice<'v>(value: &'v str, from: &str, length: Option<&str>) -> Option<&'v str> {
    let Ok(from) = from.parse::<i64>() else {
        return Some(value);
    };
    let size = i64::try_from(value.len()).unwrap_or(i64::MAX);
    let from = if from < 0 {
        size.saturating_add(from).max(0)
    } else {
        from
    };
    let end = match length.map(str::parse::<i64>) {
        None => size,
        Some(Err(_)) => return Some(value),
        Some(Ok(length)) if length < 0 => size.saturating_add(length),
        Some(Ok(length)) => from.saturating_add(length).min(size),
    };
    if end <= from {
        return Some("");
    }
    value.get(usize::try_from(from).ok()?..usize::try_from(end).ok()?)
}

fn trim(value: &str, end: End, longest: bool, pattern: &str) -> Option<String> {
    let reverse = |text: &str| text.chars().rev().collect::<String>();
    match end {
        End::Front => {
            let matched = glob::matching_front(value, pattern, longest).ok()?;
            Some(value.get(matched.unwrap_or_default()..)?.to_owned())
        }
        End::Back => {
            // The pattern is turned round by characters, as in Flux: `[` and `\` lose their
            // meaning in it.
            let turned = reverse(value);
            let matched = glob::matching_front(&turned, &reverse(pattern), longest).ok()?;
            Some(reverse(turned.get(matched.unwrap_or_default()..)?))
        }
    }
}

/// Nothing when the result would be too large.
fn replace(value: &str, what: Which, pattern: &str, by: Option<&str>) -> Option<String> {
    let with = by.unwrap_or_default();
    match what {
        Which::First => Some(value.replacen(pattern, with, 1)),
        Which::All => {
            let count = value.matches(pattern).count();
            let size = count.checked_mul(with.len())?.checked_add(value.len())?;
            (size <= MAX_RESULT).then(|| value.replace(pattern, with))
        }
        Which::Front | Which::Back if by.is_none() => Some(value.to_owned()),
        Which::Front => Some(match value.strip_prefix(pattern) {
            Some(rest) => format!("{with}{rest}"),
            None => value.to_owned(),
        }),
        Which::Back => Some(match value.strip_suffix(pattern) {
            Some(rest) => format!("{rest}{with}"),
            None => value.to_owned(),
        }),
    }
}
