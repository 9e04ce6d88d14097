//! Manifests in files: the rules for objects, and what only a text can show.
//!
//! [`lint`] takes files and gives findings with their places. All objects of the files form the
//! context of the rules; what a file names and no file defines may be in the cluster already, so
//! it is at most a note, unless the cluster's own objects are given as well. No I/O: who collects
//! files from folders is the caller.

mod catalogue;
mod comments;
mod document;
mod kustomize;
mod locate;
mod markers;
mod residue;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use flux_lang::yaml;
use serde::Serialize;
use serde_json::Value;

use crate::context::{Context, Settings};
use crate::finding::Severity;
use crate::objects::Objects;

pub use catalogue::{FileRule, RULES};
pub use locate::{Spot, spot};

/// A file to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name in findings.
    pub path: String,
    /// Its content.
    pub text: String,
}

/// What is around the files.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// What the administrator declared.
    pub settings: Settings,
    /// The objects of the cluster; `None` if nobody asked it.
    pub cluster: Option<Cluster>,
}

/// What a cluster holds.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// Its objects.
    pub objects: Vec<Arc<Value>>,
    /// The kinds that were listed completely.
    pub kinds: Vec<String>,
}

/// A finding and where it stands. Serializes as `kubectl flux lint -o json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Located {
    /// Id of the rule.
    pub rule: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// The file.
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// `Kind/namespace/name`; empty if no object is meant.
    pub object: String,
    /// The field as people write it: `spec.rules[0].host`.
    pub path: String,
    /// What is wrong and what to write instead.
    pub message: String,
    /// What to write in place of the text at the place, where that certainly means the same.
    pub fix: Option<String>,
    /// Bytes of the text at fault.
    #[serde(skip)]
    pub span: Range<usize>,
    /// The field as an RFC 6901 pointer into its document.
    #[serde(skip)]
    pub pointer: String,
}

/// Looks at all files. Findings are in the order of the files and of their lines.
#[must_use]
pub fn lint(files: &[File], surroundings: &Surroundings) -> Vec<Located> {
    let parsed = parallel(files, Parsed::read);
    let patches: BTreeSet<String> = parsed
        .iter()
        .flat_map(|parsed| {
            let values = parsed.documents.iter().map(|document| &*document.value);
            kustomize::patches(&parsed.path, values)
        })
        .collect();
    let mine = parsed
        .iter()
        .filter(|parsed| !patches.contains(&parsed.path))
        .flat_map(|parsed| document::objects(&parsed.documents));
    let objects = Arc::new(match &surroundings.cluster {
        None => Objects::of_files(mine),
        Some(cluster) => Objects::of_cluster(
            cluster.objects.iter().cloned().chain(mine),
            cluster.kinds.iter().cloned(),
        ),
    });
    let scene = Scene {
        context: Context::new(
            surroundings.settings,
            Arc::clone(&objects) as Arc<dyn crate::Facts>,
        ),
        objects,
        twins: document::twins(&parsed, &patches),
        patches,
    };
    let found = parallel(&parsed, |parsed| look(parsed, &scene));
    found.into_iter().flatten().collect()
}

/// Writes the fixes of a file's findings into its text: nothing but the bytes concerned changes.
/// `None` if there is nothing to fix.
#[must_use]
pub fn fixed(text: &str, findings: &[&Located]) -> Option<String> {
    let edits: BTreeMap<usize, (usize, &str)> = findings
        .iter()
        .filter_map(|found| {
            let fix = found.fix.as_deref()?;
            Some((found.span.start, (found.span.end, fix)))
        })
        .collect();
    if edits.is_empty() {
        return None;
    }
    let mut out = String::with_capacity(text.len() + 64);
    let mut copied = 0;
    for (start, (end, fix)) in edits {
        // Two rules may want the same bytes: the first in the text wins, a second run sees to
        // what is left.
        if start < copied {
            continue;
        }
        out.push_str(text.get(copied..start)?);
        out.push_str(fix);
        copied = end;
    }
    out.push_str(text.get(copied..)?);
    (out != text).then_some(out)
}

