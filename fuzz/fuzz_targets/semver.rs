//! Versions and ranges: the order is total, agrees with equality and hash, and ranges agree with
//! the order.

#![no_main]

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash, Hasher};

use flux_lang::semver::{Constraint, Version};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // The first line is a range, the others are versions.
    let mut lines = text.split('\n');
    let range = Constraint::parse(lines.next().unwrap_or_default());
    let versions: Vec<Version> = lines.take(6).filter_map(version).collect();
    for a in &versions {
        if let Ok(range) = &range
            && range.matches(a)
        {
            assert!(a.pre_release().is_empty() || range.admits_pre_releases());
        }
        own_ranges(a);
        for b in &versions {
            let order = a.cmp(b);
            assert_eq!(order, b.cmp(a).reverse());
            assert_eq!(order == Ordering::Equal, a == b);
            assert!(a != b || hash(a) == hash(b), "{a} {b}");
            for c in &versions {
                if order != Ordering::Greater && b <= c {
                    assert!(a <= c, "{a} <= {b} <= {c}");
                }
            }
        }
    }
});

fn version(text: &str) -> Option<Version> {
    let version = Version::parse(text);
    if let Ok(tag) = Version::parse_tag(text) {
        assert_eq!(version, Ok(tag));
    }
    let version = version.ok()?;
    assert_eq!(version.to_string(), text);
    assert_eq!(version, version.clone());
    Some(version)
}

/// What a version with all three numbers says as a range.
fn own_ranges(version: &Version) {
    let text = version.to_string();
    let numbers = text.split(['-', '+']).next().unwrap_or_default();
    if numbers.split('.').count() < 3 {
        return;
    }
    for (operator, expected) in [
        ("", true),
        ("=", true),
        (">=", true),
        ("<=", true),
        ("~", true),
        ("^", true),
        ("!=", false),
        (">", false),
        ("<", false),
    ] {
        let range = Constraint::parse(&format!("{operator}{text}"));
        let range = range.unwrap_or_else(|error| panic!("{operator}{text}: {error}"));
        assert_eq!(range.matches(version), expected, "{operator}{text}");
    }
}

fn hash(version: &Version) -> u64 {
    let mut hasher = DefaultHasher::new();
    version.hash(&mut hasher);
    hasher.finish()
}
