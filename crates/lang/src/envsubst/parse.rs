//! From a text to texts and expansions.

use super::Problem;

/// Expansions within expansions.
const MAX_DEPTH: usize = 64;

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Call(Call),
}

/// An expansion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// The variable.
    pub(super) name: String,
    /// What is done with its value.
    pub(super) operator: Operator,
    /// The byte of the text where it begins.
    pub(super) at: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Value,
    Length,
    /// The parts are put together.
    Default(Vec<Part>),
    UpperFirst,
    Upper,
    LowerFirst,
    Lower,
    Slice {
        from: Box<Part>,
        length: Option<Box<Part>>,
    },
    Trim {
        end: End,
        longest: bool,
        pattern: Box<Part>,
    },
    Replace {
        what: Which,
        pattern: Box<Part>,
        /// Without one, what matches is taken away.
        by: Option<Box<Part>>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Front,
    Back,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    First,
    All,
    Front,
    Back,
}

/// Reads a text; an error has the byte where the expansion begins.
pub(super) fn parse(text: &str) -> Result<Vec<Part>, (Problem, usize)> {
    let mut reader = Reader {
        text,
        at: 0,
        depth: 0,
        opened: 0,
    };
    let mut parts = Vec::new();
    while reader.at < text.len() {
        let part = reader.part();
        parts.push(part.map_err(|problem| (problem, reader.opened))?);
    }
    Ok(parts)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    /// Where the outermost expansion begins.
    opened: usize,
}

impl Reader<'_> {
    /// The next text or expansion; not at the end.
    fn part(&mut self) -> Result<Part, Problem> {
        if self.opens() {
            self.opened = self.at;
            return self.call();
        }
        Ok(Part::Text(self.run(|_| true, "$")))
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn opens(&self) -> bool {
        self.rest().starts_with("${")
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    /// Characters up to an expansion or one that is not accepted. `escapes` are the characters
    /// that take the meaning of what follows: `$` of another one, `\` of `/` and another one.
    fn run(&mut self, accept: impl Fn(char) -> bool, escapes: &str) -> String {
        let mut found = String::new();
        while let Some(character) = self.peek() {
            if self.opens() {
                break;
            }
            let next = self.rest().chars().nth(1);
            let escaped = match character {
                '$' => next == Some('$'),
                '\\' => matches!(next, Some('/' | '\\')),
                _ => false,
            };
            if let Some(next) = next
                && escaped
                && escapes.contains(character)
            {
                found.push(next);
                self.at += character.len_utf8() + next.len_utf8();
            } else if accept(character) {
                found.push(character);
                self.at += character.len_utf8();
            } else {
                break;
            }
        }
        found
    }

    fn name(&mut self) -> String {
        let accept = |character: char| {
            character == '_' || character.is_ascii_digit() || character.is_alphabetic()
        };
        let name: String = self.rest().chars().take_while(|c| accept(*c)).collect();
        self.at += name.len();
        name
    }

    /// An expansion, from `${` on.
    fn call(&mut self) -> Result<Part, Problem> {
        let at = self.at;
        self.at += "${".len();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Problem::Depth);
        }
        let call = if self.take('#') {
            let name = self.name();
            if name.is_empty() {
                return Err(Problem::Bad);
            }
            self.close()?;
            Call {
                name,
                operator: Operator::Length,
                at,
            }
        } else {
            let name = self.name();
            if name.is_empty() {
                return Err(Problem::Name);
            }
            let operator = self.operator()?;
            Call { name, operator, at }
        };
        self.depth -= 1;
        Ok(Part::Call(call))
    }

    fn close(&mut self) -> Result<(), Problem> {
        if self.take('}') {
            Ok(())
        } else {
            Err(Problem::Bad)
        }
    }

    fn operator(&mut self) -> Result<Operator, Problem> {
        match self.peek() {
            Some(':') => match self.rest().chars().nth(1) {
                Some('=' | '-' | '?' | '+') => self.default(2),
                _ => self.slice(),
            },
            Some('=') => self.default(1),
            Some(',' | '^') => self.casing(),
            Some('/') => self.replace(),
            Some('#') => self.trim('#', End::Front),
            Some('%') => self.trim('%', End::Back),
            Some('}') => {
                self.close()?;
                Ok(Operator::Value)
            }
            _ => Err(Problem::Brace),
        }
    }

    /// An operand: an expansion, or a text that is not empty.
    fn operand(&mut self, accept: impl Fn(char) -> bool, escapes: &str) -> Result<Part, Problem> {
        if self.opens() {
            return self.call();
        }
        let before = self.at;
        let text = self.run(accept, escapes);
        if self.at == before {
            return Err(Problem::Operand);
        }
        Ok(Part::Text(text))
    }

    /// What follows a default operator of a certain length.
    fn default(&mut self, length: usize) -> Result<Operator, Problem> {
        self.at += length;
        let mut parts = Vec::new();
        while self.peek() != Some('}') {
            parts.push(self.operand(|character| character != '}', "")?);
        }
        self.close()?;
        Ok(Operator::Default(parts))
    }

    fn casing(&mut self) -> Result<Operator, Problem> {
        let signs: String = self
            .rest()
            .chars()
            .take_while(|sign| matches!(sign, ',' | '^'))
            .take(2)
            .collect();
        self.at += signs.len();
        self.close()?;
        Ok(match signs.as_str() {
            "^" => Operator::UpperFirst,
            "^^" => Operator::Upper,
            "," => Operator::LowerFirst,
            ",," => Operator::Lower,
            _ => Operator::Value,
        })
    }

    fn slice(&mut self) -> Result<Operator, Problem> {
        self.at += 1;
        let from = self.operand(|character| !matches!(character, ':' | '}'), "")?;
        if self.take('}') {
            return Ok(Operator::Slice {
                from: Box::new(from),
                length: None,
            });
        }
        if !self.take(':') {
            return Err(Problem::Bad);
        }
        while self.take(':') {}
        let length = self.operand(|character| character != '}', "")?;
        self.close()?;
        Ok(Operator::Slice {
            from: Box::new(from),
            length: Some(Box::new(length)),
        })
    }

    fn trim(&mut self, sign: char, end: End) -> Result<Operator, Problem> {
        self.take(sign);
        let longest = self.take(sign);
        let pattern = self.operand(|character| character != '}', "")?;
        self.close()?;
        Ok(Operator::Trim {
            end,
            longest,
            pattern: Box::new(pattern),
        })
    }

    fn replace(&mut self) -> Result<Operator, Problem> {
        self.at += 1;
        let what = match self.peek() {
            Some('/') => Which::All,
            Some('#') => Which::Front,
            Some('%') => Which::Back,
            _ => Which::First,
        };
        if what != Which::First {
            self.at += 1;
        }
        let pattern = if self.peek() == Some('/') {
            Part::Text(String::new())
        } else {
            self.operand(|character| character != '/', "$\\")?
        };
        if !self.take('/') {
            return Err(Problem::Bad);
        }
        while self.take('/') {}
        let by = if self.peek() == Some('}') {
            None
        } else {
            Some(Box::new(self.operand(|character| character != '}', "$\\")?))
        };
        self.close()?;
        Ok(Operator::Replace {
            what,
            pattern: Box::new(pattern),
            by,
        })
    }
}
