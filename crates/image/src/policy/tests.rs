use flux_api::ImagePolicySpec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{PolicyError, Rejection, Selection, Selector};

/// A filter of pattern and extract, or none.
type FilterText<'t> = Option<(&'t str, &'t str)>;

fn spec(filter: FilterText<'_>, policy: Value) -> ImagePolicySpec {
    let mut spec = json!({"imageRepositoryRef": {"name": "x"}, "policy": policy});
    if let Some((pattern, extract)) = filter {
        spec["filterTags"] = json!({"pattern": pattern, "extract": extract});
    }
    serde_json::from_value(spec).unwrap()
}

fn selector(filter: FilterText<'_>, policy: Value) -> Selector {
    Selector::new(&spec(filter, policy)).unwrap()
}

fn semver(range: &str) -> Value {
    json!({"semver": {"range": range}})
}

fn numerical(order: &str) -> Value {
    json!({"numerical": {"order": order}})
}

fn alphabetical(order: &str) -> Value {
    json!({"alphabetical": {"order": order}})
}

#[test]
fn selections() {
    let two_parts = Some((r"^(?P<maj>\d+)\.(?P<min>\d+)$", "$maj.$min.0"));
    let stamp = Some((r"^main-[a-f0-9]+-(?P<ts>\d+)", "$ts"));
    let cases: Vec<(FilterText<'_>, Value, &[&str], &str, &str)> = vec![
        (
            None,
            semver("1.x"),
            &["1.0.0", "1.2.0", "2.0.0", "latest"],
            "1.2.0",
            "1.2.0",
        ),
        (
            None,
            semver(">=1.0.0"),
            &["1.0.0", "1.1.0-rc.1"],
            "1.0.0",
            "1.0.0",
        ),
        (
            None,
            semver(">=1.0.0-0"),
            &["1.0.0", "1.1.0-rc.1"],
            "1.1.0-rc.1",
            "1.1.0-rc.1",
        ),
        (None, semver("*"), &["v1.0.0", "1.0.0"], "v1.0.0", "v1.0.0"),
        (None, semver("*"), &["2.51", "1.0.0"], "1.0.0", "1.0.0"),
        (
            two_parts,
            semver(">=0.0.0"),
            &["2.9", "2.51", "2.39", "2.39.1"],
            "2.51",
            "2.51.0",
        ),
        // The walk: not what its author meant, but what Flux selects.
        (
            Some((r"\d\.\d", "")),
            numerical("asc"),
            &["2.9", "2.39", "2.51"],
            "2.9",
            "2.9",
        ),
        (
            Some((r"\d\.\d\d", "")),
            numerical("asc"),
            &["2.9", "2.39", "2.51"],
            "2.51",
            "2.51",
        ),
        (None, numerical("asc"), &["1", "10", "9"], "10", "10"),
        (None, numerical("desc"), &["1", "10", "9"], "1", "1"),
        (
            None,
            numerical("asc"),
            &["1e3", "999", "0x3E7p0", "1_001"],
            "1_001",
            "1_001",
        ),
        (None, numerical("asc"), &["1.00", "1.0"], "1.0", "1.0"),
        (None, numerical("asc"), &["NaN", "1"], "1", "1"),
        (None, numerical("desc"), &["NaN", "1"], "1", "1"),
        (None, numerical("asc"), &["inf", "1"], "inf", "inf"),
        (
            stamp,
            numerical("asc"),
            &["main-a1-100", "main-ff-20", "dev-1"],
            "main-a1-100",
            "100",
        ),
        (
            stamp,
            numerical("asc"),
            &["main-b-7", "main-a-7"],
            "main-a-7",
            "7",
        ),
        (None, alphabetical("asc"), &["a", "c", "b", "B"], "c", "c"),
        (None, alphabetical("desc"), &["a", "c", "b", "B"], "B", "B"),
        (None, json!({"alphabetical": {}}), &["10", "9"], "9", "9"),
        (
            None,
            json!({"alphabetical": {}, "numerical": {}, "semver": {"range": "*"}}),
            &["1.0.0", "x"],
            "1.0.0",
            "1.0.0",
        ),
        (Some(("", "")), alphabetical("asc"), &["a", "b"], "b", "b"),
    ];
    for (filter, policy, tags, tag, key) in cases {
        let selector = selector(filter, policy.clone());
        let selected = selector.select(tags.iter().copied()).unwrap();
        assert_eq!(
            (selected.tag, &*selected.key),
            (tag, key),
            "{filter:?} {policy} {tags:?}"
        );
        let reversed = selector.select(tags.iter().rev().copied()).unwrap();
        assert_eq!(reversed, selected, "the order of tags does not matter");
    }
}

