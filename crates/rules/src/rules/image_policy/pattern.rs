//! What a tag filter lets through and which keys it makes, found out by example.
//!
//! A pattern cannot be judged by its looks. Tags that it matches are made up from its structure
//! and run through the same engine that selects: whatever they show is proven, what they do not
//! show is not claimed.

use std::cell::{OnceCell, RefCell};
use std::ops::Deref;
use std::rc::Rc;

use flux_lang::goregex::{GoRegex, GoRegexError};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

use crate::subject::Subject;

pub(super) const PATTERN: &str = "/spec/filterTags/pattern";
pub(super) const EXTRACT: &str = "/spec/filterTags/extract";

/// Longest tag of a registry (OCI distribution specification).
const LONGEST_TAG: usize = 128;

/// A tag filter that can be judged.
pub(super) struct Filter<'a> {
    pub(super) pattern: &'a str,
    pub(super) extract: &'a str,
    pub(super) regex: Rc<Compiled>,
}

/// A pattern after the work that is the same for all rules.
pub(crate) struct Compiled {
    regex: GoRegex,
    structure: Option<Hir>,
    samples: OnceCell<Vec<String>>,
}

/// Largest compiled form, in bytes. Patterns of strangers must not hold up an answer; the
/// operator takes ten times as much.
const LARGEST: usize = 1 << 20;

/// Compiles a pattern of whoever wrote an object.
pub(crate) fn compile(pattern: &str) -> Result<GoRegex, GoRegexError> {
    GoRegex::compile_within(pattern, LARGEST)
}

impl Deref for Compiled {
    type Target = GoRegex;

    fn deref(&self) -> &GoRegex {
        &self.regex
    }
}

impl Compiled {
    fn new(pattern: &str) -> Result<Self, GoRegexError> {
        let regex = compile(pattern)?;
        let structure = ParserBuilder::new()
            .utf8(false)
            .build()
            .parse(regex.translated())
            .ok();
        Ok(Self {
            regex,
            structure,
            samples: OnceCell::new(),
        })
    }
}

type Outcome = Result<Rc<Compiled>, GoRegexError>;

thread_local! {
    /// The pattern that was compiled last: rules look at one object after the other, and compiling
    /// costs more than everything else that they do.
    static LAST: RefCell<Option<(String, Outcome)>> = const { RefCell::new(None) };
}

/// Forgets the pattern of an object: the compiled form may be large, and the next object has
/// another one.
pub(crate) fn forget() {
    LAST.set(None);
}

/// What is wrong with a pattern.
pub(super) fn failure(pattern: &str) -> Option<GoRegexError> {
    compiled(pattern).err()
}

fn compiled(pattern: &str) -> Outcome {
    LAST.with_borrow_mut(|last| {
        if let Some((known, outcome)) = last
            && known == pattern
        {
            return outcome.clone();
        }
        let outcome = Compiled::new(pattern).map(Rc::new);
        *last = Some((pattern.to_owned(), outcome.clone()));
        outcome
    })
}

impl<'a> Filter<'a> {
    /// The filter of a policy: `None` if there is none, or nobody can judge it.
    pub(super) fn of(subject: Subject<'a>) -> Option<Self> {
        let pattern = subject
            .text(PATTERN)
            .filter(|pattern| !pattern.is_empty())?;
        let extract = if subject.has(EXTRACT) {
            subject.text(EXTRACT)?
        } else {
            ""
        };
        Some(Self {
            pattern,
            extract,
            regex: compiled(pattern).ok()?,
        })
    }

    /// The sort key of a tag: `None` if the filter drops it.
    pub(super) fn key(&self, tag: &str) -> Option<String> {
        if self.extract.is_empty() {
            self.regex.is_match(tag).then(|| tag.to_owned())
        } else {
            self.regex.expand_first(tag, self.extract)
        }
    }

    /// Whether every match begins at the first and ends at the last character of a tag.
    pub(super) fn anchors(&self) -> (bool, bool) {
        self.regex
            .structure
            .as_ref()
            .map_or((true, true), |structure| {
                let properties = structure.properties();
                let open_end = self.pattern.trim_end_matches(')');
                let anything = open_end.ends_with(".*") || open_end.ends_with(".+");
                (
                    properties.look_set_prefix().contains(Look::Start),
                    anything || properties.look_set_suffix().contains(Look::End),
                )
            })
    }

    /// The tag, if the pattern is one from end to end and matches no other.
    pub(super) fn only_tag(&self) -> Option<String> {
        let HirKind::Concat(nodes) = self.regex.structure.as_ref()?.kind() else {
            return None;
        };
        match nodes.iter().map(Hir::kind).collect::<Vec<_>>().as_slice() {
            [
                HirKind::Look(Look::Start),
                HirKind::Literal(tag),
                HirKind::Look(Look::End),
            ] => String::from_utf8(tag.0.to_vec()).ok(),
            _ => None,
        }
    }

