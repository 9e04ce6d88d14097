//! What Go answers, and what no template may do.

use proptest::prelude::*;

use super::limits::{MAX_DEPTH, MAX_OUTPUT};
use super::{Map, Struct, Template, TemplateError, Value, bombs, exec, functions};

/// The data that Go rendered the vectors with.
fn data() -> Value {
    let id = |namespace: &str, name: &str| {
        let text = format!("{namespace}/{name}");
        Struct::new("ID")
            .field("Namespace", namespace)
            .field("Name", name)
            .method("String", &*text)
            .display(text)
    };
    let record = |name: &str, x: i64| {
        Struct::new("Rec")
            .field("Name", name)
            .field("Inner", Struct::new("Inner").field("X", x))
    };
    let strings = |items: &[&str]| Value::list(items.iter().map(|item| (*item).into()));
    let texts = [("z", "26"), ("a", "1"), ("m", "")].map(|(k, v)| (k.into(), v.into()));
    let list = Value::list([1.into(), "two".into(), Value::Nil, 3.5.into(), true.into()]);
    let any = Value::map([
        ("s", "text".into()),
        ("n", 7.into()),
        ("l", list),
        ("m", Value::map([("k", "v")])),
    ]);
    let by_int = [(10, "ten"), (9, "nine")].map(|(k, v)| (Value::Int(k), v.into()));
    Struct::new("Data")
        .field("S", "hello World")
        .field("U", "h\u{e9}llo \u{65e5}")
        .field("I", 42)
        .field("F", 3.25)
        .field("B", true)
        .field("L", strings(&["b", "a", "c", "a"]))
        .field("N", Value::list([3, 1, 2].map(Value::Int)))
        .field("E", strings(&[]))
        .field("M", Map::new(texts).with_missing(""))
        .field("A", any)
        .field("IM", Map::new(by_int).with_missing(""))
        .field("KM", Value::map([(id("b", "x"), 1), (id("a", "y"), 2)]))
        .field("R", record("rec", 5))
        .field("ID", id("ns", "name"))
        .field(
            "RS",
            Value::list([record("one", 1).into(), record("two", 2).into()]),
        )
        .into()
}

pub(super) fn render(text: &str) -> Result<String, TemplateError> {
    Template::parse(text)?.render(&data())
}

