use flux_api::ImageRef;
use proptest::prelude::*;

use super::{Edit, Lookup, Problem, apply, is_candidate, may_have_markers};

fn image(name: &str, tag: &str, digest: Option<&str>) -> Lookup {
    Lookup::Ref(ImageRef {
        name: name.to_owned(),
        tag: tag.to_owned(),
        digest: digest.map(str::to_owned),
    })
}

fn policies(namespace: &str, name: &str) -> Lookup {
    match (namespace, name) {
        ("foo", "app") => image("reg.io:5000/app", "2.51", None),
        ("foo", "pinned") => image("app", "v1", Some("sha256:abc")),
        ("foo", "waiting") => Lookup::NoValueYet,
        ("foo", _) => Lookup::Unknown,
        _ => Lookup::OtherNamespace,
    }
}

pub(super) fn run(text: &str) -> Edit {
    apply("d.yaml", text, &policies).unwrap()
}

/// `@p` stands for the beginning of a marker, `@e` for its end.
fn expand(text: &str) -> String {
    text.replace("@p", "# {\"$imagepolicy\": \"")
        .replace("@e", "\"}")
}

#[test]
fn only_the_value_changes() {
    let cases = [
        (
            "image: a:1 @pfoo:app@e\n",
            "image: reg.io:5000/app:2.51 @pfoo:app@e\n",
        ),
        (
            "image: \"a:1\" @pfoo:app@e\n",
            "image: \"reg.io:5000/app:2.51\" @pfoo:app@e\n",
        ),
        (
            "image: 'a:1'   @pfoo:app@e  \n",
            "image: 'reg.io:5000/app:2.51'   @pfoo:app@e  \n",
        ),
        (
            "tag: 2.50 @pfoo:app:tag@e\n",
            "tag: \"2.51\" @pfoo:app:tag@e\n",
        ),
        (
            "tag: '2.50' @pfoo:app:tag@e\n",
            "tag: '2.51' @pfoo:app:tag@e\n",
        ),
        (
            "tag: v0 @pfoo:pinned:tag@e\n",
            "tag: v1 @pfoo:pinned:tag@e\n",
        ),
        (
            "n: x @pfoo:app:name@e\n",
            "n: reg.io:5000/app @pfoo:app:name@e\n",
        ),
        (
            "d: x @pfoo:pinned:digest@e\n",
            "d: sha256:abc @pfoo:pinned:digest@e\n",
        ),
        (
            "i: x @pfoo:pinned@e\n",
            "i: app:v1@sha256:abc @pfoo:pinned@e\n",
        ),
        ("i: ~ @pfoo:pinned:tag@e\n", "i: v1 @pfoo:pinned:tag@e\n"),
        ("i: '' @pfoo:pinned:tag@e\n", "i: 'v1' @pfoo:pinned:tag@e\n"),
        // Line ends, byte order mark, no final newline.
        (
            "a: 1\r\n\r\ni: x @pfoo:pinned:tag@e\r\nb: 2\r\n",
            "a: 1\r\n\r\ni: v1 @pfoo:pinned:tag@e\r\nb: 2\r\n",
        ),
        (
            "\u{feff}i: x @pfoo:pinned:tag@e",
            "\u{feff}i: v1 @pfoo:pinned:tag@e",
        ),
        // Tabs before and in the comment.
        (
            "i: x\t#\t{\"$imagepolicy\":\t\"foo:pinned:tag\"}\t\n",
            "i: v1\t#\t{\"$imagepolicy\":\t\"foo:pinned:tag\"}\t\n",
        ),
        // Other keys of the object do no harm.
        (
            "i: x # {\"a\": \"b\", \"$imagepolicy\": \"foo:pinned:tag\"}\n",
            "i: v1 # {\"a\": \"b\", \"$imagepolicy\": \"foo:pinned:tag\"}\n",
        ),
        // Flow style and sequences.
        (
            "{a: b, i: x @pfoo:pinned:tag@e\n}\n",
            "{a: b, i: v1 @pfoo:pinned:tag@e\n}\n",
        ),
        (
            "[x, @pfoo:pinned:tag@e\n y]\n",
            "[v1, @pfoo:pinned:tag@e\n y]\n",
        ),
        (
            "l:\n- a\n-   x @pfoo:pinned:tag@e\n",
            "l:\n- a\n-   v1 @pfoo:pinned:tag@e\n",
        ),
        (
            "l:\n# above\n- a\n@pfoo:pinned:tag@e\n- x\n",
            "l:\n# above\n- a\n@pfoo:pinned:tag@e\n- v1\n",
        ),
        // The comment beside an item wins over the one above it.
        ("@pfoo:app@e\n- v1 @pfoo:pinned:tag@e\n", ""),
        // Anchors, tags, folded text and other documents nearby.
        (
            "---\n\n---  # x\na: &b x @pfoo:pinned:tag@e\nc: *b\n",
            "---\n\n---  # x\na: &b v1 @pfoo:pinned:tag@e\nc: *b\n",
        ),
        (
            "a: !!str x @pfoo:pinned:tag@e\n",
            "a: !!str v1 @pfoo:pinned:tag@e\n",
        ),
        (
            "f: >-\n   folded   text\n\n   more\ni: x @pfoo:pinned:tag@e\n",
            "f: >-\n   folded   text\n\n   more\ni: v1 @pfoo:pinned:tag@e\n",
        ),
        (
            "a: é\ni: ü @pfoo:pinned:tag@e\n",
            "a: é\ni: v1 @pfoo:pinned:tag@e\n",
        ),
        // A value over two lines.
        (
            "a: \"x\n  y\" @pfoo:pinned:tag@e\n",
            "a: \"v1\" @pfoo:pinned:tag@e\n",
        ),
        // Nothing to do: current, inside of a text, above a field, other comments.
        ("i: v1 @pfoo:pinned:tag@e\n", ""),
        ("i: |\n  x @pfoo:pinned:tag@e\n", ""),
        ("i: '@pfoo:pinned:tag@e'\n", ""),
        ("@pfoo:pinned:tag@e\ni: x\n", ""),
        ("i: x # see $imagepolicy\n", ""),
        ("# i: x @pfoo:pinned:tag@e\n", ""),
    ];
    for (before, after) in cases {
        let (before, after) = (expand(before), expand(after));
        let edit = run(&before);
        assert!(edit.problems.is_empty(), "{before:?}: {:?}", edit.problems);
        assert_eq!(edit.bytes.unwrap_or_default(), after, "{before:?}");
    }
}

