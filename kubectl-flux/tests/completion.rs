//! `completion --install` in a home of its own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

fn flux(args: &[&str], home: &Path, path: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kubectl-flux"))
        .args(args)
        .env_clear()
        .env("HOME", home)
        .env("PATH", path)
        .env("SHELL", "/bin/bash")
        .output()
        .unwrap()
}

#[test]
fn scripts_go_where_they_are_found() {
    let home = tempfile::tempdir().unwrap();
    let bin = home.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let path = format!("/nonexistent:{}", bin.display());
    let output = flux(&["completion", "--install"], home.path(), &path);
    assert!(output.status.success(), "{output:?}");
    let hook = bin.join("kubectl_complete-flux");
    let mode = fs::metadata(&hook).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111);
    assert!(fs::read_to_string(&hook).unwrap().contains("__complete"));
    let bash = ".local/share/bash-completion/completions/kubectl-flux";
    assert!(home.path().join(bash).exists());

    let output = flux(&["completion", "fish", "--install"], home.path(), &path);
    assert!(output.status.success(), "{output:?}");
    let fish = ".config/fish/completions/kubectl-flux.fish";
    assert!(home.path().join(fish).exists());

    let output = flux(&["completion", "--install"], home.path(), "/nonexistent");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("no folder of PATH can be written to"),
        "{said}"
    );
    let output = flux(&["completion"], home.path(), &path);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("needs one of these commands: bash"), "{said}");
}
