//! `docs/rules.md` is what the rules say.

use std::path::Path;

#[test]
fn the_catalogue_is_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rules.md");
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        written == flux_rules::markdown(),
        "docs/rules.md is out of date: cargo run -p flux-rules --example catalogue"
    );
}
