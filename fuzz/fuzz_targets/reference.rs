//! Image names: the canonical name is the same name again, and can be put into a URL as it is.

#![no_main]

use flux_registry::{Reference, ReferenceError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let reference = match Reference::parse(text) {
        Ok(reference) => reference,
        Err(error) => {
            assert!(error.to_string().contains(text));
            return;
        }
    };
    let canonical = reference.canonical();
    assert_eq!(Reference::parse(&canonical).as_ref(), Ok(&reference));
    assert_eq!(
        canonical.split_once('/').map(|(host, _)| host),
        Some(reference.registry())
    );
    assert!(
        reference
            .registry()
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
    );
    for element in reference.repository().split('/') {
        assert!(!matches!(element, "" | "." | ".."));
        assert!(
            element
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        );
    }
    for (suffix, tagged) in [
        (":1.0", true),
        ("@sha256:00", false),
        (":1.0@sha256:00", true),
    ] {
        match Reference::parse(&format!("{text}{suffix}")) {
            Err(ReferenceError::Tag { .. }) => assert!(tagged),
            Err(ReferenceError::Digest { .. }) => assert!(!tagged),
            other => panic!("{text}{suffix}: {other:?}"),
        }
    }
});
