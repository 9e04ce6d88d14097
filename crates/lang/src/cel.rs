//! Expressions of the Common Expression Language, as `healthCheckExprs` and `readyExpr` of a
//! Kustomization hold them: read here, evaluated by the operator.

pub mod compare;
mod rewrite;

use cel::parser::Parser;

pub use cel::IdedExpr;

/// Longest expression, in bytes.
const MAX_LENGTH: usize = 16 << 10;

/// Most operators, selections and calls: the tree of an expression is as deep as it has those, and
/// what is read recursively must not exhaust the stack.
const MAX_STEPS: usize = 500;

/// Stack of the parser, in bytes: several times what the largest expressions need without
/// optimization. Only what is used of it takes memory.
const STACK: usize = 32 << 20;

/// Most brackets in brackets, for which the parser needs far more of the stack.
const MAX_NESTING: usize = 32;

/// Why a text is no expression, or none that is read here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CelError {
    /// It is not of the language.
    #[error("{message} at line {line}, column {column}")]
    Syntax {
        /// What is wrong.
        message: String,
        /// Line, counted from 1.
        line: usize,
        /// Column in characters, counted from 1.
        column: usize,
    },
    /// Too long.
    #[error("it is longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// Too many operators, or too many brackets in brackets.
    #[error("it has more than {MAX_STEPS} operators or {MAX_NESTING} brackets in each other")]
    TooComplex,
    /// The parser gave up.
    #[error("it cannot be read")]
    Unreadable,
}

/// Reads an expression.
///
/// # Errors
/// [`CelError`]. Names and types are not looked at: those depend on the object.
///
/// What is read calls the functions of [`compare`], which whoever evaluates it adds to its scope.
pub fn parse(text: &str) -> Result<IdedExpr, CelError> {
    if text.len() > MAX_LENGTH {
        return Err(CelError::TooLong);
    }
    let shape = Shape::of(text);
    if shape.steps > MAX_STEPS || shape.nesting > MAX_NESTING {
        return Err(CelError::TooComplex);
    }
    // The parser's stack grows by far more than its input does, and by how much is nobody's
    // promise: it gets one of its own. Whatever it asserts is not our end either.
    let read = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let read = thread.spawn_scoped(scope, || {
            let parser = Parser::default().enable_optional_syntax(true);
            let mut expression = parser.parse(text)?;
            rewrite::replace(&mut expression);
            Ok::<_, cel::ParseErrors>(expression)
        });
        read.map(std::thread::ScopedJoinHandle::join)
    });
    let Ok(read) = read else {
        return Err(CelError::Unreadable);
    };
    let errors = match read {
        Ok(Ok(expression)) => return Ok(expression),
        Ok(Err(errors)) => errors.errors,
        Err(_) => return Err(CelError::Unreadable),
    };
    let Some(first) = errors.into_iter().next() else {
        return Err(CelError::Unreadable);
    };
    let place = |number: isize| usize::try_from(number).unwrap_or_default().max(1);
    Err(CelError::Syntax {
        message: plain(&first.msg),
        line: place(first.pos.0),
        column: place(first.pos.1),
    })
}

/// How much of the stack reading an expression may take, from what stands outside of quotes.
#[derive(Clone, Copy, Default)]
struct Shape {
    /// Operators, selections and calls.
    steps: usize,
    /// Brackets in brackets, and conditions, which may be nested in each other without any.
    nesting: usize,
}

impl Shape {
    fn of(text: &str) -> Self {
        let (mut quote, mut escaped) = (None, false);
        let (mut open, mut conditions) = (0_usize, 0);
        let mut shape = Self::default();
        for character in text.chars() {
            if let Some(end) = quote {
                if character == end && !escaped {
                    quote = None;
                }
                escaped = character == '\\' && !escaped;
                continue;
            }
            match character {
                '\'' | '"' => quote = Some(character),
                '(' | '[' | '{' => open += 1,
                ')' | ']' | '}' => open = open.saturating_sub(1),
                '?' => conditions += 1,
                _ => {}
            }
            if !character.is_alphanumeric() && !character.is_whitespace() {
                shape.steps += 1;
            }
            shape.nesting = shape.nesting.max(open + conditions);
        }
        shape
    }
}

/// The parser's words without what only its authors read.
fn plain(message: &str) -> String {
    let message = message.trim_start_matches("Syntax error: ");
    let message = message.split(" expecting ").next().unwrap_or(message);
    if message.contains("'<EOF>'") {
        return "it ends too early".to_owned();
    }
    let line = message.lines().next().unwrap_or(message);
    line.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn expressions_are_read() {
        for text in [
            "status.conditions.filter(e, e.type == 'Ready').all(e, e.status == 'True')",
            "has(status.phase) && status.phase in ['Done', \"Won't\"]",
            "dep.metadata.labels['app/version'] == self.metadata.labels[\"app/version\"]",
            "size(a) > 1 ? true : -b < 2.5",
            "status.?phase.orValue('') == 'Done'",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn errors_say_what_and_where() {
        let table = [
            ("status.phase ==", "it ends too early at line 1, column 16"),
            ("", "it ends too early at line 1, column 1"),
        ];
        for (text, expected) in table {
            let error = parse(text).expect_err(text).to_string();
            assert_eq!(error, expected, "{text}");
        }
        assert_eq!(parse(&"a".repeat(20_000)).err(), Some(CelError::TooLong));
        assert_eq!(
            parse(&"!a.".repeat(5_000)).err(),
            Some(CelError::TooComplex)
        );
    }

    #[test]
    fn the_largest_expressions_fit_on_the_stack() {
        let parts = [
            "1+", "a.", "!", "-", "(", "[", "{1:", "a?b:", "true && ", "f(", "a == ",
        ];
        for part in parts {
            let one = Shape::of(part);
            let nested = MAX_NESTING.checked_div(one.nesting).unwrap_or(MAX_STEPS);
            let text = part.repeat(nested.min(MAX_STEPS / one.steps)) + "x";
            let read = parse(&text).map(drop);
            assert_ne!(read, Err(CelError::TooComplex), "{part}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn texts_of_any_sort_are_survived(text in r#"[a-z0-9 .()\[\]{}?:!&|<>=+*/%'"\\-]{0,40}"#) {
            if let Err(error) = parse(&text) {
                prop_assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
    }
}
