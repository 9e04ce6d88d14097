//! `manifests/crds/` is what the types say.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[test]
fn the_files_are_those_of_the_types() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/crds");
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(&directory).into_iter().flatten() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        found.insert(name, fs::read_to_string(entry.path()).unwrap());
    }
    let expected = flux_api::crd::files();
    let differing: Vec<_> = expected
        .keys()
        .chain(found.keys())
        .filter(|name| expected.get(*name) != found.get(*name))
        .collect();
    assert!(
        differing.is_empty(),
        "manifests/crds/ and the types of crates/api differ in {differing:?}; \
         run `cargo run -p flux-api --example crds` and commit what it writes"
    );
}