/// A file after reading.
struct Parsed<'f> {
    file: &'f File,
    /// Its name in one form.
    path: String,
    /// Not to be looked at, as a whole.
    skipped: bool,
    documents: Vec<Document>,
    /// What keeps the text from being read, or does not belong into it.
    problems: Vec<Found>,
    /// The text without what a shell left behind; the same positions as in the file.
    clean: Option<String>,
}

/// A document of a file. Its value is part of the context of all others, too.
struct Document {
    value: Arc<Value>,
    line: usize,
    repeated: Vec<yaml::Repeated>,
}

impl From<yaml::Document> for Document {
    fn from(document: yaml::Document) -> Self {
        Self {
            value: Arc::new(document.value),
            line: document.line,
            repeated: document.repeated,
        }
    }
}

/// What all files share.
struct Scene {
    context: Context,
    objects: Arc<Objects>,
    patches: BTreeSet<String>,
    /// Objects that are defined before, by file and document: the place of the first.
    twins: BTreeMap<(String, usize), String>,
}

/// A finding before its place is known.
#[derive(Clone, Debug)]
struct Found {
    rule: &'static str,
    severity: Severity,
    object: String,
    at: At,
    message: String,
    fix: Fix,
}

/// Where something was found.
#[derive(Clone, Debug)]
enum At {
    /// At a field of a document.
    Field {
        document: usize,
        pointer: String,
        /// Whether the key is meant, not the value.
        key: bool,
    },
    /// At a line and a column in characters, both counted from 1.
    Line(usize, usize),
    /// At these bytes.
    Bytes(Range<usize>),
}

/// What to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fix {
    None,
    /// A scalar with this text, in the notation that is there.
    Text(String),
    /// What is there, between quotes.
    Quote,
    /// Exactly this.
    Verbatim(String),
}

impl<'f> Parsed<'f> {
    fn read(file: &'f File) -> Self {
        let mut parsed = Self {
            file,
            path: kustomize::normal(&file.path),
            skipped: document::is_generated(&file.text),
            documents: Vec::new(),
            problems: Vec::new(),
            clean: None,
        };
        if parsed.skipped {
            return parsed;
        }
        (parsed.problems, parsed.clean) = residue::find(&file.text);
        match yaml::read(parsed.text()) {
            Ok(documents) => {
                parsed.documents = documents.into_iter().map(Document::from).collect();
            }
            Err(error) => parsed
                .problems
                .push(document::unreadable(&file.text, &error)),
        }
        parsed
    }

    fn text(&self) -> &str {
        self.clean.as_deref().unwrap_or(&self.file.text)
    }
}

fn look(parsed: &Parsed<'_>, scene: &Scene) -> Vec<Located> {
    if parsed.skipped {
        return Vec::new();
    }
    let whole = !scene.patches.contains(&parsed.path);
    let mut found = parsed.problems.clone();
    for (index, document) in parsed.documents.iter().enumerate() {
        document::check(parsed, index, document, whole, scene, &mut found);
    }
    found.extend(markers::check(parsed.text(), scene));
    let suppressions = comments::read(&parsed.file.text);
    found.extend(suppressions.mistakes());
    let mut located = locate::all(&parsed.file.path, parsed.text(), found);
    located.retain(|found| !suppressions.hide(found.line, found.rule));
    located.sort_by(|a, b| (a.line, a.column, a.rule).cmp(&(b.line, b.column, b.rule)));
    located
}

/// Runs over all items on as many threads as there are processors; answers in their order.
fn parallel<'a, T: Sync, R: Send>(items: &'a [T], work: impl Fn(&'a T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // Below this a thread costs more than it brings.
    const FEW: usize = 16;
    if threads == 1 || items.len() < FEW {
        return items.iter().map(work).collect();
    }
    let share = items.len().div_ceil(threads);
    let work = &work;
    std::thread::scope(|scope| {
        let running: Vec<_> = items
            .chunks(share)
            .map(|chunk| scope.spawn(move || chunk.iter().map(work).collect::<Vec<R>>()))
            .collect();
        running
            .into_iter()
            .flat_map(|thread| match thread.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}
