//! Templates of tenants: whatever they ask for, they end within the limits and always alike.

#![no_main]

use flux_fuzz::assert_line_of;
use flux_lang::gotmpl::{Map, Struct, Template, Value, limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(error) => return assert_line_of(text, error.line),
    };
    let roots = template.roots();
    assert!(roots.is_sorted());
    let data = data();
    let rendered = template.render(&data);
    match &rendered {
        Ok(output) => assert!(output.len() <= limits::MAX_OUTPUT),
        Err(error) => assert_line_of(text, error.line),
    }
    assert_eq!(template.render(&data), rendered);
});

/// A bit of everything, in the shape of the data of a commit message.
fn data() -> Value {
    let object = Struct::new("Object")
        .field("Name", "app")
        .field("Port", 80)
        .method("Ready", true)
        .display("ns/app");
    let images = Value::list(["a:1.0", "b:2.0"].map(Value::from));
    let numbers = Value::list([Value::from(-1), Value::from(2.5), Value::from(0)]);
    Struct::new("Data")
        .field("Object", object)
        .field("Images", images)
        .field("Numbers", numbers)
        .field(
            "Values",
            Map::new([("a".into(), "b".into())]).with_missing(""),
        )
        .method("Updated", Value::map([("f.yaml", "x"), ("g.yaml", "y")]))
        .into()
}
