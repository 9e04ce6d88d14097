//! Runs the nodes of a template. What their pipelines give is in [`super::eval`].

use std::fmt::Write as _;

use super::ast::{Branches, Node, Pipeline};
use super::limits::{Bounded, MAX_DEPTH, MAX_OUTPUT, Meter};
use super::value::Value;
use super::{At, Template, TemplateError, format};

/// Renders a template; also says how many work units that took.
pub(super) fn run(template: &Template, data: &Value) -> (Result<String, TemplateError>, usize) {
    let mut run = Run {
        template,
        out: Bounded::new(MAX_OUTPUT),
        meter: Meter::new(),
        depth: 0,
    };
    let result = run.nodes(&template.main, data, &mut Frame::new(data));
    (result.map(|_| run.out.text), run.meter.spent())
}

/// The state of one run.
pub(super) struct Run<'t> {
    template: &'t Template,
    out: Bounded,
    pub(super) meter: Meter,
    depth: usize,
}

/// The variables of a template, by slot.
pub(super) struct Frame {
    slots: Vec<Value>,
}

impl Frame {
    fn new(data: &Value) -> Self {
        Self {
            slots: vec![data.clone()],
        }
    }

    /// The variable's value. It is nil where a short-circuited argument would have declared it.
    pub(super) fn get(&self, slot: usize) -> Value {
        self.slots.get(slot).cloned().unwrap_or_default()
    }

    pub(super) fn set(&mut self, slot: usize, value: Value) {
        if self.slots.len() <= slot {
            self.slots.resize(slot + 1, Value::Nil);
        }
        if let Some(place) = self.slots.get_mut(slot) {
            *place = value;
        }
    }
}

/// Where to go on after a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

impl Run<'_> {
    /// Counts a level of nesting while `run` runs.
    pub(super) fn nested<T>(
        &mut self,
        line: usize,
        run: impl FnOnce(&mut Self) -> Result<T, TemplateError>,
    ) -> Result<T, TemplateError> {
        if self.depth == MAX_DEPTH {
            let message =
                format!("more than {MAX_DEPTH} levels of blocks, parentheses and templates");
            return Err(TemplateError::new(line, message));
        }
        self.depth += 1;
        let result = run(self);
        self.depth -= 1;
        result
    }

    fn nodes(
        &mut self,
        nodes: &[Node],
        dot: &Value,
        frame: &mut Frame,
    ) -> Result<Flow, TemplateError> {
        for node in nodes {
            let flow = match node {
                Node::Text(text) => {
                    self.print(0, |out| out.write_str(text))?;
                    Flow::Next
                }
                Node::Action(pipeline) => {
                    let value = self.pipeline(pipeline, dot, frame)?;
                    if pipeline.slots.is_empty() {
                        self.print(pipeline.line, |out| format::action(out, &value))?;
                    }
                    Flow::Next
                }
                Node::If(branches) => self.branches(branches, false, dot, frame)?,
                Node::With(branches) => self.branches(branches, true, dot, frame)?,
                Node::Range {
                    pipeline,
                    body,
                    otherwise,
                } => self.range(pipeline, body, otherwise, dot, frame)?,
                Node::Template {
                    line,
                    name,
                    pipeline,
                } => {
                    self.call(*line, name, pipeline.as_ref(), dot, frame)?;
                    Flow::Next
                }
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn print(
        &mut self,
        line: usize,
        write: impl FnOnce(&mut Bounded) -> std::fmt::Result,
    ) -> Result<(), TemplateError> {
        let before = self.out.text.len();
        write(&mut self.out).map_err(|std::fmt::Error| {
            let line = line.max(1);
            TemplateError::new(
                line,
                format!("the output is longer than {MAX_OUTPUT} bytes"),
            )
        })?;
        let written = self.out.text.len() - before;
        self.meter.bytes(written).at(line.max(1))
    }

    fn branches(
        &mut self,
        branches: &Branches,
        sets_dot: bool,
        dot: &Value,
        frame: &mut Frame,
    ) -> Result<Flow, TemplateError> {
        for (pipeline, body) in &branches.arms {
            let value = self.pipeline(pipeline, dot, frame)?;
            if value.truth() {
                let dot = if sets_dot { &value } else { dot };
                return self.nested(pipeline.line, |run| run.nodes(body, dot, frame));
            }
        }
        let line = branches.arms.first().map_or(1, |(p, _)| p.line);
        self.nested(line, |run| run.nodes(&branches.otherwise, dot, frame))
    }

    fn range(
        &mut self,
        pipeline: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
        frame: &mut Frame,
    ) -> Result<Flow, TemplateError> {
        let line = pipeline.line;
        let over = self.pipeline(pipeline, dot, frame)?;
        let int = |n: usize| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
        let mut elements: Box<dyn Iterator<Item = (Value, Value)> + '_> = match &over {
            Value::Nil => Box::new(std::iter::empty()),
            Value::Int(_) if pipeline.slots.len() > 1 => {
                let message = "range over a number gives one variable, not two";
                return Err(TemplateError::new(line, message));
            }
            Value::Int(count) => Box::new((0..*count).map(|n| (Value::Nil, Value::Int(n)))),
            Value::List(list) => {
                let numbered = list.items().iter().enumerate();
                Box::new(numbered.map(move |(at, item)| (int(at), item.clone())))
            }
            Value::Map(map) => Box::new(map.entries().iter().cloned()),
            other => {
                let message = format!("range can't iterate over a {}", other.type_name());
                return Err(TemplateError::new(line, message));
            }
        };
        let Some(mut element) = elements.next() else {
            // As in Go, a break here leaves this range, a continue goes on with the one around it.
            let flow = self.nested(line, |run| run.nodes(otherwise, dot, frame))?;
            return Ok(if flow == Flow::Break {
                Flow::Next
            } else {
                flow
            });
        };
        loop {
            self.meter.work(1).at(line)?;
            let (index, item) = element;
            match *pipeline.slots {
                [] => {}
                [first] => frame.set(first, item.clone()),
                [first, second, ..] => {
                    frame.set(first, index);
                    frame.set(second, item.clone());
                }
            }
            let flow = self.nested(line, |run| run.nodes(body, &item, frame))?;
            if flow == Flow::Break {
                break;
            }
            match elements.next() {
                Some(next) => element = next,
                None => break,
            }
        }
        Ok(Flow::Next)
    }

    /// Runs a defined template, which sees no variables but its own data.
    fn call(
        &mut self,
        line: usize,
        name: &str,
        pipeline: Option<&Pipeline>,
        dot: &Value,
        frame: &mut Frame,
    ) -> Result<(), TemplateError> {
        let Some(body) = self.template.definitions.get(name) else {
            let message = format!("the template {name:?} is not defined");
            return Err(TemplateError::new(line, message));
        };
        let data = match pipeline {
            Some(pipeline) => self.pipeline(pipeline, dot, frame)?,
            None => Value::Nil,
        };
        let mut frame = Frame::new(&data);
        self.nested(line, |run| run.nodes(body, &data, &mut frame))?;
        Ok(())
    }
}
