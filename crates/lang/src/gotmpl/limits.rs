//! What a template may use. A template that needs more ends in an error, never in a crash.

use std::collections::BTreeMap;
use std::fmt;

use crate::goregex::GoRegex;

/// Longest template, in bytes. A message template is a page of text.
pub const MAX_TEMPLATE: usize = 64 * 1024;

/// Longest output, in bytes: a line of 100 bytes for each of 2,500 changed files. Nobody reads
/// more, and a message that goes into every clone should not be larger than the change.
pub const MAX_OUTPUT: usize = 256 * 1024;

/// Deepest nesting of blocks and parentheses in the text, and of blocks, parentheses and
/// `{{template}}` calls while it runs. Unoptimized, a level takes up to 7 KiB of stack; threads of
/// the runtime have 2 MiB.
pub const MAX_DEPTH: usize = 100;

/// Deepest nesting of lists and maps that functions may build.
pub const MAX_VALUE_DEPTH: usize = 50;

/// Work units: a node, a field, an iteration, or [`BYTES_PER_STEP`] bytes that are read or written.
/// A message over 5,000 changes needs about 100,000. What a unit takes is bounded whatever the
/// function is, so that this bounds the time, too: `cargo run --release -p flux-lang --example
/// template_bombs` prints what templates take that use all of it.
pub const MAX_WORK: usize = 400_000;

/// Bytes that are read or written for one work unit: functions look at each character.
pub const BYTES_PER_STEP: usize = 16;

/// Bytes that all the strings and lists a template builds may take together.
pub const MAX_MEMORY: usize = 4 * 1024 * 1024;

/// Different regular expressions in one run: compiling is by far the dearest thing to ask for.
pub const MAX_PATTERNS: usize = 8;

/// Sizes of compiled regular expressions that are told apart, in bytes; larger ones are refused.
/// Searching takes at worst a step for each state and byte of text, and a state takes some 40 bytes.
pub const PATTERN_SIZES: [usize; 3] = [2 * 1024, 8 * 1024, 32 * 1024];

/// Widest `printf` field. Go answers `%!(BADWIDTH)` from a million on.
pub const MAX_WIDTH: usize = 10_000;

/// What is left of a run's work and memory.
#[derive(Debug)]
pub(super) struct Meter {
    work: usize,
    memory: usize,
    patterns: BTreeMap<String, Pattern>,
}

/// A regular expression, and the work units for each byte that it searches.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) regex: GoRegex,
    pub(super) cost: usize,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self {
            work: MAX_WORK,
            memory: MAX_MEMORY,
            patterns: BTreeMap::new(),
        }
    }

    /// Work units that were spent.
    pub(super) const fn spent(&self) -> usize {
        MAX_WORK - self.work
    }

    /// A regular expression, compiled once in a run.
    pub(super) fn pattern(&mut self, pattern: &str) -> Result<Pattern, String> {
        if let Some(known) = self.patterns.get(pattern) {
            return Ok(known.clone());
        }
        if self.patterns.len() == MAX_PATTERNS {
            return Err(format!(
                "the template uses more than {MAX_PATTERNS} regular expressions"
            ));
        }
        let mut compiled = Err(String::new());
        for size in PATTERN_SIZES {
            compiled = GoRegex::compile_within(pattern, size)
                .map(|regex| Pattern {
                    regex,
                    cost: size / 1024,
                })
                .map_err(|error| error.to_string());
            if compiled.is_ok() {
                break;
            }
        }
        let compiled = compiled?;
        self.patterns.insert(pattern.to_owned(), compiled.clone());
        Ok(compiled)
    }

    /// Spends work for bytes that are read or written.
    pub(super) fn bytes(&mut self, count: usize) -> Result<(), String> {
        self.work(1 + count / BYTES_PER_STEP)
    }

    /// Bytes that may still be built.
    pub(super) const fn memory_left(&self) -> usize {
        self.memory
    }

    /// Spends work.
    pub(super) fn work(&mut self, units: usize) -> Result<(), String> {
        match self.work.checked_sub(units) {
            Some(left) => {
                self.work = left;
                Ok(())
            }
            None => Err(format!("the template takes more than {MAX_WORK} steps")),
        }
    }

    /// Spends memory for a value that exists.
    pub(super) fn memory(&mut self, bytes: usize) -> Result<(), String> {
        self.room(bytes)?;
        self.memory -= bytes;
        Ok(())
    }

    /// Refuses to build a value that there is no memory left for.
    pub(super) fn room(&self, bytes: usize) -> Result<(), String> {
        if bytes > self.memory {
            return Err(out_of_memory());
        }
        Ok(())
    }

    /// Writes text that takes no more than the memory left. It is charged as the value it becomes.
    pub(super) fn write(
        &self,
        write: impl FnOnce(&mut Bounded) -> fmt::Result,
    ) -> Result<String, String> {
        let mut out = Bounded::new(self.memory);
        write(&mut out).map_err(|fmt::Error| out_of_memory())?;
        Ok(out.text)
    }
}

/// Why a value is not built.
pub(super) fn out_of_memory() -> String {
    format!("the values that the template builds take more than {MAX_MEMORY} bytes")
}

/// Text that refuses to grow beyond its limit.
#[derive(Debug)]
pub(super) struct Bounded {
    /// What was written so far.
    pub(super) text: String,
    limit: usize,
}

impl Bounded {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            text: String::new(),
            limit,
        }
    }
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() > self.limit - self.text.len() {
            return Err(fmt::Error);
        }
        self.text.push_str(text);
        Ok(())
    }
}
