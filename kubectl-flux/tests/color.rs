//! Colours of the built program: none into a pipe, unless they are wished for.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::process::Command;

/// What is said about a command that lacks a flag.
fn said(args: &[&str], no_color: Option<&str>) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-flux"))
        .args(["create", "source", "git", "a"])
        .args(args)
        .env_clear()
        .envs(no_color.map(|value| ("NO_COLOR", value)))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn symbols_alone_are_coloured() {
    const PLAIN: &str = "\u{2717} url is required\n";
    const RED: &str = "\u{1b}[31m\u{2717}\u{1b}[0m url is required\n";
    assert_eq!(said(&[], None), PLAIN);
    assert_eq!(said(&["--color=auto"], None), PLAIN);
    assert_eq!(said(&["--color", "always"], None), RED);
    assert_eq!(said(&["--color=always"], Some("1")), RED, "a flag is meant");
    assert_eq!(said(&["--color=never"], None), PLAIN);
    assert_eq!(
        said(&["--color=blue"], None),
        "\u{2717} invalid argument \"blue\" for \"--color\" flag: 'blue' not supported, must be \
         one of: auto, always, never\n"
    );
}
