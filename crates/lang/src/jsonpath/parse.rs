//! From text to a template.

use serde_json::{Value, json};

use super::{Comparison, Filter, JsonPathError, Node, Operand, Path, Step};

/// Ranges within ranges that are read: more would exhaust the stack.
const MAX_DEPTH: usize = 32;

pub(super) fn template(text: &str) -> Result<Vec<Node>, JsonPathError> {
    let mut reader = Reader {
        characters: text.chars().collect(),
        at: 0,
    };
    let nodes = reader.nodes(0)?;
    match reader.peek() {
        None => Ok(nodes),
        Some(_) => reader.fail("{end} without {range}"),
    }
}

struct Reader {
    characters: Vec<char>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let found = self.peek();
        self.at += usize::from(found.is_some());
        found
    }

    fn takes(&mut self, text: &str) -> bool {
        let wanted: Vec<char> = text.chars().collect();
        let rest = self.characters.get(self.at..).unwrap_or_default();
        let is_there = rest.starts_with(&wanted);
        if is_there {
            self.at += wanted.len();
        }
        is_there
    }

    /// The text from there to here.
    fn since(&self, start: usize) -> String {
        let read = self.characters.get(start..self.at);
        read.unwrap_or_default().iter().collect()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn fail<T>(&self, problem: impl Into<String>) -> Result<T, JsonPathError> {
        Err(JsonPathError {
            problem: problem.into(),
            at: self.at + 1,
        })
    }

    /// Nodes up to the end, or to `{end}`, which is left to the caller.
    fn nodes(&mut self, depth: usize) -> Result<Vec<Node>, JsonPathError> {
        let mut nodes = Vec::new();
        let mut text = String::new();
        while let Some(character) = self.peek() {
            if character != '{' {
                text.push(character);
                self.at += 1;
                continue;
            }
            if !text.is_empty() {
                nodes.push(Node::Text(std::mem::take(&mut text)));
            }
            let before = self.at;
            self.at += 1;
            self.skip_space();
            if self.takes("end}") {
                self.at = before;
                return Ok(nodes);
            }
            if self.takes("range ") {
                nodes.push(self.range(depth)?);
                continue;
            }
            while !self.takes("}") {
                nodes.push(self.inside()?);
                self.skip_space();
            }
        }
        if !text.is_empty() {
            nodes.push(Node::Text(text));
        }
        Ok(nodes)
    }

    fn range(&mut self, depth: usize) -> Result<Node, JsonPathError> {
        if depth >= MAX_DEPTH {
            return self.fail("too many ranges within each other");
        }
        self.skip_space();
        let path = self.path()?;
        self.skip_space();
        if !self.takes("}") {
            return self.fail("} is missing after the path of a range");
        }
        let nodes = self.nodes(depth + 1)?;
        let mut has_end = self.takes("{");
        self.skip_space();
        has_end = has_end && self.takes("end}");
        match has_end {
            true => Ok(Node::Range(path, nodes)),
            false => self.fail("{end} is missing"),
        }
    }

    /// A text in quotes, or a path.
    fn inside(&mut self) -> Result<Node, JsonPathError> {
        match self.peek() {
            None => self.fail("} is missing"),
            Some('"' | '\'') => self.quoted().map(Node::Text),
            Some(_) => self.path().map(Node::Path),
        }
    }

    fn quoted(&mut self) -> Result<String, JsonPathError> {
        let quote = self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                None => return self.fail("a quotation mark is missing"),
                Some('\\') => match self.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some(other) => text.push(other),
                    None => return self.fail("a quotation mark is missing"),
                },
                end if end == quote => return Ok(text),
                Some(other) => text.push(other),
            }
        }
    }

    fn path(&mut self) -> Result<Path, JsonPathError> {
        let from_root = self.takes("$");
        if !from_root {
            self.takes("@");
        }
        let mut steps = Vec::new();
        let start = self.at;
        loop {
            if self.takes("..") {
                steps.push(Step::Descend);
                match self.peek() {
                    Some('[') => {}
                    _ => steps.push(self.field()?),
                }
            } else if self.takes(".") {
                match self.peek() {
                    // `{.}` is the object itself.
                    None | Some('}' | '[' | ')' | ' ') => {}
                    _ => steps.push(self.field()?),
                }
            } else if self.takes("[") {
                steps.push(self.brackets()?);
            } else {
                break;
            }
        }
        let is_empty = self.at == start && !from_root && !self.follows_at(start);
        match is_empty {
            true => self.fail("a path begins with a dot, such as {.metadata.name}"),
            false => Ok(Path { from_root, steps }),
        }
    }

    fn follows_at(&self, start: usize) -> bool {
        start > 0 && self.characters.get(start - 1) == Some(&'@')
    }

    fn field(&mut self) -> Result<Step, JsonPathError> {
        if self.takes("*") {
            return Ok(Step::All);
        }
        let mut name = String::new();
        while let Some(character) = self.peek() {
            match character {
                '\\' => {
                    self.at += 1;
                    name.extend(self.next());
                }
                '.' | '[' | ']' | '{' | '}' | '(' | ')' | ',' | '=' | '!' | '<' | '>' => break,
                space if space.is_whitespace() => break,
                other => {
                    name.push(other);
                    self.at += 1;
                }
            }
        }
        match name.is_empty() {
            true => self.fail("the name of a field is missing"),
            false => Ok(Step::Field(name)),
        }
    }

    /// What stands in brackets, of which the first has been read.
    fn brackets(&mut self) -> Result<Step, JsonPathError> {
        self.skip_space();
        if self.takes("?(") {
            let filter = self.filter()?;
            self.skip_space();
            if !(self.takes(")") && self.takes("]")) {
                return self.fail(")] is missing after a filter");
            }
            return Ok(Step::Filter(Box::new(filter)));
        }
        let mut parts = Vec::new();
        loop {
            self.skip_space();
            parts.push(match self.peek() {
                Some('"' | '\'') => Step::Field(self.quoted()?),
                Some('*') => {
                    self.at += 1;
                    Step::All
                }
                _ => self.slice()?,
            });
            self.skip_space();
            if self.takes("]") {
                break;
            }
            if !self.takes(",") {
                return self.fail("] is missing");
            }
        }
        match (parts.pop(), parts.is_empty()) {
            (Some(only), true) => Ok(only),
            (last, _) => {
                parts.extend(last);
                Ok(Step::Union(parts))
            }
        }
    }

    /// `1`, `1:3` or `1:5:2`.
    fn slice(&mut self) -> Result<Step, JsonPathError> {
        let start = self.number()?;
        if !self.takes(":") {
            let Some(index) = start else {
                return self.fail("a number, a name in quotes, * or a filter is missing");
            };
            // The last element has no index after it.
            let end = (index != -1).then_some(index.saturating_add(1));
            let (start, step) = (Some(index), None);
            return Ok(Step::Slice { start, end, step });
        }
        let end = self.number()?;
        let step = match self.takes(":") {
            true => self.number()?,
            false => None,
        };
        if step.is_some_and(|step| step < 1) {
            return self.fail("the step must be positive");
        }
        Ok(Step::Slice { start, end, step })
    }

    fn number(&mut self) -> Result<Option<i64>, JsonPathError> {
        let start = self.at;
        self.takes("-");
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        let text = self.since(start);
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => self.fail(format!("{text} is no number")),
        }
    }

    fn filter(&mut self) -> Result<Filter, JsonPathError> {
        self.skip_space();
        let left = self.operand()?;
        self.skip_space();
        let comparison = [
            ("==", Comparison::Equal),
            ("!=", Comparison::Different),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ]
        .into_iter()
        .find(|(sign, _)| self.takes(sign));
        let right = match comparison {
            None => None,
            Some((_, comparison)) => {
                self.skip_space();
                Some((comparison, self.operand()?))
            }
        };
        Ok(Filter { left, right })
    }

    fn operand(&mut self) -> Result<Operand, JsonPathError> {
        match self.peek() {
            Some('"' | '\'') => Ok(Operand::Literal(Value::String(self.quoted()?))),
            Some('@' | '$' | '.') => self.path().map(Operand::Path),
            _ => self.literal().map(Operand::Literal),
        }
    }

    fn literal(&mut self) -> Result<Value, JsonPathError> {
        let start = self.at;
        while self
            .peek()
            .is_some_and(|c| c.is_ascii_alphanumeric() || "-+.".contains(c))
        {
            self.at += 1;
        }
        let text = self.since(start);
        match (text.as_str(), text.parse::<f64>()) {
            ("true", _) => Ok(json!(true)),
            ("false", _) => Ok(json!(false)),
            (_, Ok(number)) => Ok(json!(number)),
            _ => self.fail("a path, a number, true, false or a text in quotes is missing"),
        }
    }
}
