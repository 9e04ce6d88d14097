use proptest::prelude::*;

use super::GoRegex;

/// Pattern, text and what Go 1.26 answers: `true`, `false`, or its error.
const VECTORS: &str = include_str!("../../tests/vectors/regex-go-1.26.tsv");

#[test]
fn patterns_as_go() {
    let mut failures = Vec::new();
    for line in VECTORS.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [pattern, text, expected] = fields[..] else {
            panic!("bad vector {line:?}")
        };
        let answer = match GoRegex::compile(pattern) {
            Ok(regex) => regex.is_match(text).to_string(),
            Err(error) => format!("ERR {}: `{}`", error.message, error.fragment),
        };
        if answer != expected {
            failures.push(format!("{pattern:?} on {text:?}: {answer}, Go: {expected}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Answers of Go's `ExpandString`.
#[test]
fn templates_as_go() {
    let regex = GoRegex::compile("(?P<a>x)?(?P<a>y)?(z)").unwrap();
    let cases = [
        ("$a", "y"),
        ("${a}", "y"),
        ("$1", ""),
        ("$2", "y"),
        ("$1x", ""),
        ("${2}x", "yx"),
        ("$$", "$"),
        ("$", "$"),
        ("${", "${"),
        ("${a", "${a"),
        ("$a$3", "yz"),
        ("$-", "$-"),
        ("${}", "${}"),
        ("$01", ""),
        ("$999999999", ""),
        ("$4", ""),
        ("$a_b", ""),
        ("${a b}", "${a b}"),
        ("$a.$3.0", "y.z.0"),
    ];
    for (template, expected) in cases {
        assert_eq!(
            regex.expand_first("yz", template).as_deref(),
            Some(expected),
            "{template:?}"
        );
    }
    assert_eq!(regex.expand_first("none", "$a"), None);
    assert_eq!(regex.unknown_groups("$a $b ${3} $4 $1x"), ["b", "4", "1x"]);
}

#[test]
fn errors_tell_what_to_write() {
    let error = GoRegex::compile("^(?!dev)v").unwrap_err();
    assert_eq!(error.position, 1);
    assert_eq!(
        error.to_string(),
        "error parsing regexp: invalid or unsupported Perl syntax: `(?!` at position 1; \
         RE2 has no look-around; match what you want instead of excluding"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// What the translation lets through, the engine compiles.
    #[test]
    fn never_panics(pattern in r"[\\()\[\]{}*+?|^$.,:<>PQEdwsbnx0-9a-c&~#=!-]{0,16}") {
        if let Err(error) = GoRegex::compile(&pattern) {
            prop_assert!(error.position <= pattern.len());
            prop_assert!(
                !error.message.contains("cannot be compiled") || pattern.contains("(?"),
                "{error}"
            );
        }
    }
}
