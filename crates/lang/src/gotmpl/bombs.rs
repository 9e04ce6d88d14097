//! Templates that ask for more than there is: for the tests, and for an example that takes the time.

/// Each ends in an error, because of a limit. `depth` is the deepest nesting that is allowed.
pub(super) fn all(depth: usize) -> Vec<String> {
    let nested = |open: &str, close: &str, n: usize| open.repeat(n) + "x" + &close.repeat(n);
    let doubled =
        |step: &str| format!("{{{{$x := list 1 2 3}}}}{{{{range 100}}}}{step}{{{{end}}}}");
    vec![
        "{{range 1000000000000}}{{end}}".to_owned(),
        "{{range 1000000}}{{range 1000000}}{{range 1000000}}{{end}}{{end}}{{end}}".to_owned(),
        "{{range 1000000}}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{{end}}".to_owned(),
        "{{define \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}".to_owned(),
        "{{define \"a\"}}{{template \"a\" .}}{{template \"a\" .}}{{end}}{{template \"a\"}}"
            .to_owned(),
        format!(
            "{{{{define \"a\"}}}}{}{{{{template \"a\" .}}}}{}{{{{end}}}}{{{{template \"a\" .}}}}",
            "{{if true}}".repeat(depth - 2),
            "{{end}}".repeat(depth - 2)
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
    ]
}
