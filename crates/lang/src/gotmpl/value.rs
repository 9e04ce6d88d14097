//! The values that templates work with.

use std::cmp::Ordering;
use std::sync::Arc;

/// A value. Cheap to clone: what is large is shared.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// Nothing: a missing map entry, or `nil`.
    #[default]
    Nil,
    /// A bool.
    Bool(bool),
    /// Any integer; Go's sized and unsigned ones print and compare the same.
    Int(i64),
    /// A 64-bit float.
    Float(f64),
    /// A string.
    String(Arc<str>),
    /// A slice.
    List(Arc<List>),
    /// A map.
    Map(Arc<Map>),
    /// A struct, or whatever else has fields and methods.
    Struct(Arc<Struct>),
}

/// Elements in order.
#[derive(Debug, Default)]
pub struct List {
    items: Vec<Value>,
    depth: usize,
}

/// Entries, sorted by key as Go's templates range over them.
#[derive(Debug, Default)]
pub struct Map {
    entries: Vec<(Value, Value)>,
    missing: Value,
    depth: usize,
}

/// Named fields, methods without arguments, and optionally a text to print instead of the fields
/// (Go's `String()`).
#[derive(Debug, Default)]
pub struct Struct {
    type_name: &'static str,
    fields: Vec<(&'static str, Value)>,
    methods: Vec<(&'static str, Value)>,
    display: Option<Arc<str>>,
    depth: usize,
}

impl List {
    /// A list of these elements.
    #[must_use]
    pub fn new(items: Vec<Value>) -> Self {
        let depth = 1 + deepest(&items);
        Self { items, depth }
    }

    /// The elements.
    #[must_use]
    pub fn items(&self) -> &[Value] {
        &self.items
    }
}

impl Map {
    /// A map of these entries; of equal keys, the last one counts.
    #[must_use]
    pub fn new(entries: impl IntoIterator<Item = (Value, Value)>) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_by(|a, b| a.0.order(&b.0));
        entries.dedup_by(|later, kept| {
            let same = later.0.order(&kept.0).is_eq();
            if same {
                std::mem::swap(&mut later.1, &mut kept.1);
            }
            same
        });
        let depth = 1 + deepest(entries.iter().flat_map(|(key, value)| [key, value]));
        Self {
            entries,
            missing: Value::Nil,
            depth,
        }
    }

    /// Sets what `index` answers for a key that is not there: the zero value of Go's element type.
    #[must_use]
    pub fn with_missing(mut self, missing: impl Into<Value>) -> Self {
        self.missing = missing.into();
        self
    }

    /// Entries in the order of their keys.
    #[must_use]
    pub fn entries(&self) -> &[(Value, Value)] {
        &self.entries
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &Value) -> Option<&Value> {
        let at = self.entries.binary_search_by(|(k, _)| k.order(key)).ok()?;
        self.entries.get(at).map(|(_, value)| value)
    }

    /// What `index` answers for a key that is not there.
    pub(super) const fn missing(&self) -> &Value {
        &self.missing
    }
}

impl Struct {
    /// A struct without fields. `type_name` appears in error messages.
    #[must_use]
    pub fn new(type_name: &'static str) -> Self {
        Self {
            type_name,
            depth: 1,
            ..Self::default()
        }
    }

    /// Adds a field: it is printed as part of the struct, unless the struct has a text of its own.
    #[must_use]
    pub fn field(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.depth = self.depth.max(1 + value.depth());
        self.fields.push((name, value));
        self
    }

    /// Adds a method without arguments, already called: reachable like a field, but not printed.
    #[must_use]
    pub fn method(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.depth = self.depth.max(1 + value.depth());
        self.methods.push((name, value));
        self
    }

    /// Sets the text to print the struct as.
    #[must_use]
    pub fn display(mut self, text: impl Into<Arc<str>>) -> Self {
        self.display = Some(text.into());
        self
    }

    /// A field or method by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let found = self.methods.iter().chain(&self.fields);
        found.into_iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    pub(super) const fn type_name(&self) -> &'static str {
        self.type_name
    }

    pub(super) fn fields(&self) -> &[(&'static str, Value)] {
        &self.fields
    }

    pub(super) fn text(&self) -> Option<&str> {
        self.display.as_deref()
    }
}

fn deepest<'v>(values: impl IntoIterator<Item = &'v Value>) -> usize {
    values.into_iter().map(Value::depth).max().unwrap_or(0)
}

impl Value {
    /// A list of these elements.
    #[must_use]
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        List::new(items.into_iter().collect()).into()
    }

    /// A map of these entries.
    #[must_use]
    pub fn map<K: Into<Self>, V: Into<Self>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        Map::new(entries.into_iter().map(|(k, v)| (k.into(), v.into()))).into()
    }

    /// Levels of lists, maps and structs below this value.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::List(list) => list.depth,
            Self::Map(map) => map.depth,
            Self::Struct(record) => record.depth,
            _ => 0,
        }
    }

    /// What the value itself takes, in bytes, without what its elements share with others.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::String(text) => text.len(),
            Self::List(list) => size_of_val(list.items()),
            Self::Map(map) => size_of_val(map.entries()),
            _ => 0,
        }
    }

    /// Name of the type in error messages.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::String(_) => "string",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Struct(record) => record.type_name,
        }
    }

    /// Go's notion of true: not zero, not empty; a struct always is.
    pub(super) fn truth(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::String(text) => !text.is_empty(),
            Self::List(list) => !list.items.is_empty(),
            Self::Map(map) => !map.entries.is_empty(),
            Self::Struct(_) => true,
        }
    }

    /// The order of map keys: numbers by size, strings by bytes, structs field by field; of
    /// different types, one type after the other.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            (Self::String(a), Self::String(b)) => a.cmp(b),
            (Self::List(a), Self::List(b)) => order_all(&mut a.items.iter(), &mut b.items.iter()),
            (Self::Struct(a), Self::Struct(b)) => {
                let mut a = a.fields.iter().map(|(_, value)| value);
                let mut b = b.fields.iter().map(|(_, value)| value);
                order_all(&mut a, &mut b)
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Nil => 0,
            Self::Bool(_) => 1,
            Self::Int(_) => 2,
            Self::Float(_) => 3,
            Self::String(_) => 4,
            Self::Struct(_) => 5,
            Self::List(_) => 6,
            Self::Map(_) => 7,
        }
    }
}

/// The first difference decides, then the length.
fn order_all<'v>(
    a: &mut dyn Iterator<Item = &'v Value>,
    b: &mut dyn Iterator<Item = &'v Value>,
) -> Ordering {
    loop {
        match (a.next(), b.next()) {
            (Some(a), Some(b)) => match a.order(b) {
                Ordering::Equal => {}
                difference => return difference,
            },
            (a, b) => return a.is_some().cmp(&b.is_some()),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<List> for Value {
    fn from(list: List) -> Self {
        Self::List(Arc::new(list))
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Map(Arc::new(map))
    }
}

impl From<Struct> for Value {
    fn from(record: Struct) -> Self {
        Self::Struct(Arc::new(record))
    }
}
