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

/// What Go accepts and the `regex` crate does not, the other way round, and what both read, but not
/// alike: pattern, text, and Go's answer.
#[test]
fn go_and_rust_differ_here() {
    let (yes, no) = (Ok(true), Ok(false));
    let cases = [
        // Go alone.
        (r"^\Qa.b\E$", "a.b", yes),
        (r"^\Qa.b\E$", "axb", no),
        (r"^\Q+", "+", yes),
        ("^a{$", "a{", yes),
        ("^a{x}$", "a{x}", yes),
        ("^[a[b]$", "[", yes),
        ("^[[]$", "[", yes),
        ("(?P<x>a)(?P<x>b)", "ab", yes),
        ("(?<1a>a)", "a", yes),
        ("(?P<2024>a)", "a", yes),
        ("a(?i)+B", "aab", yes),
        (r"^\<$", "<", yes),
        (r"^\>$", ">", yes),
        // Rust alone: refused.
        (
            "(?x)a b",
            "ab",
            Err("invalid or unsupported Perl syntax: `(?x`"),
        ),
        (r"\u0061", "a", Err(r"invalid escape sequence: `\u`")),
        (r"\U00000061", "a", Err(r"invalid escape sequence: `\U`")),
        ("x{1001}", "x", Err("invalid repeat count: `{1001}`")),
        ("x{0,1001}", "x", Err("invalid repeat count: `{0,1001}`")),
        ("x{1000}", "x", no),
        // Operators on sets in Rust, characters in Go.
        ("^[a&&b]$", "&", yes),
        ("^[a&&b]$", "a", yes),
        ("^[+--]$", ",", yes),
        ("[a--b]", "a", Err("invalid character class range: `a--`")),
        ("^[a~~b]$", "~", yes),
        ("^[a[0-9]]$", "1]", yes),
        ("^[a[0-9]]$", "1", no),
        // Assertions in Rust, characters in Go.
        (r"^\<a$", "a", no),
        (r"^\b{start}a", "a", no),
        (r"a\b{start}", "a{start}", yes),
        (r"\b{start-half}", "a", no),
        // Both.
        ("^(?P<n>a)$", "a", yes),
        ("^(?<n>a)$", "a", yes),
        // Unicode in Rust, ASCII in Go.
        (r"^\d$", "\u{663}", no),
        (r"^\w$", "\u{e9}", no),
        (r"^\s$", "\u{a0}", no),
        (r"^\pL$", "\u{e9}", yes),
    ];
    for (pattern, text, expected) in cases {
        let answer = match GoRegex::compile(pattern) {
            Ok(regex) => Ok(regex.is_match(text)),
            Err(error) => Err(format!("{}: `{}`", error.message, error.fragment)),
        };
        assert_eq!(
            answer.as_ref().map_err(String::as_str),
            expected.as_ref().map_err(|error| *error),
            "{pattern:?} on {text:?}"
        );
    }
}

/// Answers of Go's `ExpandString`.
#[test]
fn templates_as_go() {
    for line in include_str!("../../tests/vectors/expand-go-1.26.tsv").lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [pattern, text, template, expected] = fields[..] else {
            panic!("bad vector {line:?}")
        };
        let answer = GoRegex::compile(pattern)
            .unwrap()
            .expand_first(text, template);
        let answer = answer.map_or("NONE".to_owned(), |text| format!("={text}"));
        assert_eq!(answer, expected, "{line:?}");
    }
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
