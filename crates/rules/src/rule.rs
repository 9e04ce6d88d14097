//! What a rule is made of.

use std::fmt;

use crate::context::{Context, Settings};
use crate::finding::{Default, Finding, Severity, dotted};
use crate::kind::Kind;
use crate::subject::Subject;

/// Looks at an object and reports.
pub(crate) type Check = fn(Subject<'_>, &Context, &mut Report<'_>);

/// Required fields that are absent, and their values.
pub(crate) type Fill = fn(Subject<'_>) -> Vec<Default>;

/// One rule: its words, its examples, its code.
pub struct Rule {
    /// Two letters for the kind and a number: `GR07`. Never reused.
    pub id: &'static str,
    /// The kind of objects it looks at; `None` for all kinds.
    pub kind: Option<Kind>,
    /// The strongest severity it reports.
    pub severity: Severity,
    /// What it finds, in a few words.
    pub title: &'static str,
    /// Why that matters.
    pub reason: &'static str,
    /// The schema of the custom resource refuses such an object, with less helpful words, after
    /// the mutating and before the validating webhooks: the mutating one has to speak.
    pub shadowed: bool,
    /// Its warnings are errors in mode `strict`: provable from the object, if harmless to some.
    pub strict: bool,
    /// At least one bad and one good object.
    pub examples: &'static [Example],
    pub(crate) check: Check,
    pub(crate) fill: Option<Fill>,
}

impl Rule {
    /// A rule without words and code, to be completed with struct update syntax.
    pub(crate) const fn of(kind: Kind, severity: Severity) -> Self {
        Self {
            id: "",
            kind: Some(kind),
            severity,
            title: "",
            reason: "",
            shadowed: false,
            strict: false,
            examples: &[],
            check: |_, _, _| {},
            fill: None,
        }
    }

    /// The same for a rule about objects of every kind.
    pub(crate) const fn of_any(severity: Severity) -> Self {
        Self {
            kind: None,
            ..Self::of(Kind::GitRepository, severity)
        }
    }

    /// Whether it looks at objects of this kind.
    #[must_use]
    pub fn concerns(&self, kind: Kind) -> bool {
        self.kind.is_none_or(|own| own == kind)
    }

    /// Whether it fills in a required field: after that it has nothing more to say.
    #[must_use]
    pub const fn fills(&self) -> bool {
        self.fill.is_some()
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// An object that shows what a rule means.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// The manifest, without the name, and without `apiVersion` and `kind` if the rule has a kind.
    pub manifest: &'static str,
    /// Other objects that are there, as YAML documents; `None` if nothing is known.
    pub given: Option<&'static str>,
    /// What the administrator declared.
    pub settings: Settings,
    /// The rule's messages, none for a good example.
    pub messages: &'static [&'static str],
}

impl Example {
    /// An object that the rule has nothing to say about.
    pub(crate) const fn good(manifest: &'static str) -> Self {
        Self::bad(manifest, &[])
    }

    /// An object that the rule has these messages for.
    pub(crate) const fn bad(manifest: &'static str, messages: &'static [&'static str]) -> Self {
        Self {
            manifest,
            given: None,
            settings: Settings {
                ingress_nginx: None,
            },
            messages,
        }
    }

    /// The same, in a cluster that holds exactly these objects.
    pub(crate) const fn given(mut self, objects: &'static str) -> Self {
        self.given = Some(objects);
        self
    }

    /// The same, with this declared.
    pub(crate) const fn declared(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }
}

/// Where a rule puts what it has to say.
#[derive(Debug)]
pub struct Report<'a> {
    rule: &'static str,
    findings: &'a mut Vec<Finding>,
}

impl<'a> Report<'a> {
    /// A report of one rule that appends to `findings`.
    pub(crate) const fn new(rule: &'static str, findings: &'a mut Vec<Finding>) -> Self {
        Self { rule, findings }
    }

    /// Something at `pointer` (RFC 6901) that matters this much.
    pub fn add(&mut self, severity: Severity, pointer: &str, message: impl Into<String>) {
        self.findings.push(Finding {
            rule: self.rule,
            severity,
            path: dotted(pointer),
            pointer: pointer.to_owned(),
            message: message.into(),
            fix: None,
        });
    }

    /// What to write at the place of the finding reported last: only where the text certainly
    /// means what was meant.
    pub fn fix(&mut self, text: impl Into<String>) {
        if let Some(finding) = self.findings.last_mut() {
            finding.fix = Some(text.into());
        }
    }

    /// Something provably broken.
    pub fn error(&mut self, pointer: &str, message: impl Into<String>) {
        self.add(Severity::Error, pointer, message);
    }

    /// Something that is probably not meant.
    pub fn warning(&mut self, pointer: &str, message: impl Into<String>) {
        self.add(Severity::Warning, pointer, message);
    }

    /// Advice.
    pub fn note(&mut self, pointer: &str, message: impl Into<String>) {
        self.add(Severity::Note, pointer, message);
    }
}
