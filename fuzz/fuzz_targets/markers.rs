//! Writing images where markers ask for it: only marked scalars change, what is written is what
//! is read there afterwards, and writing again changes nothing.
//!
//! `@0` to `@5` in the input become the markers that a fuzzer would never think of.

#![no_main]

use flux_api::ImageRef;
use flux_fuzz::assert_line_of;
use flux_image::marker::{self, Lookup};
use flux_lang::yaml::{self, Scalar, Style};
use libfuzzer_sys::fuzz_target;

const MARKERS: [(&str, &str); 6] = [
    ("@0", r#" # {"$imagepolicy": "ns:text"}"#),
    ("@1", r#" # {"$imagepolicy": "ns:number:tag"}"#),
    ("@2", r#" # {"$imagepolicy": "ns:word:tag"}"#),
    ("@3", r#" # {"$imagepolicy": "ns:digest:digest"}"#),
    ("@4", r#" # {"$imagepolicy": "ns:text:name"}"#),
    ("@5", r#" # {"$imagepolicy": "ns:nobody"}"#),
];

fuzz_target!(|input: &str| {
    let text = MARKERS
        .iter()
        .fold(input.to_owned(), |text, (short, marker)| {
            text.replace(short, marker)
        });
    let Ok(edit) = marker::apply("f.yaml", &text, &policies) else {
        return;
    };
    for problem in &edit.problems {
        assert_line_of(&text, problem.line);
        assert!(!problem.reason.is_empty());
    }
    let Some(after) = edit.bytes else {
        assert!(edit.changes.is_empty());
        return;
    };
    assert!(marker::may_have_markers(text.as_bytes()));
    assert!(!edit.changes.is_empty());
    let (old, new) = (marked(&text), marked(&after));
    assert_eq!(outside(&text, &old), outside(&after, &new), "{after}");
    for change in &edit.changes {
        assert_line_of(&text, change.line);
        assert_ne!(change.old_value, change.new_value);
        let written = |scalar: &Scalar| scalar.value == change.new_value;
        assert!(new.iter().any(written), "{change:?}\n{after}");
    }
    let again = marker::apply("f.yaml", &after, &policies).expect("still YAML");
    assert_eq!(again.bytes, None, "{after}");
    assert_eq!(again.problems, edit.problems);
});

fn policies(namespace: &str, name: &str) -> Lookup {
    let image = |tag: &str, digest: Option<&str>| {
        Lookup::Ref(ImageRef {
            name: "localhost:5000/app".to_owned(),
            tag: tag.to_owned(),
            digest: digest.map(str::to_owned),
        })
    };
    match (namespace, name) {
        ("ns", "text") => image("v1.2.3", None),
        ("ns", "number") => image("1.0", None),
        ("ns", "word") => image("yes", None),
        ("ns", "digest") => image("1.2.3", Some("sha256:00ff")),
        ("ns", "later") => Lookup::NoValueYet,
        ("ns", _) => Lookup::Unknown,
        _ => Lookup::OtherNamespace,
    }
}

/// The scalars that may change, each once, in the order of the text.
fn marked(text: &str) -> Vec<Scalar> {
    let mut scalars = yaml::scalars(text).expect("YAML");
    scalars.retain(|scalar| scalar.style != Style::Block);
    scalars.retain(|scalar| scalar.comment.contains("$imagepolicy"));
    scalars.sort_by_key(|scalar| scalar.range.start);
    scalars.dedup_by_key(|scalar| scalar.range.start);
    scalars
}

/// What stands between the scalars.
fn outside<'t>(text: &'t str, scalars: &[Scalar]) -> Vec<&'t str> {
    let ends = scalars.iter().map(|scalar| scalar.range.end);
    let starts = scalars.iter().map(|scalar| scalar.range.start);
    std::iter::once(0)
        .chain(ends)
        .zip(starts.chain([text.len()]))
        .map(|(from, to)| &text[from..to])
        .collect()
}
