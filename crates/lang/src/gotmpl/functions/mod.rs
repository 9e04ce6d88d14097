//! The functions of templates: Go's own, and those of sprig that depend on nothing but their
//! arguments and that commit messages have a use for.

mod base32;
mod compare;
mod core;
mod dicts;
mod durations;
mod encoding;
mod escape;
mod floats;
mod json;
mod lists;
mod maps;
mod numbers;
mod regex;
mod spelling;
mod strings;
#[cfg(test)]
mod tests;
mod types;
mod urls;
mod words;

use std::fmt;
use std::sync::LazyLock;

use super::format;
use super::limits::Meter;
use super::value::{List, Map, Value};

/// A function that templates may call.
pub(super) struct Function {
    pub(super) name: &'static str,
    /// Least number of arguments.
    min: usize,
    /// Greatest number of arguments; `None` for any.
    max: Option<usize>,
    pub(super) kind: Kind,
}

/// How a function gets its arguments.
pub(super) enum Kind {
    /// All evaluated.
    Plain(fn(&mut Call<'_>) -> Result),
    /// One after the other, up to the first of this truth, which is the result: `and` and `or`.
    Until(bool),
}

/// What a function answers; the error is the reason alone.
type Result<T = Value> = std::result::Result<T, String>;

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A function of exactly `count` arguments.
const fn exact(name: &'static str, count: usize, run: fn(&mut Call<'_>) -> Result) -> Function {
    Function {
        name,
        min: count,
        max: Some(count),
        kind: Kind::Plain(run),
    }
}

/// A function of `min` or more arguments.
const fn variadic(name: &'static str, min: usize, run: fn(&mut Call<'_>) -> Result) -> Function {
    Function {
        name,
        min,
        max: None,
        kind: Kind::Plain(run),
    }
}

/// All functions, by subject.
static FUNCTIONS: [&[Function]; 17] = [
    &core::FUNCTIONS,
    &compare::FUNCTIONS,
    &dicts::FUNCTIONS,
    &durations::FUNCTIONS,
    &encoding::FUNCTIONS,
    &escape::FUNCTIONS,
    &floats::FUNCTIONS,
    &json::FUNCTIONS,
    &lists::FUNCTIONS,
    &maps::FUNCTIONS,
    &numbers::FUNCTIONS,
    &regex::FUNCTIONS,
    &spelling::FUNCTIONS,
    &strings::FUNCTIONS,
    &types::FUNCTIONS,
    &urls::FUNCTIONS,
    &words::FUNCTIONS,
];

/// What sprig also has under a name that begins with `must`: there it tells of mistakes, which here
/// all functions do.
const MUST: [&str; 27] = [
    "append",
    "chunk",
    "compact",
    "deepCopy",
    "first",
    "fromJson",
    "has",
    "initial",
    "last",
    "merge",
    "mergeOverwrite",
    "prepend",
    "push",
    "regexFind",
    "regexFindAll",
    "regexMatch",
    "regexReplaceAll",
    "regexReplaceAllLiteral",
    "regexSplit",
    "rest",
    "reverse",
    "slice",
    "toJson",
    "toPrettyJson",
    "toRawJson",
    "uniq",
    "without",
];

/// What Flux has of sprig and we have not, by the reason.
pub const LEFT_OUT: [(&str, &[&str]); 4] = [
    (
        "values do not change here: use dict or merge to make another one",
        &["set", "unset"],
    ),
    (
        "a message must be the same when a push is tried again, so nothing depends on chance",
        &["randInt", "shuffle"],
    ),
    (
        "passwords, certificates and ciphers have no place in a commit message",
        &[
            "bcrypt",
            "buildCustomCert",
            "decryptAES",
            "derivePassword",
            "encryptAES",
            "genCA",
            "genCAWithKey",
            "genPrivateKey",
            "genSelfSignedCert",
            "genSelfSignedCertWithKey",
            "genSignedCert",
            "genSignedCertWithKey",
            "htpasswd",
        ],
    ),
    (
        "no data of a message is a time, and a commit has its own",
        &[
            "ago",
            "mustDateModify",
            "mustToDate",
            "must_date_modify",
            "toDate",
            "unixEpoch",
        ],
    ),
];

