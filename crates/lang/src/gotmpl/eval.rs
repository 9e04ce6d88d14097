//! What pipelines, commands and operands give.

use super::ast::{Command, Operand, Pipeline};
use super::exec::{Frame, Run};
use super::functions::{Call, Function, Kind};
use super::limits::MAX_VALUE_DEPTH;
use super::value::Value;
use super::{At, TemplateError};

impl Run<'_> {
    /// The value of a pipeline, which its variables get too.
    pub(super) fn pipeline(
        &mut self,
        pipeline: &Pipeline,
        dot: &Value,
        frame: &mut Frame,
    ) -> Result<Value, TemplateError> {
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, value, dot, frame)?);
        }
        let value = value.unwrap_or_default();
        for slot in &pipeline.slots {
            frame.set(*slot, value.clone());
        }
        Ok(value)
    }

    fn command(
        &mut self,
        command: &Command,
        last: Option<Value>,
        dot: &Value,
        frame: &mut Frame,
    ) -> Result<Value, TemplateError> {
        let line = command.line;
        self.meter.work(1).at(line)?;
        match &command.head {
            Operand::Function(function) => {
                self.function(function, &command.args, last, line, dot, frame)
            }
            Operand::Nil => Err(TemplateError::new(line, "nil is not a command")),
            _ if last.is_some() || !command.args.is_empty() => Err(TemplateError::new(
                line,
                "arguments for something that is not a function",
            )),
            operand => self.operand(operand, line, dot, frame),
        }
    }

    fn operand(
        &mut self,
        operand: &Operand,
        line: usize,
        dot: &Value,
        frame: &mut Frame,
    ) -> Result<Value, TemplateError> {
        match operand {
            Operand::Literal(value) => Ok(value.clone()),
            Operand::Nil => Ok(Value::Nil),
            Operand::Dot => Ok(dot.clone()),
            Operand::Field(path) => self.fields(dot.clone(), path, line),
            Operand::Variable(slot, path) => self.fields(frame.get(*slot), path, line),
            Operand::Function(function) => self.function(function, &[], None, line, dot, frame),
            Operand::Pipeline(pipeline) => {
                self.nested(line, |run| run.pipeline(pipeline, dot, frame))
            }
            Operand::Chain(inner, path) => {
                let value = self.nested(line, |run| run.operand(inner, line, dot, frame))?;
                self.fields(value, path, line)
            }
        }
    }

    /// Follows a chain of fields. A key that a map does not have, and everything below it, is nil;
    /// a field that a struct does not have is an error.
    fn fields(
        &mut self,
        mut value: Value,
        path: &[String],
        line: usize,
    ) -> Result<Value, TemplateError> {
        for name in path {
            self.meter.work(1).at(line)?;
            let found = match &value {
                Value::Nil => Some(Value::Nil),
                Value::Struct(record) => record.get(name).cloned(),
                Value::Map(map) => match map.entries().first() {
                    None | Some((Value::String(_), _)) => {
                        Some(map.get(&name.as_str().into()).cloned().unwrap_or_default())
                    }
                    Some(_) => None,
                },
                _ => None,
            };
            value = found.ok_or_else(|| {
                let of = value.type_name();
                TemplateError::new(line, format!("can't evaluate field {name} in type {of}"))
            })?;
        }
        Ok(value)
    }

    fn function(
        &mut self,
        function: &Function,
        operands: &[Operand],
        last: Option<Value>,
        line: usize,
        dot: &Value,
        frame: &mut Frame,
    ) -> Result<Value, TemplateError> {
        function
            .check_arity(operands.len() + usize::from(last.is_some()))
            .at(line)?;
        let mut args = Vec::with_capacity(operands.len() + 1);
        let run = match function.kind {
            Kind::Until(stop) => {
                let mut value = Value::Nil;
                for operand in operands {
                    value = self.operand(operand, line, dot, frame)?;
                    if value.truth() == stop {
                        return Ok(value);
                    }
                }
                return Ok(last.unwrap_or(value));
            }
            Kind::Plain(run) => run,
        };
        for operand in operands {
            args.push(self.operand(operand, line, dot, frame)?);
        }
        args.extend(last);
        let read: usize = args.iter().map(Value::size).sum();
        self.meter.bytes(read).at(line)?;
        let mut call = Call {
            args,
            meter: &mut self.meter,
        };
        let value = run(&mut call)
            .map_err(|message| format!("error calling {}: {message}", function.name))
            .at(line)?;
        if value.depth() > MAX_VALUE_DEPTH {
            let message = format!("lists and maps nest deeper than {MAX_VALUE_DEPTH} levels");
            return Err(TemplateError::new(line, message));
        }
        self.meter.memory(value.size()).at(line)?;
        Ok(value)
    }
}
