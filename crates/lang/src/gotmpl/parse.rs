//! Builds the tree of a template: texts, control structures and definitions. Pipelines are in
//! [`super::parse_pipeline`].

use std::collections::BTreeMap;

use super::ast::{Branches, Node};
use super::lex::{self, Kind, Token};
use super::limits::{MAX_DEPTH, MAX_TEMPLATE};
use super::parse_pipeline::Declares;
use super::{At, Template, TemplateError, literal};

/// Parses a whole template.
pub(super) fn template(text: &str) -> Result<Template, TemplateError> {
    if text.len() > MAX_TEMPLATE {
        let message = format!("the template is longer than {MAX_TEMPLATE} bytes");
        return Err(TemplateError::new(1, message));
    }
    let mut parser = Parser {
        tokens: lex::tokens(text)?,
        at: 0,
        scope: vec!["$"],
        ranges: 0,
        depth: 0,
        definitions: BTreeMap::new(),
    };
    let (main, stop, line) = parser.nodes(true)?;
    if stop != Stop::Eof {
        let message = format!("{stop} without a block that it belongs to");
        return Err(TemplateError::new(line, message));
    }
    Ok(Template {
        main,
        definitions: parser.definitions,
    })
}

pub(super) struct Parser<'t> {
    tokens: Vec<Token<'t>>,
    at: usize,
    /// Variables in scope. A variable's place is its slot; places are used again once a scope ends.
    pub(super) scope: Vec<&'t str>,
    /// How many `{{range}}` are open.
    ranges: usize,
    depth: usize,
    definitions: BTreeMap<String, Vec<Node>>,
}

/// What ended a list of nodes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    Eof,
    End,
    Else,
    ElseIf,
    ElseWith,
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Eof => "end of the template",
            Self::End => "`{{end}}`",
            Self::Else => "`{{else}}`",
            Self::ElseIf => "`{{else if}}`",
            Self::ElseWith => "`{{else with}}`",
        })
    }
}

