use proptest::prelude::*;

use super::{Constraint, Version, VersionError};

/// Range, version and the answer of Masterminds/semver 3.5.0.
const VECTORS: &str = include_str!("../../tests/vectors/semver-masterminds-3.5.0.tsv");

#[test]
fn ranges_as_masterminds() {
    for line in VECTORS.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [range, version, expected] = fields[..] else {
            panic!("bad vector {line:?}")
        };
        let answer = match Constraint::parse(range) {
            Ok(constraint) => constraint
                .matches(&Version::parse(version).unwrap())
                .to_string(),
            Err(error) => format!("ERR {error}"),
        };
        assert_eq!(answer, expected, "{range:?} on {version:?}");
    }
}

#[test]
fn loose_versions() {
    let cases = [
        ("1.2.3", true),
        ("v1.2.3", true),
        ("V1.2.3", false),
        ("1", true),
        ("01.002.3", true),
        ("1.2.3.4", false),
        ("1.2.3-rc.1+build.5", true),
        ("1.2.3+a-b", true),
        ("1.2.3-", false),
        ("1.2.3+", false),
        ("1.2.3-a..b", false),
        ("1..3", false),
        ("", false),
        ("v", false),
        (" 1.2.3", false),
        ("1.2.3-a_b", false),
    ];
    for (text, valid) in cases {
        assert_eq!(Version::parse(text).is_ok(), valid, "{text:?}");
    }
    assert_eq!(Version::parse("1.2.3-01"), Err(VersionError::LeadingZero));
    assert_eq!(
        Version::parse("18446744073709551616.0.0"),
        Err(VersionError::NumberTooLarge)
    );
    assert_eq!(Version::parse(&"1".repeat(257)), Err(VersionError::TooLong));
}

#[test]
fn tags_need_three_parts() {
    assert!(Version::parse_tag("2.51").is_err());
    assert!(Version::parse_tag("v2.51.0").is_ok());
    assert!(Version::parse_tag("2").is_err());
}

#[test]
fn precedence() {
    let ascending = [
        "1.0.0-1",
        "1.0.0-2",
        "1.0.0-10",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0.1",
        "1.1.0",
        "2.0.0",
    ];
    let versions: Vec<Version> = ascending
        .iter()
        .map(|t| Version::parse(t).unwrap())
        .collect();
    assert!(versions.is_sorted_by(|a, b| a < b));
    assert_eq!(
        Version::parse("v1.2+a").unwrap(),
        Version::parse("1.2.0+b").unwrap()
    );
}

#[test]
fn limits_and_refusals() {
    for range in [
        "1.x.y",
        "latest",
        ">=1.0.0 ||",
        "1x",
        ">>1",
        "1.2.3.4",
        "1,,2",
        " ",
    ] {
        assert!(Constraint::parse(range).is_err(), "{range:?}");
    }
    assert!(Constraint::parse(&"1 ".repeat(300)).is_err());
    assert!(Constraint::parse(&["1"; 33].join("||")).is_err());
    assert!(Constraint::parse(&["1"; 32].join("||")).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn never_panics(range in "[v0-9xX*.^~<>=!|, +a-]{0,24}", version in "[v0-9.+a-]{0,16}") {
        if let (Ok(range), Ok(version)) = (Constraint::parse(&range), Version::parse(&version)) {
            let _ = range.matches(&version);
        }
    }

    #[test]
    fn a_version_matches_itself(major in 0..50u64, minor in 0..50u64, patch in 0..50u64) {
        let text = format!("{major}.{minor}.{patch}");
        let version = Version::parse(&text).unwrap();
        for operator in ["", "=", ">=", "<=", "~", "^"] {
            let range = Constraint::parse(&format!("{operator}{text}")).unwrap();
            prop_assert!(range.matches(&version));
        }
    }
}