    /// Tags that the filter lets through, made up from its structure.
    pub(super) fn samples(&self) -> &[String] {
        self.regex.samples.get_or_init(|| self.make_samples())
    }

    fn make_samples(&self) -> Vec<String> {
        let Some(structure) = &self.regex.structure else {
            return Vec::new();
        };
        let mut samples = Vec::new();
        for extra in [0, 1] {
            for letters in [false, true] {
                for last_branch in [false, true] {
                    let mut sample = String::new();
                    let taste = Taste {
                        extra,
                        letters,
                        last_branch,
                    };
                    let made = taste.write(structure, &mut sample).is_some();
                    if made && !samples.contains(&sample) && self.regex.is_match(&sample) {
                        samples.push(sample);
                    }
                }
            }
        }
        samples
    }
}

/// How to choose where a pattern leaves a choice.
#[derive(Clone, Copy)]
struct Taste {
    /// Repetitions beyond the fewest.
    extra: u32,
    /// Letters rather than digits.
    letters: bool,
    /// The last alternative rather than the first.
    last_branch: bool,
}

impl Taste {
    /// Appends a text that `node` matches; `None` if that would not be part of a tag.
    fn write(self, node: &Hir, out: &mut String) -> Option<()> {
        match node.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => out.push_str(std::str::from_utf8(&literal.0).ok()?),
            HirKind::Class(class) => out.push(self.pick(class)?),
            HirKind::Repetition(repetition) => {
                let most = repetition.max.unwrap_or(u32::MAX);
                for _ in 0..repetition.min.saturating_add(self.extra).min(most) {
                    self.write(&repetition.sub, out)?;
                    if out.len() > LONGEST_TAG {
                        return None;
                    }
                }
            }
            HirKind::Capture(capture) => self.write(&capture.sub, out)?,
            HirKind::Concat(nodes) => {
                for node in nodes {
                    self.write(node, out)?;
                }
            }
            HirKind::Alternation(nodes) => {
                let node = if self.last_branch {
                    nodes.last()
                } else {
                    nodes.first()
                };
                self.write(node?, out)?;
            }
        }
        (out.len() <= LONGEST_TAG).then_some(())
    }

    /// A character of the class that may stand in a tag.
    fn pick(self, class: &Class) -> Option<char> {
        const DIGITS_FIRST: &str =
            "1230456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._";
        const LETTERS_FIRST: &str =
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._1230456789";
        let holds = |c: char| match class {
            Class::Unicode(class) => class
                .ranges()
                .iter()
                .any(|range| (range.start()..=range.end()).contains(&c)),
            Class::Bytes(class) => u8::try_from(c).is_ok_and(|byte| {
                class
                    .ranges()
                    .iter()
                    .any(|range| (range.start()..=range.end()).contains(&byte))
            }),
        };
        let order = if self.letters {
            LETTERS_FIRST
        } else {
            DIGITS_FIRST
        };
        order.chars().find(|&c| holds(c))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with_pattern(pattern: &str) -> serde_json::Value {
        json!({"spec": {"filterTags": {"pattern": pattern}}})
    }

    fn filter(object: &serde_json::Value) -> Filter<'_> {
        Filter::of(Subject::new(object)).expect("judgeable")
    }

    #[test]
    fn samples_are_in_the_language() {
        let table: [(&str, &[&str]); 5] = [
            (r"\d\.\d", &["1.1"]),
            (r"^\d+\.\d+$", &["1.1", "11.11"]),
            (r"^v(?P<n>\d)$", &["v1"]),
            (r"^(main|dev)-\d?$", &["main-", "dev-", "main-1", "dev-1"]),
            (r"^[a-f0-9]$", &["1", "a"]),
        ];
        for (pattern, expected) in table {
            assert_eq!(
                filter(&with_pattern(pattern)).samples(),
                expected,
                "{pattern}"
            );
        }
        assert!(filter(&with_pattern("^x{100}y{100}$")).samples().is_empty());
    }

    #[test]
    fn anchors_are_seen_through_groups() {
        let table = [
            (r"\d\.\d", (false, false)),
            (r"^\d", (true, false)),
            (r"^(a|b)$", (true, true)),
            (r"^a|b$", (false, false)),
            (r"^main-(?P<ts>.*)", (true, true)),
        ];
        for (pattern, expected) in table {
            assert_eq!(
                filter(&with_pattern(pattern)).anchors(),
                expected,
                "{pattern}"
            );
        }
    }
}
