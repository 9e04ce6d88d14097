//! Findings as people, programs and code hosts read them.

use std::fmt::Write as _;

use flux_rules::Severity;
use flux_rules::files::{Located, RULES};
use serde_json::{Value, json};

use super::Outcome;
use crate::VERSION;
use crate::error::Error;
use crate::output;

/// `-o`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
    Sarif,
    Github,
}

impl Format {
    pub(super) fn named(name: &str) -> Self {
        match name {
            "json" => Self::Json,
            "sarif" => Self::Sarif,
            "github" => Self::Github,
            _ => Self::Text,
        }
    }
}

/// Prints all findings; `known` of them were left out.
pub(super) fn findings(format: Format, outcome: &Outcome, known: usize) -> Result<(), Error> {
    let findings = &outcome.findings;
    let text = match format {
        Format::Json => pretty(&json!({"findings": findings})),
        Format::Sarif => pretty(&sarif(findings)),
        Format::Github => findings.iter().map(github).collect(),
        Format::Text if outcome.texts.is_empty() => table(findings),
        Format::Text => findings
            .iter()
            .map(|found| {
                shown(
                    found,
                    outcome.texts.get(&found.file).map_or("", String::as_str),
                )
            })
            .collect(),
    };
    output::data(&text)?;
    if format == Format::Text {
        summary(outcome, known);
    }
    Ok(())
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn summary(outcome: &Outcome, known: usize) {
    let count = |severity: Severity, word: &str| {
        let number = outcome
            .findings
            .iter()
            .filter(|found| found.severity == severity)
            .count();
        match number {
            0 => None,
            1 => Some(format!("1 {word}")),
            many => Some(format!("{many} {word}s")),
        }
    };
    let parts: Vec<String> = [
        count(Severity::Error, "error"),
        count(Severity::Warning, "warning"),
        count(Severity::Note, "note"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let known = match known {
        0 => String::new(),
        known => format!("; {known} known from the baseline"),
    };
    let what = &outcome.what;
    if parts.is_empty() {
        output::success(format!("{what}: nothing found{known}"));
    } else {
        output::note(format!("{} in {what}{known}", parts.join(", ")));
    }
}

/// A finding with the line it is in, and what is at fault underlined.
fn shown(found: &Located, text: &str) -> String {
    let Located {
        rule,
        severity,
        file,
        line,
        column,
        message,
        ..
    } = found;
    let mut out = format!("{severity}[{rule}]: {message}\n");
    let object = if found.object.is_empty() {
        String::new()
    } else {
        format!("  {}", found.object)
    };
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    let _ = writeln!(out, "{margin}--> {file}:{line}:{column}{object}");
    if let Some(content) = text.lines().nth(line.saturating_sub(1)) {
        let before: String = content
            .chars()
            .take(column.saturating_sub(1))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let at_fault = text.get(found.span.clone()).unwrap_or_default();
        let first = at_fault.lines().next().unwrap_or_default().trim_end();
        let marks = "^".repeat(first.chars().count().max(1));
        let _ = write!(
            out,
            "{margin} |\n{number} | {content}\n{margin} | {before}{marks}\n"
        );
    }
    if let Some(fix) = &found.fix {
        let what = if fix.is_empty() {
            "remove the line"
        } else {
            fix
        };
        let _ = writeln!(out, "{margin} = fix: {what}");
    }
    out.push('\n');
    out
}

/// Findings about the objects of a cluster, which have no lines.
fn table(findings: &[Located]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let mut table = output::table::Table::new(["object", "severity", "rule", "message"]);
    for found in findings {
        table.push(vec![
            found.object.clone(),
            found.severity.to_string(),
            found.rule.to_owned(),
            found.message.clone(),
        ]);
    }
    table.render(true)
}

/// A workflow command of GitHub Actions, which shows the finding in the diff.
fn github(found: &Located) -> String {
    let level = match found.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let data = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    format!(
        "::{level} file={},line={},col={},title={}::{}\n",
        property(&found.file),
        found.line,
        found.column,
        property(found.rule),
        data(&found.message)
    )
}

/// Static Analysis Results Interchange Format 2.1.0.
fn sarif(findings: &[Located]) -> Value {
    let level = |severity: Severity| match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let rule = |id: &str, title: &str, reason: &str, severity: Severity| {
        json!({
            "id": id,
            "shortDescription": {"text": title},
            "fullDescription": {"text": reason},
            "defaultConfiguration": {"level": level(severity)},
        })
    };
    let of_files = RULES
        .iter()
        .map(|r| rule(r.id, r.title, r.reason, r.severity));
    let rules: Vec<Value> = flux_rules::rules()
        .map(|r| rule(r.id, r.title, r.reason, r.severity))
        .chain(of_files)
        .filter(|rule| findings.iter().any(|found| rule["id"] == found.rule))
        .collect();
    let results: Vec<Value> = findings
        .iter()
        .map(|found| {
            json!({
                "ruleId": found.rule,
                "level": level(found.severity),
                "message": {"text": found.message},
                "locations": [{
                    "physicalLocation": {
                        "artifactLocation": {"uri": found.file},
                        "region": {"startLine": found.line.max(1), "startColumn": found.column.max(1)},
                    },
                    "logicalLocations": [{"fullyQualifiedName": found.object}],
                }],
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "kubectl-flux", "version": VERSION, "rules": rules}},
            "results": results,
        }],
    })
}