impl<'t> Parser<'t> {
    /// The next token; `Eof` for ever at the end.
    pub(super) fn peek(&self) -> Token<'t> {
        self.ahead(0)
    }

    /// The token `count` after the next one.
    pub(super) fn ahead(&self, count: usize) -> Token<'t> {
        let found = self.tokens.get(self.at + count).or(self.tokens.last());
        found.copied().unwrap_or(Token {
            kind: Kind::Eof,
            line: 1,
        })
    }

    pub(super) fn next(&mut self) -> Token<'t> {
        let token = self.peek();
        self.at += 1;
        token
    }

    pub(super) fn skip_space(&mut self) {
        while self.peek().kind == Kind::Space {
            self.at += 1;
        }
    }

    /// Counts a level of nesting while `parse` runs.
    pub(super) fn nested<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, TemplateError>,
    ) -> Result<T, TemplateError> {
        if self.depth == MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} levels of blocks and parentheses");
            return Err(TemplateError::new(self.peek().line, message));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Nodes up to what ends them, which is taken too, and the line of that.
    fn nodes(&mut self, top: bool) -> Result<(Vec<Node>, Stop, usize), TemplateError> {
        let mut nodes = Vec::new();
        loop {
            let Token { kind, line } = self.next();
            match kind {
                Kind::Text(text) => nodes.push(Node::Text(text.to_owned())),
                Kind::Open => {
                    self.skip_space();
                    let word = match self.peek().kind {
                        Kind::Word(word) => word,
                        _ => "",
                    };
                    match word {
                        "end" => {
                            self.at += 1;
                            self.close("{{end}}")?;
                            return Ok((nodes, Stop::End, line));
                        }
                        "else" => return Ok((nodes, self.otherwise()?, line)),
                        "define" if top => self.nested(|parser| parser.define(line))?,
                        _ => nodes.push(self.nested(|parser| parser.action(word, line))?),
                    }
                }
                _ => return Ok((nodes, Stop::Eof, line)),
            }
        }
    }

    /// What follows `{{else`.
    fn otherwise(&mut self) -> Result<Stop, TemplateError> {
        self.at += 1;
        self.skip_space();
        let stop = match self.peek().kind {
            Kind::Word("if") => Stop::ElseIf,
            Kind::Word("with") => Stop::ElseWith,
            _ => {
                self.close("{{else}}")?;
                return Ok(Stop::Else);
            }
        };
        self.at += 1;
        Ok(stop)
    }

    /// Takes the `}}` that must come next.
    fn close(&mut self, of: &str) -> Result<(), TemplateError> {
        self.skip_space();
        let token = self.next();
        if token.kind != Kind::Close {
            return Err(unexpected(token, of));
        }
        Ok(())
    }

    /// An action that begins with this word, or with none.
    fn action(&mut self, word: &str, line: usize) -> Result<Node, TemplateError> {
        let keyword = [
            "if", "with", "range", "template", "block", "define", "break", "continue",
        ]
        .contains(&word);
        if keyword {
            self.at += 1;
        }
        match word {
            "if" => self.branches(Stop::ElseIf, "if", line).map(Node::If),
            "with" => self.branches(Stop::ElseWith, "with", line).map(Node::With),
            "range" => self.range(line),
            "template" => {
                let name = self.name("template")?;
                self.skip_space();
                let pipeline = if self.peek().kind == Kind::Close {
                    self.at += 1;
                    None
                } else {
                    Some(self.pipeline(Kind::Close, Declares::One)?)
                };
                Ok(Node::Template {
                    line,
                    name,
                    pipeline,
                })
            }
            "block" => {
                let name = self.name("block")?;
                let pipeline = Some(self.pipeline(Kind::Close, Declares::One)?);
                self.body_of(name.clone(), "block", line)?;
                Ok(Node::Template {
                    line,
                    name,
                    pipeline,
                })
            }
            "define" => Err(TemplateError::new(
                line,
                "`{{define}}` must stand outside of every other block",
            )),
            "break" | "continue" => {
                self.close(word)?;
                if self.ranges == 0 {
                    let message = format!("`{{{{{word}}}}}` outside of `{{{{range}}}}`");
                    return Err(TemplateError::new(line, message));
                }
                Ok(if word == "break" {
                    Node::Break
                } else {
                    Node::Continue
                })
            }
            _ => self.pipeline(Kind::Close, Declares::One).map(Node::Action),
        }
    }

    /// The arms of an `if` or `with`; `again` is what begins another.
    fn branches(
        &mut self,
        again: Stop,
        word: &str,
        line: usize,
    ) -> Result<Branches, TemplateError> {
        let outer = self.scope.len();
        let mut arms = Vec::new();
        let otherwise = loop {
            let pipeline = self.pipeline(Kind::Close, Declares::One)?;
            let (body, stop, at) = self.scoped(false)?;
            arms.push((pipeline, body));
            match stop {
                Stop::End => break Vec::new(),
                Stop::Else => break self.last(word, line)?,
                stop if stop == again => {}
                stop => return Err(unclosed(word, line, stop, at)),
            }
        };
        self.scope.truncate(outer);
        Ok(Branches { arms, otherwise })
    }

    fn range(&mut self, line: usize) -> Result<Node, TemplateError> {
        let outer = self.scope.len();
        let pipeline = self.pipeline(Kind::Close, Declares::Two)?;
        self.ranges += 1;
        let (body, stop, at) = self.scoped(false)?;
        self.ranges -= 1;
        let otherwise = match stop {
            Stop::End => Vec::new(),
            Stop::Else => self.last("range", line)?,
            stop => return Err(unclosed("range", line, stop, at)),
        };
        self.scope.truncate(outer);
        Ok(Node::Range {
            pipeline,
            body,
            otherwise,
        })
    }

    /// Nodes whose variables end with them.
    fn scoped(&mut self, top: bool) -> Result<(Vec<Node>, Stop, usize), TemplateError> {
        let outer = self.scope.len();
        let nodes = self.nodes(top)?;
        self.scope.truncate(outer);
        Ok(nodes)
    }

    /// The nodes between `{{else}}` and `{{end}}`.
    fn last(&mut self, word: &str, line: usize) -> Result<Vec<Node>, TemplateError> {
        match self.scoped(false)? {
            (nodes, Stop::End, _) => Ok(nodes),
            (_, stop, at) => Err(unclosed(word, line, stop, at)),
        }
    }

    fn define(&mut self, line: usize) -> Result<(), TemplateError> {
        self.at += 1;
        let name = self.name("define")?;
        self.close("{{define}}")?;
        self.body_of(name, "define", line)
    }

    /// The body of a definition, which sees no variables but `$` and none of the loops around it.
    fn body_of(&mut self, name: String, word: &str, line: usize) -> Result<(), TemplateError> {
        let scope = std::mem::replace(&mut self.scope, vec!["$"]);
        let ranges = std::mem::take(&mut self.ranges);
        let body = self.last(word, line)?;
        self.scope = scope;
        self.ranges = ranges;
        let is_blank = body.iter().all(Node::is_blank);
        match self.definitions.get_mut(&name) {
            Some(known) if known.iter().all(Node::is_blank) => *known = body,
            Some(_) if is_blank => {}
            Some(_) => {
                let message = format!("the template {name:?} is defined a second time");
                return Err(TemplateError::new(line, message));
            }
            None => {
                self.definitions.insert(name, body);
            }
        }
        Ok(())
    }

    /// The name of a template, a string literal.
    fn name(&mut self, word: &str) -> Result<String, TemplateError> {
        self.skip_space();
        let token = self.next();
        match token.kind {
            Kind::Quoted(text) => literal::string(text).at(token.line),
            Kind::Raw(text) => Ok(literal::raw(text)),
            _ => Err(TemplateError::new(
                token.line,
                format!("`{{{{{word}}}}}` needs the name of a template in quotes"),
            )),
        }
    }
}

fn unclosed(word: &str, line: usize, stop: Stop, at: usize) -> TemplateError {
    if stop == Stop::Eof {
        let message = format!("`{{{{{word}}}}}` is not closed by `{{{{end}}}}`");
        return TemplateError::new(line, message);
    }
    let message = format!("{stop} does not fit the `{{{{{word}}}}}` of line {line}");
    TemplateError::new(at, message)
}

/// Complains about a token.
pub(super) fn unexpected(token: Token<'_>, of: &str) -> TemplateError {
    let found = match token.kind {
        Kind::Word(text)
        | Kind::Variable(text)
        | Kind::Number(text)
        | Kind::Char(text)
        | Kind::Quoted(text)
        | Kind::Raw(text) => text.to_owned(),
        Kind::Field(text) => format!(".{text}"),
        Kind::Text(_) | Kind::Close | Kind::Eof => "`}}`".to_owned(),
        Kind::Open => "`{{`".to_owned(),
        Kind::Space => "space".to_owned(),
        Kind::Dot => "`.`".to_owned(),
        Kind::Pipe => "`|`".to_owned(),
        Kind::Assign => "`=`".to_owned(),
        Kind::Declare => "`:=`".to_owned(),
        Kind::Comma => "`,`".to_owned(),
        Kind::LeftParen => "`(`".to_owned(),
        Kind::RightParen => "`)`".to_owned(),
    };
    TemplateError::new(token.line, format!("unexpected {found} in {of}"))
}
