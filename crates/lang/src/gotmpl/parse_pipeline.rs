//! Pipelines: declarations, commands, operands.

use super::ast::{Command, Operand, Pipeline};
use super::functions;
use super::lex::{Kind, Token};
use super::parse::{Parser, unexpected};
use super::value::Value;
use super::{At, TemplateError, literal};

/// How many variables a pipeline may declare.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Declares {
    One,
    /// Index and element of a `{{range}}`.
    Two,
}

impl<'t> Parser<'t> {
    /// A pipeline up to and including `end`.
    pub(super) fn pipeline(
        &mut self,
        end: Kind<'t>,
        declares: Declares,
    ) -> Result<Pipeline, TemplateError> {
        self.skip_space();
        let line = self.peek().line;
        let (names, assigns) = self.variables(declares)?;
        let mut commands = Vec::new();
        loop {
            self.skip_space();
            if self.peek().kind == end {
                self.next();
                break;
            }
            commands.push(self.command(commands.len())?);
        }
        if commands.is_empty() {
            return Err(TemplateError::new(line, "a value is missing here"));
        }
        // Only now: `{{$x := f $x}}` reads the variable of the scope outside.
        let slots = names.into_iter().map(|name| {
            if assigns {
                self.slot(name).at(line)
            } else {
                self.scope.push(name);
                Ok(self.scope.len() - 1)
            }
        });
        Ok(Pipeline {
            line,
            slots: slots.collect::<Result<_, _>>()?,
            commands,
        })
    }

    /// The variables before `:=` or `=`, and whether it is the latter.
    fn variables(&mut self, declares: Declares) -> Result<(Vec<&'t str>, bool), TemplateError> {
        let mut names = Vec::new();
        while let Kind::Variable(name) = self.peek().kind {
            let spaces = (1..)
                .take_while(|n| self.ahead(*n).kind == Kind::Space)
                .count();
            let Token { kind, line } = self.ahead(1 + spaces);
            if !matches!(kind, Kind::Declare | Kind::Assign | Kind::Comma) {
                break;
            }
            for _ in 0..spaces + 2 {
                self.next();
            }
            self.skip_space();
            names.push(name);
            match kind {
                Kind::Comma if declares == Declares::Two && names.len() == 1 => {}
                Kind::Comma => {
                    let message = "only `{{range $index, $element := …}}` declares two variables";
                    return Err(TemplateError::new(line, message.replace('…', "...")));
                }
                kind => return Ok((names, kind == Kind::Assign)),
            }
        }
        if names.is_empty() {
            return Ok((names, false));
        }
        Err(unexpected(self.peek(), "the variables of `{{range}}`"))
    }

    fn slot(&self, name: &str) -> Result<usize, String> {
        self.scope
            .iter()
            .rposition(|known| *known == name)
            .ok_or_else(|| format!("the variable {name} is not declared here"))
    }

    /// A command up to, but not including, what ends the pipeline.
    fn command(&mut self, stage: usize) -> Result<Command, TemplateError> {
        let line = self.peek().line;
        let mut operands = Vec::new();
        loop {
            self.skip_space();
            if let Some(operand) = self.operand()? {
                operands.push(operand);
            }
            let token = self.peek();
            match token.kind {
                Kind::Space => {}
                Kind::Close | Kind::RightParen => break,
                Kind::Pipe => {
                    self.next();
                    break;
                }
                _ => return Err(unexpected(token, "a command")),
            }
        }
        let mut operands = operands.into_iter();
        let Some(head) = operands.next() else {
            return Err(TemplateError::new(line, "a command is missing here"));
        };
        if stage > 0 && matches!(head, Operand::Literal(_) | Operand::Nil | Operand::Dot) {
            let message = "what follows `|` must be a function that takes the value before it";
            return Err(TemplateError::new(line, message));
        }
        Ok(Command {
            line,
            head,
            args: operands.collect(),
        })
    }

    /// A term and the fields right behind it; `None` if there is no term.
    fn operand(&mut self) -> Result<Option<Operand>, TemplateError> {
        let Some(mut operand) = self.term()? else {
            return Ok(None);
        };
        let mut fields = Vec::new();
        while let Kind::Field(name) = self.peek().kind {
            fields.push(name.to_owned());
            self.next();
        }
        if fields.is_empty() {
            return Ok(Some(operand));
        }
        match &mut operand {
            Operand::Field(path) | Operand::Variable(_, path) => path.append(&mut fields),
            Operand::Literal(_) | Operand::Nil | Operand::Dot => {
                let message = "a literal, `nil` or `.` has no fields: write `.Field`";
                return Err(TemplateError::new(self.peek().line, message));
            }
            _ => operand = Operand::Chain(Box::new(operand), fields),
        }
        Ok(Some(operand))
    }

    fn term(&mut self) -> Result<Option<Operand>, TemplateError> {
        let Token { kind, line } = self.peek();
        let operand = match kind {
            Kind::Word("true") => Operand::Literal(Value::Bool(true)),
            Kind::Word("false") => Operand::Literal(Value::Bool(false)),
            Kind::Word("nil") => Operand::Nil,
            Kind::Word(word) if is_keyword(word) => {
                return Err(unexpected(self.peek(), "a command"));
            }
            Kind::Word(name) => Operand::Function(functions::find(name).at(line)?),
            Kind::Dot => Operand::Dot,
            Kind::Field(name) => Operand::Field(vec![name.to_owned()]),
            Kind::Variable(name) => Operand::Variable(self.slot(name).at(line)?, Vec::new()),
            Kind::Number(text) => Operand::Literal(literal::number(text).at(line)?),
            Kind::Char(text) => Operand::Literal(literal::char(text).at(line)?),
            Kind::Quoted(text) => Operand::Literal(literal::string(text).at(line)?.into()),
            Kind::Raw(text) => Operand::Literal(literal::raw(text).into()),
            Kind::LeftParen => {
                self.next();
                let inner =
                    self.nested(|parser| parser.pipeline(Kind::RightParen, Declares::One))?;
                return Ok(Some(Operand::Pipeline(Box::new(inner))));
            }
            _ => return Ok(None),
        };
        self.next();
        Ok(Some(operand))
    }
}

fn is_keyword(word: &str) -> bool {
    [
        "block", "break", "continue", "define", "else", "end", "if", "range", "template", "with",
    ]
    .contains(&word)
}