#[test]
fn as_go() {
    let vectors = include_str!("../../tests/vectors/gotmpl-go-1.26.tsv");
    let mut wrong = Vec::new();
    for line in vectors.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let text = |json: &str| serde_json::from_str::<String>(json).unwrap();
        let template = text(columns[0]);
        let expected = (columns[1] == "ok").then(|| text(columns[2]));
        let got = render(&template);
        if got.clone().ok() != expected {
            wrong.push(format!("{template:?}\n  Go: {expected:?}\n  us: {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Renders on a thread with less than half the stack that the runtime's have.
fn on_a_small_stack(text: String) -> Result<String, TemplateError> {
    let thread = std::thread::Builder::new().stack_size(768 * 1024);
    let run = move || {
        let template = Template::parse(&text)?;
        let _ = template.roots();
        template.render(&data())
    };
    thread.spawn(run).unwrap().join().unwrap()
}

#[test]
fn bombs_end_at_a_limit() {
    let limits = [
        "steps",
        "bytes",
        "levels",
        "regular expressions",
        "too large",
        "repeat count",
    ];
    for bomb in bombs::all(MAX_DEPTH) {
        let shown: String = bomb.chars().take(90).collect();
        let error = on_a_small_stack(bomb).unwrap_err().to_string();
        let by_limit = limits.iter().any(|limit| error.contains(limit));
        assert!(by_limit, "{shown}: {error}");
    }
}

#[test]
fn work_is_counted() {
    let x = |count: usize| format!("{{{{$x := repeat {count} \"x\"}}}}");
    let (thousand, million) = (x(1_000), x(1_000_000));
    let cases = [
        ("{{range 100}}{{end}}".to_owned(), 100, 200),
        // What is read and what is written.
        (format!("{thousand}{{{{$y := upper $x}}}}"), 62, 80),
        (format!("{million}{{{{$y := len $x}}}}"), 62_500, 62_600),
        (format!("{thousand}{{{{$x}}}}"), 62, 80),
        // A search costs by the size of the expression.
        (
            format!("{thousand}{{{{$y := regexMatch \"y\" $x}}}}"),
            2_000,
            2_100,
        ),
        (
            format!("{thousand}{{{{$y := regexMatch \"[ab][cd]{{60}}y\" $x}}}}"),
            8_000,
            8_100,
        ),
        (
            format!("{thousand}{{{{$y := regexMatch \"[ab][cd]{{300}}y\" $x}}}}"),
            32_000,
            32_100,
        ),
        (
            "{{$x := until 100}}{{$y := uniq $x}}".to_owned(),
            4_950,
            5_300,
        ),
    ];
    for (text, least, most) in cases {
        let (result, steps) = exec::run(&Template::parse(&text).unwrap(), &data());
        assert!(result.is_ok(), "{text}: {result:?}");
        assert!((least..=most).contains(&steps), "{text}: {steps}");
    }
}

#[test]
fn the_deepest_template_fits_the_stack() {
    // Half of the levels in the text, half in calls: all that the limits allow.
    let levels = MAX_DEPTH / 2 - 1;
    let text = format!(
        "{{{{define \"a\"}}}}{}{{{{if .}}}}{{{{template \"a\" (sub . 1)}}}}{{{{end}}}}{}{{{{end}}}}\
         {{{{template \"a\" 1}}}}",
        "{{range 1}}{{with $}}{{if .}}".repeat(levels / 3),
        "{{end}}{{end}}{{end}}".repeat(levels / 3),
    );
    assert_eq!(on_a_small_stack(text), Ok(String::new()));
    let parentheses = format!(
        "{{{{{}1{}}}}}",
        "add 1 (".repeat(MAX_DEPTH - 1),
        ")".repeat(MAX_DEPTH - 1)
    );
    assert_eq!(on_a_small_stack(parentheses), Ok(MAX_DEPTH.to_string()));
    let long = format!(
        "{{{{if false}}}}{}{{{{end}}}}",
        "{{else if 0}}".repeat(4000)
    );
    assert_eq!(on_a_small_stack(long), Ok(String::new()));
    assert_eq!(
        render(&format!("{{{{repeat {MAX_OUTPUT} \"x\"}}}}"))
            .unwrap()
            .len(),
        MAX_OUTPUT
    );
}

#[test]
fn errors_name_the_line_and_the_cause() {
    let cases = [
        ("a\n{{foo 1}}", "line 2: function \"foo\" not defined"),
        ("{{call .S}}", "line 1: function \"call\" not defined"),
        (
            "\n\n{{.None}}",
            "line 3: can't evaluate field None in type Data",
        ),
        (
            "{{if .B}}\n{{.R.X}}{{end}}",
            "line 2: can't evaluate field X in type Rec",
        ),
        (
            "a\n{{if 1}}\n",
            "line 2: `{{if}}` is not closed by `{{end}}`",
        ),
        (
            "{{range .L}}\n{{else with 1}}{{end}}",
            "line 2: `{{else with}}` does not fit the `{{range}}` of line 1",
        ),
        (
            "{{end}}",
            "line 1: `{{end}}` without a block that it belongs to",
        ),
        ("a\n{{/* c", "line 2: the comment is never closed"),
        (
            "{{upper 1}}",
            "line 1: error calling upper: wrong type for value; expected a string; got int",
        ),
        (
            "{{eq 1 \"1\"}}",
            "line 1: error calling eq: incompatible types for comparison: int and string",
        ),
        ("{{$x}}", "line 1: the variable $x is not declared here"),
        (
            "{{sub 1}}",
            "line 1: wrong number of args for sub: want 2 got 1",
        ),
        (
            "{{print\n1\n(index .L 9)}}",
            "line 3: error calling index: index out of range: 9",
        ),
    ];
    for (template, expected) in cases {
        let error = render(template).unwrap_err();
        assert_eq!(error.to_string(), expected, "{template}");
    }
}

#[test]
fn roots_of_templates() {
    let cases: [(&str, &[&str]); 8] = [
        (
            "{{range .Updated.Images}}{{println .Name}}{{end}}{{$.Values.x}}",
            &[".Updated.Images", ".Values.x"],
        ),
        (
            "{{with .Changed}}{{range .Changes}}{{.OldValue}}{{end}}{{end}}",
            &[".Changed", ".Changed.Changes"],
        ),
        (
            "{{$u := .Updated}}{{$u.Files | len}}",
            &[".Updated", ".Updated.Files"],
        ),
        ("{{(.A).B}}{{(.C | upper).D}}", &[".A", ".A.B", ".C"]),
        (
            "{{define \"t\"}}{{.Images}}{{end}}{{template \"t\" .Updated}}",
            &[".Updated", ".Updated.Images"],
        ),
        (
            "{{define \"t\"}}{{template \"t\" .A}}{{end}}{{template \"u\" .B}}",
            &[".B"],
        ),
        (
            "{{if eq .A \"x\"}}{{.B}}{{else}}{{index .C 0}}{{end}}",
            &[".A", ".B", ".C"],
        ),
        (
            "{{range $i, $x := .L}}{{$x.Y}}{{else}}{{.Z}}{{end}}{{.}}",
            &[".L", ".Z"],
        ),
    ];
    for (template, expected) in cases {
        assert_eq!(
            Template::parse(template).unwrap().roots(),
            expected,
            "{template}"
        );
    }
    let endless = "{{define \"t\"}}{{template \"t\" .A}}{{end}}{{template \"t\" .}}";
    assert!(!Template::parse(endless).unwrap().roots().is_empty());
}

/// Pieces of templates, so that random texts get beyond the lexer.
fn piece() -> impl Strategy<Value = String> {
    let fixed = [
        "{{",
        "}}",
        "{{- ",
        " -}}",
        "(",
        ")",
        "|",
        " ",
        "\n",
        ".",
        "$",
        ":=",
        "=",
        ",",
        "\"",
        "`",
        "if ",
        "else ",
        "end",
        "range ",
        "with ",
        "template \"a\" ",
        "define \"a\"",
        "block \"a\" ",
        "break",
        "continue",
        "nil",
        "true",
        "1",
        "-1",
        "1.5",
        "99999999999",
        "'x'",
        "\"text\"",
        ".S",
        ".L",
        ".M",
        ".A.l",
        ".R.Inner",
        ".ID",
        "$x",
        "$x := ",
        "{{end}}",
        "{{else}}",
        "{{range .L}}",
        "{{if .B}}",
        "{{range $i, $x := .A}}",
        "{{with .R}}",
        "{{.}}",
        "text",
        "\"%5d %v %s\"",
        "\"(a*)*\"",
    ];
    let functions: Vec<&'static str> = functions::names().collect();
    prop_oneof![
        4 => proptest::sample::select(fixed.to_vec()).prop_map(str::to_owned),
        3 => proptest::sample::select(functions).prop_map(|name| format!(" {name} ")),
        1 => ".{0,3}",
    ]
}

/// An action that calls a function with arguments of any type.
fn action() -> impl Strategy<Value = String> {
    let functions: Vec<&'static str> = functions::names().collect();
    let args = [
        ".S",
        ".U",
        ".I",
        ".F",
        ".B",
        ".L",
        ".N",
        ".E",
        ".M",
        ".A",
        ".IM",
        ".R",
        ".ID",
        "nil",
        "0",
        "1",
        "-1",
        "3",
        "9223372036854775807",
        "-9223372036854775808",
        "1e300",
        "\"\"",
        "\"a\"",
        "\"%[1]*.*d%q%x\"",
        "\"\u{e9}\"",
        "(list)",
        "(list 1 \"a\" nil)",
        "(dict)",
        "\"x{2}|(y)\"",
        "\"${1}$1$$\"",
    ];
    let args = proptest::collection::vec(proptest::sample::select(args.to_vec()), 0..4);
    (proptest::sample::select(functions), args)
        .prop_map(|(function, args)| format!("{{{{{function} {}}}}}", args.join(" ")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_text_never_panics(pieces in proptest::collection::vec(piece(), 0..40)) {
        let text = pieces.concat();
        if let Ok(template) = Template::parse(&text) {
            let _ = template.roots();
            let _ = template.render(&data());
        }
    }

    #[test]
    fn random_calls_never_panic(actions in proptest::collection::vec(action(), 1..4)) {
        for text in actions {
            let _ = render(&text);
        }
    }

    #[test]
    fn text_without_actions_is_kept(text in "[^{]*") {
        prop_assert_eq!(render(&text), Ok(text));
    }
}
