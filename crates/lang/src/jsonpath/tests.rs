use serde_json::json;

use super::Template;

fn list() -> serde_json::Value {
    json!({
        "kind": "List",
        "items": [
            {"metadata": {"name": "a", "annotations": {"x.io/why": "fair"}},
             "status": {"conditions": [
                {"type": "Ready", "status": "True"}, {"type": "Stalled", "status": "False"}]},
             "spec": {"weight": 3, "suspend": true}},
            {"metadata": {"name": "b"}, "spec": {"weight": 10, "tags": ["x", "y", "z"]}},
        ],
    })
}

#[test]
fn templates() {
    for (template, expected) in [
        ("{.kind}", "List"),
        ("{$.kind}", "List"),
        ("{.items[*].metadata.name}", "a b"),
        ("{.items[0].metadata.name}", "a"),
        ("{.items[-1].metadata.name}", "b"),
        ("{.items[7].metadata.name}", ""),
        ("{.items[0:1].metadata.name}", "a"),
        ("{.items[1].spec.tags[::2]}", "x z"),
        ("{.items[0,1].spec.weight}", "3 10"),
        ("{.items[1]['metadata','kind']}", r#"{"name":"b"}"#),
        ("{..name}", "a b"),
        ("{.items[1].spec.tags}", r#"["x","y","z"]"#),
        ("{.items[1].metadata.*}", "b"),
        ("{.items[0].metadata.annotations.x\\.io/why}", "fair"),
        ("{.items[0].metadata.annotations['x.io/why']}", "fair"),
        ("{.items[?(@.spec.weight>5)].metadata.name}", "b"),
        ("{.items[?(@.spec.suspend==true)].metadata.name}", "a"),
        ("{.items[?(@.spec.tags)].metadata.name}", "b"),
        (
            "{.items[*].status.conditions[?(@.type=='Ready')].status}",
            "True",
        ),
        (
            r#"{range .items[*]}{.metadata.name}{"\t"}{.spec.weight}{"\n"}{end}"#,
            "a\t3\nb\t10\n",
        ),
        (
            "{range .items[*]}{$.kind}/{.metadata.name} {end}",
            "List/a List/b ",
        ),
        ("name: {.items[0].metadata.name}!", "name: a!"),
        ("{.nothing}", ""),
        ("{.items[0].metadata.name} {.kind}", "a List"),
    ] {
        let parsed = Template::parse(template);
        assert_eq!(
            parsed.map(|template| template.render(&list())),
            Ok(expected.to_owned()),
            "{template}"
        );
    }
}

#[test]
fn relaxed_paths() {
    for path in ["metadata.name", ".metadata.name", "{.metadata.name}"] {
        let template = Template::parse_relaxed(path).unwrap();
        assert_eq!(template.values(&list()["items"][0]), ["a"], "{path}");
    }
    let none = Template::parse_relaxed(".metadata.labels").unwrap();
    assert!(none.values(&list()["items"][0]).is_empty());
}

#[test]
fn mistakes_have_a_place() {
    for (template, expected) in [
        ("{.a", "} is missing at character 4"),
        (
            "{metadata}",
            "a path begins with a dot, such as {.metadata.name} at character 2",
        ),
        ("{range .a}x", "{end} is missing at character 12"),
        ("{end}", "{end} without {range} at character 1"),
        (
            "{.a[}",
            "a number, a name in quotes, * or a filter is missing at character 5",
        ),
        ("{.a[1}", "] is missing at character 6"),
        (
            "{.a[?(@.b==)]}",
            "a path, a number, true, false or a text in quotes is missing at character 12",
        ),
        ("{.a[::-1]}", "the step must be positive at character 9"),
        ("{\"x}", "a quotation mark is missing at character 5"),
    ] {
        assert_eq!(
            Template::parse(template).unwrap_err().to_string(),
            expected,
            "{template}"
        );
    }
}
