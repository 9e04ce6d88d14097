//! What here-documents of a shell leave behind in a file: the command before, the word after.

use super::{At, Fix, Found};
use crate::finding::Severity;

/// Words that people end here-documents with.
const ENDS: [&str; 7] = ["EOF", "EOT", "EOL", "END", "EOS", "YAML", "YML"];

/// Findings, and the text with blanks in place of what was found, if anything was.
pub(super) fn find(text: &str) -> (Vec<Found>, Option<String>) {
    let mut found = Vec::new();
    let mut clean: Option<String> = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end();
        let what = if is_end(content) {
            Some("the last line of a here-document")
        } else if is_begin(content) {
            Some("the first line of a here-document")
        } else {
            None
        };
        if let Some(what) = what {
            let span = start..start + content.len();
            clean
                .get_or_insert_with(|| text.to_owned())
                .replace_range(span.clone(), &" ".repeat(content.len()));
            found.push(Found {
                rule: "FL06",
                severity: Severity::Error,
                object: String::new(),
                at: At::Bytes(start..start + line.len()),
                message: format!(
                    "This is {what}, not YAML: a shell would have eaten it. Remove the line."
                ),
                fix: Fix::Verbatim(String::new()),
            });
        }
        start += line.len();
    }
    (found, clean)
}

/// Only at the margin: what is indented is part of a script inside of a value.
fn is_end(line: &str) -> bool {
    ENDS.contains(&line)
}

/// `cat <<EOF >file`, `kubectl apply -f - <<'EOF'`.
fn is_begin(line: &str) -> bool {
    let command = ["cat ", "kubectl ", "tee ", "$ cat ", "$ kubectl "];
    let starts = command.iter().any(|command| line.starts_with(command));
    starts && line.contains("<<")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_around_a_here_document_are_found() {
        let text = "cat <<EOF | kubectl apply -f -\na: 1\nEOF\n";
        let (found, clean) = find(text);
        assert_eq!(found.len(), 2);
        let clean = clean.expect("changed");
        assert_eq!(clean.len(), text.len());
        assert_eq!(clean.trim(), "a: 1");
    }

    #[test]
    fn scripts_inside_of_values_are_no_residue() {
        let text = "data:\n  run: |\n    cat <<EOF >a\n    x\n    EOF\n";
        assert!(find(text).0.is_empty());
        assert!(find(text).1.is_none());
    }
}
