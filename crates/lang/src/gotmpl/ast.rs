//! What a template is made of, once parsed. Variables are resolved: each is a slot of its frame.

use super::functions::Function;
use super::value::Value;

/// A piece of a template.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Text outside of actions.
    Text(String),
    /// `{{pipeline}}`: prints, unless it declares or assigns.
    Action(Pipeline),
    /// `{{if}}`, with one arm for each `{{else if}}`.
    If(Branches),
    /// `{{with}}`, with one arm for each `{{else with}}`.
    With(Branches),
    /// `{{range}}`.
    Range {
        /// What to iterate over; it may declare one or two variables.
        pipeline: Pipeline,
        /// For each element.
        body: Vec<Node>,
        /// When there is no element.
        otherwise: Vec<Node>,
    },
    /// `{{template "name" pipeline}}`, and where a `{{block}}` stands.
    Template {
        /// Line of the action.
        line: usize,
        /// Which template.
        name: String,
        /// Its data.
        pipeline: Option<Pipeline>,
    },
    /// `{{break}}`.
    Break,
    /// `{{continue}}`.
    Continue,
}

/// Arms, of which the first that is true runs.
#[derive(Clone, Debug)]
pub(super) struct Branches {
    pub(super) arms: Vec<(Pipeline, Vec<Node>)>,
    pub(super) otherwise: Vec<Node>,
}

/// Commands, each of which gets the value of the one before as its last argument.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    /// Line it begins on.
    pub(super) line: usize,
    /// Slots that get the value; for `{{range}}`, index and element.
    pub(super) slots: Vec<usize>,
    pub(super) commands: Vec<Command>,
}

/// One stage of a pipeline.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) line: usize,
    pub(super) head: Operand,
    pub(super) args: Vec<Operand>,
}

/// Something that has a value.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    /// A bool, number or string.
    Literal(Value),
    /// `nil`.
    Nil,
    /// `.`
    Dot,
    /// `.A.B`
    Field(Vec<String>),
    /// `$x` or `$x.A.B`
    Variable(usize, Vec<String>),
    /// A function, to be called with the command's arguments, or with none.
    Function(&'static Function),
    /// A pipeline in parentheses.
    Pipeline(Box<Pipeline>),
    /// `(pipeline).A.B`
    Chain(Box<Operand>, Vec<String>),
}

impl Node {
    /// Whether the node prints nothing but space. A definition of such nodes gives way to another.
    pub(super) fn is_blank(&self) -> bool {
        matches!(self, Self::Text(text) if text.trim().is_empty())
    }
}
