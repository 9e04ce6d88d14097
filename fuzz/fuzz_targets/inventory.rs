//! Inventory ids: what is written is read as the same object.

#![no_main]

use flux_api::inventory::{ObjectId, ResourceRef};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(id) = text.parse::<ObjectId>() {
        assert!(!id.name.is_empty() && !id.kind.is_empty());
        let written = id.to_string();
        let again: ObjectId = written.parse().expect("what was written");
        assert_eq!(again.to_string(), written);
        // An underscore beside a colon is written like one on its other side.
        if !id.name.contains("_:") {
            assert_eq!(again, id);
        }
    }

    let mut fields = text.split('/').map(str::to_owned);
    let mut field = || fields.next().unwrap_or_default();
    let id = ObjectId {
        namespace: field(),
        name: field(),
        group: field(),
        kind: field(),
    };
    if text.contains('_') || id.name.is_empty() || id.kind.is_empty() {
        return;
    }
    let entry = ResourceRef::new(&id, "v1");
    assert_eq!(entry.object(), Ok(id));
});
