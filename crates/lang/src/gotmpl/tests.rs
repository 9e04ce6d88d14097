//! What Go answers, and what no template may do.

use std::time::Duration;

use proptest::prelude::*;

use super::limits::{MAX_DEPTH, MAX_OUTPUT};
use super::{Map, Struct, Template, TemplateError, Value, functions};

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

/// Renders on a thread with less than half the stack that the runtime's have, in the time allowed.
fn bounded(text: String) -> Result<String, TemplateError> {
    let thread = std::thread::Builder::new().stack_size(768 * 1024);
    let run = move || {
        let result = Template::parse(&text).and_then(|template| {
            let _ = template.roots();
            template.render(&data())
        });
        (result, processor_time())
    };
    let (result, took) = thread.spawn(run).unwrap().join().unwrap();
    // Unoptimized; a tenth of it otherwise.
    assert!(took < Duration::from_secs(2), "took {took:?}");
    result
}

/// What the calling thread has had of a processor: on a busy machine less than what went by.
fn processor_time() -> Duration {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let running = times.split(' ').next().unwrap();
    Duration::from_nanos(running.parse().unwrap())
}

#[test]
fn bombs_end_in_errors() {
    let nested = |open: &str, close: &str, n: usize| open.repeat(n) + "x" + &close.repeat(n);
    let doubled =
        |step: &str| format!("{{{{$x := list 1 2 3}}}}{{{{range 100}}}}{step}{{{{end}}}}");
    let bombs = [
        "{{range 1000000000000}}{{end}}".to_owned(),
        "{{range 1000000}}{{range 1000000}}{{range 1000000}}{{end}}{{end}}{{end}}".to_owned(),
        "{{range 1000000}}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{{end}}".to_owned(),
        "{{define \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}".to_owned(),
        "{{define \"a\"}}{{template \"a\" .}}{{template \"a\" .}}{{end}}{{template \"a\"}}"
            .to_owned(),
        format!(
            "{{{{define \"a\"}}}}{}{{{{template \"a\" .X}}}}{}{{{{end}}}}{{{{template \"a\" .}}}}",
            "{{if true}}".repeat(MAX_DEPTH - 2),
            "{{end}}".repeat(MAX_DEPTH - 2)
        ),
        "{{define \"a\"}}{{range 9}}{{template \"b\"}}{{end}}{{end}}\
         {{define \"b\"}}{{range 9}}{{template \"a\"}}{{end}}{{end}}{{template \"a\"}}"
            .to_owned(),
        nested("{{if true}}", "{{end}}", 2000),
        nested("{{range 1}}", "{{end}}", 2000),
        nested("{{block \"a\" 1}}", "{{end}}", 2000),
        format!("{{{{{}1{}}}}}", "(".repeat(2000), ")".repeat(2000)),
        "{{repeat 1000000000000 \"x\"}}".to_owned(),
        "{{repeat 9223372036854775807 .S}}".to_owned(),
        "{{$x := repeat 1000000 \"x\"}}{{replace \"x\" $x $x}}".to_owned(),
        "{{$x := repeat 1000000 \"x\"}}{{regexReplaceAll \"x\" $x $x}}".to_owned(),
        "{{$x := repeat 100000 \"\\n\"}}{{indent 100000 $x}}".to_owned(),
        "{{until 1000000000}}".to_owned(),
        "{{untilStep 0 9223372036854775807 1}}".to_owned(),
        "{{range 99}}{{printf \"%10000d\" 1}}{{end}}".to_owned(),
        "{{$x := \"x\"}}{{range 100}}{{$x = print $x $x}}{{end}}".to_owned(),
        "{{$x := \"x\"}}{{range 100}}{{$x = printf \"%q%q\" $x $x}}{{end}}".to_owned(),
        doubled("{{$x = concat $x $x}}"),
        doubled("{{$x = list $x $x}}"),
        doubled("{{$x = dict \"a\" $x \"b\" $x}}"),
        "{{$x := list}}{{range 40}}{{$x = list $x $x}}{{end}}{{$x}}".to_owned(),
        "{{$x := list}}{{range 40}}{{$x = list $x $x}}{{end}}{{toJson $x}}".to_owned(),
        "{{$x := list}}{{$y := list}}{{range 40}}{{$x = list $x $x}}{{$y = list $y $y}}{{end}}\
         {{has $x (list $y)}}"
            .to_owned(),
        "{{$x := until 2000}}{{uniq $x}}".to_owned(),
        "{{$x := repeat 100000 \"x\"}}{{range 100000}}{{$y := sha256sum $x}}{{end}}".to_owned(),
        "{{$x := repeat 100000 \"x\"}}{{regexMatch \"(x+x+)+y\" $x}}".to_owned()
            + "{{range 100000}}{{$y := regexMatch \"(x+x+)+y\" $x}}{{end}}",
        "{{range until 100}}{{$y := regexMatch (printf \"a{%d}\" .) \"x\"}}{{end}}".to_owned(),
        "{{$x := repeat 40000 \"x\"}}{{regexReplaceAll \".*\" $x (repeat 1000000 \"$0\")}}"
            .to_owned(),
        "{{trimAll (print (repeat 1000000 \"x\") \"y\") (repeat 1000000 \"y\")}}".to_owned(),
        format!(
            "{{{{$x := repeat 1000000 \"x\"}}}}{{{{dict {}}}}}",
            "$x ".repeat(20_000)
        ),
        format!(
            "{{{{$x := list (repeat 1000000 \"x\")}}}}{{{{toStrings (list {})}}}}",
            "$x ".repeat(20_000)
        ),
        format!(
            "{{{{$x := repeat 1000000 \"x\"}}}}{{{{cat {}}}}}",
            "$x ".repeat(20_000)
        ),
        format!(
            "{{{{$x := repeat 1000000 \"x\"}}}}{{{{quote {}}}}}",
            "$x ".repeat(20_000)
        ),
        "{{$t := \"\"}}{{range 100}}{{$t = print $t (sha256sum (print .))}}{{end}}\
         {{range 99}}{{regexMatch \"[0-7][0-9a-f]{200}[g-z]\" $t}}{{end}}"
            .to_owned(),
        "{{regexMatch \"\\\\pL{1000}\" \"x\"}}".to_owned(),
        "{{regexMatch \"((a{100}){100}){100}\" \"x\"}}".to_owned(),
        "{{$x := repeat 50000 \"$\"}}{{trimAll $x $x}}".to_owned()
            + &"{{$y := trimAll $x $x}}".repeat(100),
    ];
    for bomb in bombs {
        let shown: String = bomb.chars().take(90).collect();
        assert!(bounded(bomb).is_err(), "{shown}");
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
    assert_eq!(bounded(text), Ok(String::new()));
    let parentheses = format!(
        "{{{{{}1{}}}}}",
        "add 1 (".repeat(MAX_DEPTH - 1),
        ")".repeat(MAX_DEPTH - 1)
    );
    assert_eq!(bounded(parentheses), Ok(MAX_DEPTH.to_string()));
    let long = format!(
        "{{{{if false}}}}{}{{{{end}}}}",
        "{{else if 0}}".repeat(4000)
    );
    assert_eq!(bounded(long), Ok(String::new()));
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
