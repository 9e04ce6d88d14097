//! Ignore lists: the last pattern that matches wins, a pattern for a directory holds for what is
//! below, and lists can be read in parts.

#![no_main]

use flux_lang::gitignore::IgnoreList;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str, bool)| {
    let (path, text, is_dir) = input;
    let list = IgnoreList::parse(text, &[]);
    let ignored = list.ignores(path, is_dir);

    let mut parts = IgnoreList::new();
    for line in text.lines() {
        let one = IgnoreList::parse(line, &[]);
        if !line.starts_with('!') && one.ignores(path, true) {
            let below = format!("{path}/below");
            assert!(one.ignores(&below, false), "{line:?} {path:?}");
            assert!(one.ignores(&below, true), "{line:?} {path:?}");
        }
        parts.extend(one);
    }
    assert_eq!(parts, list);
    assert!(!list.is_empty() || !ignored);

    if let Some(pattern) = pattern_for(path) {
        for (line, expected) in [(pattern.clone(), true), (format!("!{pattern}"), false)] {
            let mut longer = list.clone();
            longer.extend(IgnoreList::parse(&line, &[]));
            assert_eq!(longer.ignores(path, is_dir), expected, "{line:?} {path:?}");
        }
    }

    let effective = IgnoreList::effective(IgnoreList::new(), &list);
    assert!(!ignored || effective.ignores(path, is_dir));
    if !text.contains('!') {
        assert!(effective.ignores(".git", true));
        assert!(effective.ignores("a/.git/config", false));
    }
});

/// A pattern for exactly this path and what is below it.
fn pattern_for(path: &str) -> Option<String> {
    if path.contains(['\n', '\r']) || path.split('/').any(str::is_empty) {
        return None;
    }
    let escaped = path.chars().flat_map(|c| match c {
        '*' | '?' | '[' | '\\' | ' ' => vec!['\\', c],
        c => vec![c],
    });
    Some(std::iter::once('/').chain(escaped).collect())
}
