//! Reading YAML: an error has a place in the text; what is read is written such that it is read
//! again as the same.

#![no_main]

use flux_fuzz::assert_line_of;
use flux_lang::yaml;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|text: &str| {
    let documents = match yaml::read(text) {
        Ok(documents) => documents,
        Err(error) => {
            assert_line_of(text, error.line);
            assert!(error.column > 0);
            return;
        }
    };
    for document in documents {
        assert_line_of(text, document.line);
        assert!(!document.value.is_null());
        // go-yaml writes this key such that it reads it as a merge; so do we.
        if has_merge_key(&document.value) {
            continue;
        }
        let written = yaml::to_string(&document.value);
        assert!(written.ends_with('\n'));
        let again = yaml::read(&written).expect("what was written is YAML");
        assert_eq!(again.len(), 1, "{written}");
        assert_eq!(again[0].value, document.value, "{written}");
        assert_eq!(yaml::to_string(&again[0].value), written);
    }
});

fn has_merge_key(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_merge_key),
        Value::Object(map) => map.contains_key("<<") || map.values().any(has_merge_key),
        _ => false,
    }
}
