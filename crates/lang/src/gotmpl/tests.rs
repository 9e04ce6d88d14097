use super::{Template, Value};

#[test]
fn renders() {
    let data = Value::map([("A", "x")]);
    let template = Template::parse("{{.A}} {{.B}}").unwrap();
    assert_eq!(template.render(&data).unwrap(), "x <no value>");
}
