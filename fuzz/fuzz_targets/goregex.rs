//! Patterns of tenants: an error quotes the pattern, and all ways of searching agree.

#![no_main]

use flux_lang::goregex::GoRegex;
use libfuzzer_sys::fuzz_target;

const SIZE_LIMIT: usize = 64 * 1024;
const OUTPUT_LIMIT: usize = 4096;

fuzz_target!(|input: (&str, &str, &str)| {
    let (pattern, text, template) = input;
    let regex = match GoRegex::compile_within(pattern, SIZE_LIMIT) {
        Ok(regex) => regex,
        Err(error) => {
            assert!(pattern.is_char_boundary(error.position), "{error}");
            assert!(pattern.contains(&error.fragment), "{error}");
            return;
        }
    };
    let found = regex.find(text);
    assert_eq!(regex.is_match(text), found.is_some());
    assert_eq!(regex.expand_first(text, "$0").as_deref(), found);
    assert_eq!(
        regex.expand_first(text, template).is_some(),
        found.is_some()
    );
    assert_eq!(
        regex.replace_all(text, "$0", text.len()).as_deref(),
        Some(text)
    );
    if let Some(replaced) = regex.replace_all(text, template, OUTPUT_LIMIT) {
        assert!(replaced.len() <= OUTPUT_LIMIT);
        assert!(found.is_some() || replaced == text);
    }

    let names = regex.group_names();
    assert_eq!(names.first(), Some(&None));
    for unknown in regex.unknown_groups(template) {
        assert!(names.iter().flatten().all(|name| name != unknown));
    }
    // A name that a group has is known.
    for name in names.iter().flatten() {
        assert!(regex.unknown_groups(&format!("${{{name}}}")).is_empty());
    }
});
