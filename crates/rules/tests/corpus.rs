//! A hundred manifests in the styles in which people write them, all of which the real controllers
//! accept: no error, and hardly a warning.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;

use flux_rules::Severity;
use flux_rules::files::{File, Surroundings, lint};

fn corpus() -> Vec<File> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/corpus");
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .expect("the corpus")
        .map(|entry| entry.expect("a file").file_name())
        .collect();
    names.sort();
    names
        .into_iter()
        .map(|name| {
            let path = name.to_string_lossy().into_owned();
            let text = std::fs::read_to_string(folder.join(&name)).expect("text");
            File { path, text }
        })
        .collect()
}

#[test]
fn what_controllers_accept_is_no_error_and_seldom_a_warning() {
    let files = corpus();
    let objects: usize = files
        .iter()
        .map(|file| flux_lang::yaml::read(&file.text).expect("YAML").len())
        .sum();
    assert!(objects >= 100, "{objects}");
    let found = lint(&files, &Surroundings::default());
    let warned: BTreeSet<String> = found
        .iter()
        .filter(|found| found.severity > Severity::Note)
        .map(|found| format!("{} {} {}", found.severity, found.rule, found.object))
        .collect();
    let expected: BTreeSet<String> = EXPECTED.iter().map(|line| (*line).to_owned()).collect();
    assert_eq!(warned, expected);
    let share = warned.len() * 100 / objects;
    assert!(share <= 5, "{share} %");
}

/// The repository is read over https without credentials, so nothing can be pushed to it.
const EXPECTED: &[&str] = &["warning IU14 ImageUpdateAutomation/legacy/legacy"];