/// Why there is no function of this name.
fn missing(name: &str) -> String {
    let reason = LEFT_OUT.iter().find(|(_, names)| names.contains(&name));
    match reason {
        Some((reason, _)) => format!("function {name:?} not defined: {reason}"),
        None => format!("function {name:?} not defined"),
    }
}

/// The function of this name.
pub(super) fn find(name: &str) -> Result<&'static Function> {
    let plain = name.strip_prefix("must").and_then(|rest| {
        let is_same = |must: &&&str| {
            must.get(1..) == rest.get(1..)
                && rest.starts_with(|c: char| c.is_ascii_uppercase())
                && must.get(..1).map(str::to_ascii_uppercase).as_deref() == rest.get(..1)
        };
        MUST.iter().find(is_same)
    });
    let name = plain.copied().unwrap_or(name);
    let mut all = FUNCTIONS.iter().flat_map(|group| group.iter());
    all.find(|function| function.name == name)
        .ok_or_else(|| missing(name))
}

/// The names of all functions.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS
        .iter()
        .flat_map(|group| group.iter())
        .map(|f| f.name)
}

impl Function {
    /// Refuses a call with this many arguments.
    pub(super) fn check_arity(&self, count: usize) -> Result<()> {
        let Self { name, min, max, .. } = self;
        if count >= *min && max.is_none_or(|max| count <= max) {
            return Ok(());
        }
        let want = match max {
            Some(max) if max == min => format!("{min}"),
            Some(max) => format!("{min} to {max}"),
            None => format!("at least {min}"),
        };
        Err(format!(
            "wrong number of args for {name}: want {want} got {count}"
        ))
    }
}

/// A call: arguments, and what may still be spent.
pub(super) struct Call<'m> {
    pub(super) args: Vec<Value>,
    pub(super) meter: &'m mut Meter,
}

impl Call<'_> {
    /// An argument of any type; nil if it is not there.
    fn value(&self, at: usize) -> &Value {
        self.args.get(at).unwrap_or(&Value::Nil)
    }

    /// The arguments from this one on.
    fn from(&self, at: usize) -> &[Value] {
        self.args.get(at..).unwrap_or_default()
    }

    fn text(&self, at: usize) -> Result<&str> {
        match self.value(at) {
            Value::String(text) => Ok(text),
            other => Err(wrong("a string", other)),
        }
    }

    fn int(&self, at: usize) -> Result<i64> {
        match self.value(at) {
            Value::Int(value) => Ok(*value),
            other => Err(wrong("an int", other)),
        }
    }

    fn bool(&self, at: usize) -> Result<bool> {
        match self.value(at) {
            Value::Bool(value) => Ok(*value),
            other => Err(wrong("a bool", other)),
        }
    }

    fn list(&self, at: usize) -> Result<&[Value]> {
        match self.value(at) {
            Value::List(list) => Ok(list.items()),
            other => Err(wrong("a list", other)),
        }
    }

    /// A map; nil is an empty one.
    fn map(&self, at: usize) -> Result<&Map> {
        static EMPTY: LazyLock<Map> = LazyLock::new(Map::default);
        match self.value(at) {
            Value::Map(map) => Ok(map),
            Value::Nil => Ok(&EMPTY),
            other => Err(wrong("a map", other)),
        }
    }

    /// A number of times or places; negative ones are refused.
    fn count(&self, at: usize) -> Result<usize> {
        let value = self.int(at)?;
        usize::try_from(value).map_err(|_| format!("{value} is less than zero"))
    }

    /// An argument as text: strings as they are, others as they print.
    fn printed(&self, at: usize) -> Result<String> {
        self.print(self.value(at))
    }

    /// A value as text.
    fn print(&self, value: &Value) -> Result<String> {
        self.meter.write(|out| format::value(out, value))
    }

    /// A value as text that is one of many: it is paid for at once.
    fn keep(&mut self, value: &Value) -> Result<String> {
        let text = self.print(value)?;
        self.meter.memory(text.len())?;
        self.meter.bytes(text.len())?;
        Ok(text)
    }
}

fn wrong(want: &str, got: &Value) -> String {
    format!(
        "wrong type for value; expected {want}; got {}",
        got.type_name()
    )
}

fn list(items: Vec<Value>) -> Value {
    List::new(items).into()
}

/// A length as a template's integer.
fn length(count: usize) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}
