//! `docs/commands.md` is what the program says about itself.

use std::path::Path;

#[test]
fn the_page_about_commands_is_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/commands.md");
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        written == kubectl_flux::docs::markdown(),
        "docs/commands.md is out of date: cargo run -p kubectl-flux --example commands"
    );
}