#[test]
fn changes_say_what_and_where() {
    let text = expand(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n---\napiVersion: apps/v1\nkind: Deployment\n\
         metadata:\n  name: web\n  namespace: foo\nspec:\n  image: 'app:v0' @pfoo:pinned@e\n",
    );
    let edit = run(&text);
    let [change] = &edit.changes[..] else {
        panic!("{edit:?}")
    };
    assert_eq!(
        (&*change.file, change.line, &*change.setter),
        ("d.yaml", 11, "foo:pinned")
    );
    assert_eq!(change.old_value, "app:v0");
    assert_eq!(change.new_value, "app:v1@sha256:abc");
    assert_eq!(
        (&*change.object.api_version, &*change.object.kind),
        ("apps/v1", "Deployment")
    );
    assert_eq!(
        (&*change.object.name, &*change.object.namespace),
        ("web", "foo")
    );
    assert_eq!(change.image.tag, "v1");
}

#[test]
fn what_cannot_be_applied_is_reported() {
    let cases = [
        (
            "i: x @pfoo:none@e\n",
            "d.yaml:1 foo:none there is no ImagePolicy foo/none",
        ),
        (
            "i: x @pbar:app:tag@e\n",
            "d.yaml:1 bar:app:tag ImagePolicy bar/app is in another",
        ),
        (
            "i: x @pfoo:waiting@e\n",
            "d.yaml:1 foo:waiting ImagePolicy foo/waiting has not sel",
        ),
        (
            "i: x @pfoo:app:digest@e\n",
            "d.yaml:1 foo:app:digest ImagePolicy foo/app reports no",
        ),
        ("i: x @pfoo@e\n", "d.yaml:1 foo write namespace:policy"),
        (
            "i: x @pfoo:app:version@e\n",
            "d.yaml:1 foo:app:version write namespace:policy",
        ),
        (
            "i: x @pfoo:app@e trailing\n",
            "d.yaml:1 the comment is not a JSON object",
        ),
        (
            "i: x # {\"$imagepolicy\": 1}\n",
            "d.yaml:1 the comment is not a JSON object",
        ),
        (
            "\nspec: @pfoo:app@e\n  i: x\n",
            "d.yaml:2 foo:app the marker does not stand beside",
        ),
        (
            "i: @pfoo:app@e\n  x\n",
            "d.yaml:1 foo:app the marker does not stand beside",
        ),
        (
            "i: | @pfoo:app@e\n  x\n",
            "d.yaml:1 foo:app the marker does not stand beside",
        ),
        (
            "@pfoo:app@e\n-\n",
            "d.yaml:1 foo:app the marker does not stand beside",
        ),
        (
            "@pfoo:app@e\n- &x\n- *x\n",
            "d.yaml:1 foo:app the marker does not stand beside",
        ),
        (
            "i: {a: b} @pfoo:app@e\n",
            "d.yaml:1 foo:app the marked value is a map, a list",
        ),
    ];
    for (text, expected) in cases {
        let edit = run(&expand(text));
        assert_eq!(edit.bytes, None);
        let [problem] = &edit.problems[..] else {
            panic!("{text:?}: {edit:?}")
        };
        assert!(problem.to_string().starts_with(expected), "{problem}");
    }
}