#[test]
fn candidates_are_counted() {
    let selector = selector(Some((r"^\d+$", "")), numerical("asc"));
    let selection = selector.select(["1", "2", "latest"]).unwrap();
    assert_eq!(
        selection,
        Selection {
            tag: "2",
            key: "2".to_owned(),
            candidates: 2
        }
    );
}

#[test]
fn one_non_number_fails_and_says_what_to_write() {
    let error = selector(Some((r"\d\.\d", "")), numerical("asc"))
        .select(["2.9", "v2.9", "2.39.1"])
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("failed to parse invalid numeric value '2.39.1'"),
        "{text}"
    );
    for part in [
        "tag '2.39.1'",
        r"pattern '\d\.\d'",
        "'^build-(?P<n>\\d+)$'",
        "'$n'",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let error = selector(None, numerical("asc"))
        .select(["latest"])
        .unwrap_err();
    assert!(error.to_string().contains("spec.filterTags"), "{error}");
}

#[test]
fn nothing_to_select_says_why() {
    let cases = [
        (
            selector(None, semver("*")).select([]),
            "version list argument cannot be empty: the image has no tags",
        ),
        (
            selector(Some(("^v", "")), alphabetical("asc")).select(["1", "2"]),
            "version list argument cannot be empty: spec.filterTags.pattern '^v' matches none of \
             2 tags, for example not '2'",
        ),
        (
            selector(None, semver(">=3.0.0")).select(["2.51", "2.0.0", "3.0.0-rc.1"]),
            "unable to determine latest version from provided list: no tag is in the range \
             '>=3.0.0': 1 are outside of it, such as '2.0.0'; 1 are pre-releases, which it admits \
             only with a '-0', such as '3.0.0-rc.1'; 1 are not versions of three numbers \
             (spec.filterTags.extract can make them some: '$maj.$min.0'), such as '2.51'",
        ),
    ];
    for (result, expected) in cases {
        assert_eq!(result.unwrap_err().to_string(), expected);
    }
}

#[test]
fn policies_that_cannot_work() {
    let error = |filter, policy| Selector::new(&spec(filter, policy)).unwrap_err();
    assert_eq!(error(None, json!({})), PolicyError::NoOrder);
    assert!(matches!(
        error(None, semver("latest")),
        PolicyError::Range { .. }
    ));
    assert!(matches!(error(None, semver("")), PolicyError::Range { .. }));
    assert!(matches!(
        error(None, numerical("up")),
        PolicyError::Order(_)
    ));
    let lookahead = error(Some(("^(?!dev)", "")), semver("*"));
    assert!(
        lookahead.to_string().contains("RE2 has no look-around"),
        "{lookahead}"
    );
}

#[test]
fn each_tag_can_be_judged_alone() {
    let versions = selector(None, semver("1.x"));
    assert_eq!(versions.judge("2.0.0").unwrap_err(), Rejection::Range);
    assert_eq!(
        versions.judge("1.0.0-a").unwrap_err(),
        Rejection::PreRelease
    );
    assert_eq!(versions.judge("1.0").unwrap_err(), Rejection::NotAVersion);
    let mut candidates: Vec<_> = ["1.0.0", "1.10.0", "1.9.0"]
        .iter()
        .map(|tag| versions.judge(tag).unwrap())
        .collect();
    candidates.sort();
    let tags: Vec<&str> = candidates.iter().rev().map(super::Candidate::tag).collect();
    assert_eq!(tags, ["1.10.0", "1.9.0", "1.0.0"]);
    let numbers = selector(None, numerical("asc"));
    assert!(numbers.judge("x").unwrap_err().is_fatal());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the tags and the policy: the order in which tags come does not matter.
    #[test]
    fn selection_is_deterministic(
        mut tags in prop::collection::vec("v?[0-9]{1,2}(\\.[0-9_]{1,2}){0,2}|nan|[a-c]{1,2}", 0..12),
        policy in prop_oneof![
            Just(semver("*")), Just(numerical("asc")), Just(numerical("desc")),
            Just(alphabetical("asc")), Just(alphabetical("desc")),
        ],
        filtered: bool,
    ) {
        let filter = filtered.then_some((r"(?P<n>\d+|nan)", "$n"));
        let selector = selector(filter, policy);
        let forward = tags.clone();
        tags.reverse();
        prop_assert_eq!(
            selector.select(forward.iter().map(String::as_str)),
            selector.select(tags.iter().map(String::as_str))
        );
    }
}
