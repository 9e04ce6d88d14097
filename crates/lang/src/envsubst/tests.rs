use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// The variables under which the vectors were made.
fn variables() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("a", "abc"),
        ("B_2", "Some/Path.tar.gz"),
        ("empty", ""),
        ("é", "Éa"),
        ("num", "12"),
        ("_u", "aabbaabb"),
        ("path", "/home/bozo/ideas/thoughts.for.today"),
    ])
}

fn run(text: &str, unset: Unset) -> Result<String, Error> {
    let variables = variables();
    expand(text, unset, &|name| variables.get(name).copied())
}

/// Each line has a text and what fluxcd/pkg/envsubst 1.9.0 makes of it, strict and not.
#[test]
fn answers_of_flux() {
    let vectors = include_str!("../../tests/vectors/envsubst-flux-pkg-1.9.0.jsonl");
    let mut count = 0;
    for row in vectors.lines() {
        let row: [Value; 3] = serde_json::from_str(row).unwrap();
        let text = row[0].as_str().unwrap();
        for (unset, expected) in [(Unset::Error, &row[1]), (Unset::Empty, &row[2])] {
            let found = run(text, unset);
            match expected {
                Value::String(expected) => {
                    assert_eq!(found.as_ref(), Ok(expected), "{text:?} {unset:?}");
                }
                expected => {
                    let expected = expected["error"].as_str().unwrap();
                    let error = found.expect_err(text).to_string();
                    assert!(
                        error.starts_with(expected),
                        "{text:?} {unset:?}: {error}, not {expected}"
                    );
                }
            }
            count += 1;
        }
    }
    assert!(count > 1_000);
}

/// Newer than the vectors: an empty pattern is the beginning or the end.
#[test]
fn empty_patterns() {
    for (text, expected) in [
        ("${a/#/x-}", "x-abc"),
        ("${a/%/-x}", "abc-x"),
        ("${a///-}", "-a-b-c-"),
    ] {
        assert_eq!(run(text, Unset::Error).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn all_that_is_not_set_is_named_once_with_its_line() {
    let text = "a: ${x}\nb: ${a}${y:-1}\nc: ${z^^} ${x} ${empty:-${w}}\n";
    let error = run(text, Unset::Error).unwrap_err();
    assert_eq!(
        error.to_string(),
        "variable not set (strict mode): \"x\", \"z\", \"w\""
    );
    let Error::NotSet(missing) = error else {
        panic!("{error}")
    };
    let lines: Vec<usize> = missing.iter().map(|one| one.line).collect();
    assert_eq!(lines, [1, 3, 3]);
    assert_eq!(run(text, Unset::Empty).unwrap(), "a: \nb: abc1\nc:   \n");
}

#[test]
fn syntax_errors_show_the_place() {
    assert_eq!(
        run("a: 1\nb: ${{ .Values.x }}\n", Unset::Empty)
            .unwrap_err()
            .to_string(),
        "unable to parse variable name in '${{ .Values.x }' (line 2): write $${ where ${ is meant \
         as text"
    );
}

#[test]
fn bombs_are_refused() {
    let big = "a".repeat(1 << 20);
    let lookup = |_: &str| Some(big.as_str());
    let all = expand("${x//a/${x}}", Unset::Error, &lookup).unwrap_err();
    assert!(matches!(all, Error::TooLarge { line: 1, .. }), "{all}");
    let many = expand(&"${x}".repeat(40), Unset::Error, &lookup).unwrap_err();
    assert!(matches!(many, Error::TooLarge { .. }), "{many}");
    let deep = format!("{}{}", "${x:-".repeat(100_000), "}".repeat(100_000));
    let deep = expand(&deep, Unset::Error, &lookup).unwrap_err();
    assert!(deep.to_string().contains("too deeply"), "{deep}");
}

#[test]
fn names() {
    for (text, expected) in [
        ("a", true),
        ("_A1", true),
        ("", false),
        ("1a", false),
        ("a-b", false),
        ("é", false),
    ] {
        assert_eq!(is_name(text), expected, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_ends_without_panic(text in "[a$\\{}:#%/^,=\\-0-9*\\[\\]é\\\\ \n]{0,40}") {
        for unset in [Unset::Error, Unset::Empty] {
            let _ = run(&text, unset);
        }
    }

    #[test]
    fn doubled_dollars_are_text(text in "[a-z${}:#/ \n]{0,30}") {
        let escaped = text.replace('$', "$$");
        prop_assert_eq!(run(&escaped, Unset::Error), Ok(text));
    }
}