#[test]
fn one_bad_marker_keeps_no_other_from_being_applied() {
    let edit = run(&expand("a: x @pbar:app@e\nb: x @pfoo:pinned:tag@e\n"));
    assert_eq!(
        edit.bytes.unwrap(),
        expand("a: x @pbar:app@e\nb: v1 @pfoo:pinned:tag@e\n")
    );
    assert_eq!(edit.problems.len(), 1);
}

#[test]
fn files_that_do_not_parse_are_left_alone() {
    let error = apply("d.yaml", "a: b: c\n", &policies).unwrap_err();
    let text = Problem::of_file("d.yaml", error.to_string()).to_string();
    assert!(
        text.starts_with("d.yaml: not valid YAML, left as it is: line 1"),
        "{text}"
    );
}

#[test]
fn which_files_are_looked_at() {
    for path in ["a.yaml", "x/y.yml", "x/Kustomization", ".hidden/a.yaml"] {
        assert!(is_candidate(path), "{path}");
    }
    for path in ["a.json", "yaml", "x/Kustomization.txt", "a.yaml/b"] {
        assert!(!is_candidate(path), "{path}");
    }
    assert!(may_have_markers(b"$ \"$\" x # {\"$imagepolicy\": \"a:b\"}"));
    assert!(!may_have_markers(b"$imagepolicy $ \"$imagepolic"));
    assert!(!may_have_markers(b""));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn never_panics(text in r#"([ab]: |- |x|'|"|\{|\}|\[|,|\n|\r\n|# \{"\$imagepolicy": "foo:app(:tag)?"\}|&a |\*a|\||é| ){0,20}"#) {
        if let Ok(Edit { bytes: Some(after), changes, .. }) = apply("d.yaml", &text, &policies) {
            prop_assert!(!changes.is_empty());
            let edit = apply("d.yaml", &after, &policies);
            prop_assert!(edit.is_ok_and(|edit| edit.changes.is_empty()), "{:?}", after);
        }
    }
}
