//! Findings that somebody decided to live with, for now.
//!
//! They are remembered without lines, so that a file can be edited above them, and with a count,
//! so that the same mistake made once more is told.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use flux_rules::files::Located;
use serde::{Deserialize, Serialize};

use crate::disk;
use crate::error::Error;
use crate::output;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Known {
    rule: String,
    file: String,
    object: String,
    message: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    known: Known,
    count: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct Content {
    findings: Vec<Entry>,
}

/// What a baseline file holds.
pub(super) struct Baseline(BTreeMap<Known, usize>);

fn known(found: &Located) -> Known {
    Known {
        rule: found.rule.to_owned(),
        file: found.file.clone(),
        object: found.object.clone(),
        message: found.message.clone(),
    }
}

impl Baseline {
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let shown = path.display();
        let text = fs::read_to_string(path)
            .map_err(|error| Error::Input(format!("cannot read the baseline {shown}: {error}")))?;
        let content: Content = serde_json::from_str(&text).map_err(|error| {
            Error::Input(format!(
                "{shown} is not a baseline: {error}; make it with --write-baseline"
            ))
        })?;
        let entries = content.findings.into_iter();
        Ok(Self(
            entries.map(|entry| (entry.known, entry.count)).collect(),
        ))
    }

    /// Takes out what is known.
    pub(super) fn subtract(mut self, findings: &mut Vec<Located>) {
        findings.retain(|found| match self.0.get_mut(&known(found)) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        });
    }
}

/// Writes all findings to a file.
pub(super) fn write(path: &Path, findings: &[Located]) -> Result<(), Error> {
    let mut counted: BTreeMap<Known, usize> = BTreeMap::new();
    for found in findings {
        *counted.entry(known(found)).or_default() += 1;
    }
    let findings: Vec<Entry> = counted
        .into_iter()
        .map(|(known, count)| Entry { known, count })
        .collect();
    let number = findings.len();
    let text = serde_json::to_string_pretty(&Content { findings })
        .map_err(|error| Error::input(error.to_string()))?;
    disk::write("cannot write the baseline", &[(path, &(text + "\n"))])?;
    output::success(format!("{} holds {number} findings", path.display()));
    Ok(())
}
