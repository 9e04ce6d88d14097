//! Which fields of its data a template reads, without running it.

use std::collections::BTreeSet;

use super::Template;
use super::ast::{Command, Node, Operand, Pipeline};

/// How many calls of defined templates are followed: a template may call itself with ever other
/// fields.
const MAX_CALLS: usize = 100;

/// A chain of fields from the data, if the value is known to be one.
type Chain = Option<Vec<String>>;

/// See [`Template::roots`].
pub(super) fn of(template: &Template) -> Vec<String> {
    let mut search = Search {
        template,
        found: BTreeSet::new(),
        called: BTreeSet::new(),
        pending: Vec::new(),
    };
    let root = Some(Vec::new());
    search.nodes(&template.main, &root, &mut vec![root.clone()]);
    // One after the other: calls within calls would nest deeper than the template does.
    while let Some((body, data)) = search.pending.pop() {
        search.nodes(body, &data, &mut vec![data.clone()]);
    }
    search.found.into_iter().collect()
}

struct Search<'t> {
    template: &'t Template,
    found: BTreeSet<String>,
    called: BTreeSet<(&'t str, Chain)>,
    /// Bodies of templates that are still to be searched, with their data.
    pending: Vec<(&'t [Node], Chain)>,
}

impl<'t> Search<'t> {
    fn nodes(&mut self, nodes: &'t [Node], dot: &Chain, slots: &mut Vec<Chain>) {
        for node in nodes {
            match node {
                Node::Text(_) | Node::Break | Node::Continue => {}
                Node::Action(pipeline) => {
                    self.pipeline(pipeline, dot, slots);
                }
                Node::If(branches) => {
                    for (pipeline, body) in &branches.arms {
                        self.pipeline(pipeline, dot, slots);
                        self.nodes(body, dot, slots);
                    }
                    self.nodes(&branches.otherwise, dot, slots);
                }
                Node::With(branches) => {
                    for (pipeline, body) in &branches.arms {
                        let value = self.pipeline(pipeline, dot, slots);
                        self.nodes(body, &value, slots);
                    }
                    self.nodes(&branches.otherwise, dot, slots);
                }
                Node::Range {
                    pipeline,
                    body,
                    otherwise,
                } => {
                    self.pipeline(pipeline, dot, slots);
                    for slot in &pipeline.slots {
                        set(slots, *slot, None);
                    }
                    self.nodes(body, &None, slots);
                    self.nodes(otherwise, dot, slots);
                }
                Node::Template { name, pipeline, .. } => {
                    let data = match pipeline {
                        Some(pipeline) => self.pipeline(pipeline, dot, slots),
                        None => None,
                    };
                    self.call(name, data);
                }
            }
        }
    }

    fn call(&mut self, name: &'t str, data: Chain) {
        let Some(body) = self.template.definitions.get(name) else {
            return;
        };
        let full = self.called.len() == MAX_CALLS;
        if !full && self.called.insert((name, data.clone())) {
            self.pending.push((body, data));
        }
    }

    /// Notes what a pipeline reads. Answers the chain that its value is.
    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Chain, slots: &mut Vec<Chain>) -> Chain {
        let mut value = None;
        for Command { head, args, .. } in &pipeline.commands {
            value = self.operand(head, dot, slots);
            for arg in args {
                self.operand(arg, dot, slots);
            }
        }
        if pipeline.commands.len() > 1 {
            value = None;
        }
        for slot in &pipeline.slots {
            set(slots, *slot, value.clone());
        }
        value
    }

    fn operand(&mut self, operand: &Operand, dot: &Chain, slots: &mut Vec<Chain>) -> Chain {
        match operand {
            Operand::Literal(_) | Operand::Nil | Operand::Function(_) => None,
            Operand::Dot => dot.clone(),
            Operand::Field(path) => self.chain(dot.clone(), path),
            Operand::Variable(slot, path) => {
                let value = slots.get(*slot).cloned().flatten();
                self.chain(value, path)
            }
            Operand::Pipeline(pipeline) => self.pipeline(pipeline, dot, slots),
            Operand::Chain(inner, path) => {
                let value = self.operand(inner, dot, slots);
                self.chain(value, path)
            }
        }
    }

    fn chain(&mut self, from: Chain, path: &[String]) -> Chain {
        let mut chain = from?;
        chain.extend_from_slice(path);
        if !chain.is_empty() {
            self.found.insert(format!(".{}", chain.join(".")));
        }
        Some(chain)
    }
}

fn set(slots: &mut Vec<Chain>, slot: usize, value: Chain) {
    if slots.len() <= slot {
        slots.resize(slot + 1, None);
    }
    if let Some(place) = slots.get_mut(slot) {
        *place = value;
    }
}
