//! Tag policies: the selected tag is one of the tags, and their order does not matter.
//!
//! The input's lines are the pattern, what to extract, the order (a range, `a`, `d`, `+` or `-`)
//! and tags.

#![no_main]

use flux_api::image::{
    AlphabeticalPolicy, ImagePolicyChoice, ImagePolicySpec, NumericalPolicy, Order, SemVerPolicy,
    TagFilter,
};
use flux_image::policy::Selector;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let spec = spec(line(), line(), line());
    // Compiling a large pattern takes most of a second.
    if spec
        .filter_tags
        .as_ref()
        .is_some_and(|f| f.pattern.len() > 100)
    {
        return;
    }
    let tags: Vec<&str> = lines.take(50).collect();
    let selector = match Selector::new(&spec) {
        Ok(selector) => selector,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let selected = selector.select(tags.iter().copied());
    assert_eq!(selector.select(tags.iter().rev().copied()), selected);
    let Ok(selection) = selected else {
        return;
    };
    assert!(tags.contains(&selection.tag));
    assert!((1..=tags.len()).contains(&selection.candidates));
    let best = selector.judge(selection.tag).expect("a candidate");
    assert_eq!(best.key(), selection.key);
    let candidates = tags.iter().filter_map(|tag| selector.judge(tag).ok());
    assert!(candidates.clone().all(|candidate| candidate <= best));
    assert_eq!(candidates.count(), selection.candidates);
});

fn spec(pattern: &str, extract: &str, order: &str) -> ImagePolicySpec {
    let filter = TagFilter {
        pattern: pattern.to_owned(),
        extract: extract.to_owned(),
    };
    let mut policy = ImagePolicyChoice::default();
    let direction = match order {
        "d" | "-" => Some(Order::Desc),
        _ => None,
    };
    match order {
        "a" | "d" => policy.alphabetical = Some(AlphabeticalPolicy { order: direction }),
        "+" | "-" => policy.numerical = Some(NumericalPolicy { order: direction }),
        range => {
            let range = range.to_owned();
            policy.semver = Some(SemVerPolicy { range });
        }
    }
    ImagePolicySpec {
        policy,
        filter_tags: (!pattern.is_empty()).then_some(filter),
        ..ImagePolicySpec::default()
    }
}
