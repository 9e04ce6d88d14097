use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Step, Style, Target, annotations, needs_quotes, read, scalars, to_string};

/// Inputs separated by `%%%` lines, and per line number, `go` and the JSON of sigs.k8s.io/yaml
/// 1.6.0, or its error.
const READ: [(&str, &str); 2] = [
    (
        include_str!("../../tests/vectors/yaml-cases.txt"),
        include_str!("../../tests/vectors/yaml-go.out"),
    ),
    (
        include_str!("../../tests/vectors/yaml-read.txt"),
        include_str!("../../tests/vectors/yaml-read-go.txt"),
    ),
];

/// JSON values and the bytes of sigs.k8s.io/yaml, both separated by `%%%` lines.
const EMIT: (&str, &str) = (
    include_str!("../../tests/vectors/yaml-emit.json.txt"),
    include_str!("../../tests/vectors/yaml-emit-go.txt"),
);

/// A text (quoted as in JSON) and the scalar values with comments that go.yaml.in/yaml/v3 finds.
const COMMENTS: &str = include_str!("../../tests/vectors/yaml-comments-go.tsv");

/// Go's JSON writes floats in another notation; the value is what counts.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|o| same(v, o)))
        }
        _ => a == b,
    }
}

#[test]
fn reads_as_kubectl() {
    /// What go-yaml refuses and we take: JSON escapes, and a tab before the first key.
    const ACCEPTED_HERE: [&str; 3] = [r"\ud83d\ude00", r"\/", "\ta: b"];
    let mut failures = Vec::new();
    for (inputs, answers) in READ {
        for (input, answer) in inputs.split("%%%\n").zip(answers.lines()) {
            let answer = answer.splitn(3, '\t').nth(2).unwrap();
            let ours = read(input);
            let agrees = match (&ours, answer.strip_prefix("ERR ")) {
                (Ok(documents), None) => {
                    let expected: Value = serde_json::from_str(answer).unwrap();
                    let value = documents.first().map_or(&Value::Null, |d| &d.value);
                    same(value, &expected)
                }
                (Ok(_), Some(_)) => ACCEPTED_HERE.iter().any(|text| input.contains(text)),
                (Err(_), expected) => expected.is_some(),
            };
            if !agrees {
                failures.push(format!("{input}\nours: {ours:?}\ngo:   {answer}\n"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn writes_as_sigs_yaml() {
    for (json, expected) in EMIT.0.split("%%%\n").zip(EMIT.1.split("%%%\n")) {
        let value: Value = serde_json::from_str(json).unwrap();
        let written = to_string(&value);
        for (ours, theirs) in written.lines().zip(expected.lines()) {
            assert_eq!(ours, theirs);
        }
        assert_eq!(written, expected);
    }
}

#[test]
fn comments_as_flux() {
    for line in COMMENTS.lines() {
        let (text, expected) = line.split_once('\t').unwrap();
        let text: String = serde_json::from_str(text).unwrap();
        let expected = if expected == "ERR" { "" } else { expected };
        let found: Vec<String> = scalars(&text)
            .unwrap_or_default()
            .iter()
            .map(|scalar| {
                let path: String = scalar.path.iter().map(Step::to_string).collect();
                format!("{path}=#{}", scalar.comment.replace('\n', "\\n"))
            })
            .collect();
        // A blank line between comment and item leaves a trace in Go's text only.
        assert_eq!(
            found.join("; "),
            expected.trim_end_matches("\\n"),
            "{text:?}"
        );
    }
}

#[test]
fn scalars_know_their_bytes() {
    let text = "kind: Pod\nmetadata: {name: x, namespace: y}\n---\na:\n- b: &z 'it''s' # one\n  \
                c: \"d\\n\" # two\n- é  # three\n- ~ # four\n";
    let found = scalars(text).unwrap();
    let tokens: Vec<(&str, Style, &str, usize)> = found
        .iter()
        .map(|s| (&text[s.range.clone()], s.style, &*s.value, s.line))
        .collect();
    assert_eq!(
        tokens,
        [
            ("'it''s'", Style::SingleQuoted, "it's", 5),
            ("\"d\\n\"", Style::DoubleQuoted, "d\n", 6),
            ("é", Style::Plain, "é", 7),
            ("~", Style::Plain, "~", 8),
        ]
    );
    assert!(found.iter().all(|scalar| scalar.document == 1));
    let heads = annotations(text).unwrap().documents;
    assert_eq!(heads.len(), 2);
    assert_eq!(
        (&*heads[0].kind, &*heads[0].name, &*heads[0].namespace),
        ("Pod", "x", "y")
    );
}

#[test]
fn comments_beside_other_nodes_are_told_apart() {
    let target = |text: &str| annotations(text).unwrap().comments.remove(0).target;
    assert_eq!(target("spec: # M\n  a: b\n"), Target::Key);
    assert_eq!(target("a: | # M\n  text\n"), Target::Key);
    assert_eq!(target("a: # M\n"), Target::Key);
    assert_eq!(target("a: {b: c} # M\n"), Target::Collection);
    assert_eq!(target("a: &x b\nc: *x # M\n"), Target::Collection);
    for absent in ["# M\n-\n", "# M\n- !!str\n", "- # M\n", "- &x # M\n- *x\n"] {
        assert_eq!(target(absent), Target::Key, "{absent:?}");
    }
}

#[test]
fn an_object_without_a_name_has_none() {
    let heads = annotations("kind: Pod\nmetadata:\n  name:\n  namespace: \"\"\n");
    let head = heads.unwrap().documents.remove(0);
    assert_eq!(
        (&*head.kind, &*head.name, &*head.namespace),
        ("Pod", "", "")
    );
}

#[test]
fn documents_and_their_lines() {
    let text = "# head\n---\n\na: 1\n---\n# nothing\n---\nnull\n--- \nb: 2\n...\n";
    let found: Vec<(usize, Value)> = read(text)
        .unwrap()
        .into_iter()
        .map(|d| (d.line, d.value))
        .collect();
    assert_eq!(found, [(4, json!({"a": 1})), (10, json!({"b": 2}))]);
    assert!(read("").unwrap().is_empty());
    let error = read("a: b\nc: d: e\n").unwrap_err();
    assert_eq!(error.line, 2, "{error}");
    let error = read("a: 1\nb: {.nan: 1}\n").unwrap_err();
    assert_eq!((error.line, error.column), (2, 5), "{error}");
}

#[test]
fn hostile_input_ends_in_an_error() {
    let bomb = (1..10).fold("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, level| {
        let items = vec![format!("*a{}", level - 1); 9].join(",");
        format!("{text}a{level}: &a{level} [{items}]\n")
    });
    assert!(read(&bomb).unwrap_err().message.contains("aliasing"));
    for opening in ["[", "{a: ", "- ", "? "] {
        let deep = opening.repeat(100_000);
        assert!(read(&deep).is_err());
        assert!(annotations(&deep).is_err());
    }
}

#[test]
fn many_comment_lines_are_fine() {
    let text = format!("{}a: b # M\n", "# licence\n".repeat(5000));
    assert_eq!(scalars(&text).unwrap().len(), 1);
}

#[test]
fn which_values_need_quotes() {
    for text in [
        "1.0", "2.51", "1", "yes", "", "null", "1e3", "0x10", "a: b", "a,b", "*",
    ] {
        assert!(needs_quotes(text), "{text:?}");
    }
    for text in [
        "v1.0",
        "1.2.3",
        "foo:1.0",
        "2024-01-01",
        "sha256:abc",
        "localhost:5000/a:1",
    ] {
        assert!(!needs_quotes(text), "{text:?}");
    }
}

/// Strings that are likely to need care.
fn tricky() -> impl Strategy<Value = String> {
    prop_oneof![
        r#"[ab \n:#'"\t,{}\[\]?*&!|>%@é1.\\-]{0,12}"#,
        "[a-z' ]{70,120}",
        "[0-9_.eExX:+-]{0,8}",
        Just("yes".to_owned()),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        tricky().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((tricky(), inner), 0..4).prop_map(|entries| {
                // "<<" is written as go-yaml writes it, and would be read as a merge.
                Value::Object(entries.into_iter().filter(|(key, _)| key != "<<").collect())
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_written_is_read_back(value in value()) {
        let text = to_string(&value);
        let read = read(&text).unwrap();
        let read = read.first().map_or(&Value::Null, |d| &d.value);
        prop_assert_eq!(read, &value, "{}", text);
    }

    #[test]
    fn never_panics(text in r#"[ab \n:#'"\t,{}\[\]?*&!|>%@é1.<\r-]{0,40}"#) {
        let _ = read(&text);
        if let Ok(found) = scalars(&text) {
            for scalar in found {
                prop_assert!(text.get(scalar.range).is_some());
            }
        }
    }
}
