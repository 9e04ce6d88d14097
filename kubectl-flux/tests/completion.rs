//! `completion --install` in a home of its own, and the scripts in real shells.
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

/// What a person has typed, and what the shell makes of it at the tabulator key.
const TYPED: &[(&str, &str)] = &[
    ("kubectl-flux ver", "kubectl-flux version"),
    ("kubectl-flux get so", "kubectl-flux get sources"),
    (
        "kubectl-flux get all --not-r",
        "kubectl-flux get all --not-ready",
    ),
    (
        "kubectl-flux get all --color=al",
        "kubectl-flux get all --color=always",
    ),
    (
        "kubectl-flux create secret git a --ssh-key-algorithm r",
        "kubectl-flux create secret git a --ssh-key-algorithm rsa",
    ),
    (
        "kubectl-flux build ks a --kustomization-file sync.ya",
        "kubectl-flux build ks a --kustomization-file sync.yaml",
    ),
    (
        "kubectl-flux build ks a --kustomization-file=sync.ya",
        "kubectl-flux build ks a --kustomization-file=sync.yaml",
    ),
];

/// A shell in a folder with a file, where the program is in PATH and there is no cluster. None,
/// with a word, if the shell is not installed.
fn shell(name: &str, args: &[&str], folder: &Path) -> Option<Output> {
    let program = Path::new(env!("CARGO_BIN_EXE_kubectl-flux"));
    let system = std::env::var_os("PATH").unwrap();
    let mut path = vec![program.parent().unwrap().to_owned()];
    path.extend(std::env::split_paths(&system));
    fs::write(folder.join("sync.yaml"), "").unwrap();
    let output = Command::new(name)
        .args(args)
        .current_dir(folder)
        .env("PATH", std::env::join_paths(path).unwrap())
        .env("HOME", folder)
        .env("XDG_CONFIG_HOME", folder)
        .env("KUBECONFIG", "/nonexistent/config")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .output();
    match output {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: {name} is not installed");
            None
        }
        output => Some(output.unwrap()),
    }
}

/// The lines that a shell printed after each of the typed ones.
#[track_caller]
fn assert_completed(output: &Output, trim: fn(&str) -> &str) {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<_> = text.lines().map(trim).collect();
    let expected: Vec<_> = TYPED.iter().map(|(_, completed)| *completed).collect();
    assert_eq!(lines, expected, "{output:?}");
}

#[test]
fn bash_completes() {
    let folder = tempfile::tempdir().unwrap();
    // Words as readline breaks them, and its own handling of what is replaced.
    let mut script = "source <(kubectl-flux completion bash)\n\
        try() {\n\
          COMP_LINE=$1; COMP_POINT=${#1}; COMP_WORDBREAKS=$' =:'; _kubectl_flux\n\
          local word=${1##*[ =]}; echo \"${1%\"$word\"}${COMPREPLY[0]}\"\n\
        }\n"
    .to_owned();
    for (typed, _) in TYPED {
        script.push_str(&format!("try '{typed}'\n"));
    }
    if let Some(output) = shell("bash", &["--norc", "-c", &script], folder.path()) {
        assert_completed(&output, |line| line);
    }
}

#[test]
fn zsh_completes() {
    let folder = tempfile::tempdir().unwrap();
    // A terminal of its own: completion exists only where a line is edited.
    let mut script = "zmodload zsh/zpty\n\
        zpty inner zsh -f -i\n\
        send() { zpty -w inner \"$1\" }\n\
        send \"PS1= RPS1= PS2=; unset zle_bracketed_paste; autoload -U compinit; compinit -u -D\"\n\
        send 'kubectl-flux completion zsh > script; source ./script'\n\
        send 'show() { print -r -- $BUFFER >> lines; BUFFER=; print -r -- do\"\"ne }; zle -N show'\n\
        send \"bindkey '^X^X' show\"\n\
        send 'print -r -- rea\"\"dy'\n\
        zpty -r inner seen '*ready*'\n"
        .to_owned();
    for (typed, _) in TYPED {
        script.push_str(&format!(
            "zpty -n -w inner $'{typed}\\t\\C-x\\C-x'\nzpty -r inner seen '*done*'\n"
        ));
    }
    script.push_str("zpty -d inner\ncat lines\n");
    if let Some(output) = shell("zsh", &["-f", "-c", &script], folder.path()) {
        assert_completed(&output, str::trim_end);
    }
}

#[test]
fn fish_completes() {
    let folder = tempfile::tempdir().unwrap();
    let mut script = "kubectl-flux completion fish | source\n\
        function try\n\
          set -l found (complete -C $argv[1] | string split -f1 \\t)\n\
          set -l before (string replace -r '[^ ]*$' '' -- $argv[1])\n\
          echo -- $before$found[1]\n\
        end\n"
        .to_owned();
    for (typed, _) in TYPED {
        script.push_str(&format!("try '{typed}'\n"));
    }
    if let Some(output) = shell("fish", &["--no-config", "-c", &script], folder.path()) {
        assert_completed(&output, |line| line);
    }
}
