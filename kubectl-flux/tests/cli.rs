//! The built program without a cluster: streams, exit codes, exported bytes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

#[path = "cli/exports.rs"]
mod exports;
#[path = "cli/manifests.rs"]
mod manifests;

/// The program in an environment without a cluster.
fn flux(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-flux"));
    command
        .args(args)
        .env_remove("FLUX_SYSTEM_NAMESPACE")
        .env_remove("FLUX_NS_FOLLOWS_KUBE_CONTEXT")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env("HOME", "/nonexistent")
        .env("KUBECONFIG", "/nonexistent/config");
    command
}

fn run(args: &[&str]) -> Output {
    flux(args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Runs an export and compares standard output byte by byte; gives standard error.
fn exports(golden: &str, args: &[&str]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(golden);
    let expected = std::fs::read_to_string(path).unwrap();
    let output = run(args);
    let stderr = text(&output.stderr).to_owned();
    assert!(output.status.success(), "{stderr}");
    assert_eq!(text(&output.stdout), expected);
    stderr
}

/// Runs a command that has to fail, with nothing on standard output.
fn fails(args: &[&str], message: &str) {
    let output = run(args);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
    assert!(
        stderr.contains(&format!("\u{2717} {message}")),
        "{args:?}: {stderr}"
    );
    assert_eq!(text(&output.stdout), "", "{args:?}");
}

#[test]
fn an_scp_address_becomes_a_url() {
    let output = run(&[
        "create",
        "source",
        "git",
        "x",
        "--url=git@github.com:o/r.git",
        "--branch=main",
        "--secret-ref=x",
        "--export",
    ]);
    assert!(output.status.success());
    assert!(text(&output.stdout).ends_with("  url: ssh://git@github.com/o/r.git\n"));
    assert!(text(&output.stderr).contains("using ssh://git@github.com/o/r.git"));
}

#[test]
fn mistakes_end_with_code_1_and_say_what_is_wrong() {
    fails(&["create", "source", "git", "--export"], "name is required");
    fails(
        &["create", "source", "git", "x", "--export"],
        "url is required",
    );
    fails(
        &[
            "create",
            "source",
            "git",
            "x",
            "--url=https://a/b",
            "--export",
        ],
        "a Git ref is required, use one of the following: --branch, --tag, --commit, --ref-name \
         or --tag-semver",
    );
    fails(
        &[
            "create",
            "source",
            "git",
            "x",
            "--url=ssh://a/b",
            "--branch=m",
            "--ca-file=f",
            "--export",
        ],
        "specifying a CA file is not supported for Git over SSH",
    );
    fails(&["create", "ks", "x", "--export"], "source is required");
    fails(
        &["create", "image", "repository", "x", "--export"],
        "an image repository (--image) is required",
    );
    fails(
        &[
            "create",
            "image",
            "repository",
            "x",
            "--image=a/b:v1",
            "--export",
        ],
        "unable to parse image value: ",
    );
    fails(
        &["create", "ks", "Foo", "--source=a"],
        "name 'Foo' is invalid, it should adhere to",
    );
    fails(
        &["get", "ks", "-n", "Foo"],
        "namespace must be a valid DNS label: \"Foo\"",
    );
    fails(
        &["get", "deployments"],
        "unknown command \"deployments\" for \"flux get\"",
    );
    fails(&["reconcile", "ks"], "Kustomization name is required");
    fails(
        &["events", "--types=Bad"],
        "type 'Bad' not supported. Supported types are Normal, Warning",
    );
    fails(
        &["events", "--for=pod/x"],
        "'pod' is not a recognized Flux kind",
    );
    fails(&["install"], "the images of v");
}

#[test]
fn names_that_kubernetes_accepts_are_accepted() {
    for name in ["a", "my.app"] {
        let output = run(&["create", "ks", name, "--source=a", "--export"]);
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
    }
}

#[test]
fn words_that_mean_nothing_are_named() {
    let output = run(&[
        "create",
        "ks",
        "x",
        "--source=a",
        "--prune",
        "true",
        "--export",
    ]);
    assert!(output.status.success());
    assert!(text(&output.stdout).contains("  prune: true\n"));
    assert!(text(&output.stderr).contains("ignored argument \"true\""));
}

#[test]
fn without_a_cluster_the_remedy_is_told() {
    fails(&["get", "all"], "no Kubernetes cluster is configured");
    fails(&["check"], "no Kubernetes cluster is configured");
    fails(
        &["get", "ks", "--server=https://127.0.0.1:1", "--timeout=5s"],
        "cannot talk to the API server at https://127.0.0.1:1/: ",
    );
}

#[test]
fn no_answer_is_told_from_a_bad_one() {
    for (args, code) in [
        (&["preview", "image-policy", "x"][..], 2),
        (&["preview", "image-policy", "x", "-n", "BAD"], 2),
        (&["diff", "ks", "x", "--path=/nonexistent"], 2),
        (&["-n", "BAD", "diff", "ks", "x", "--path=."], 2),
        (&["lint", "--all"], 2),
        (&["lint", "-", "-n", "BAD"], 2),
        (&["lint", "--bogus"], 2),
        (&["get", "ks", "-n", "BAD"], 1),
    ] {
        let output = run(args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains('\u{2717}'), "{args:?}: {stderr}");
    }
}

#[test]
fn the_namespace_comes_from_flag_environment_or_context() {
    let export = ["create", "ks", "x", "--source=a", "--export"];
    let namespace = |command: &mut Command| {
        let output = command.output().unwrap();
        let line = text(&output.stdout)
            .lines()
            .find(|line| line.contains("  namespace: "));
        line.unwrap().trim().to_owned()
    };
    assert_eq!(namespace(&mut flux(&export)), "namespace: flux-system");
    let mut by_environment = flux(&export);
    by_environment.env("FLUX_SYSTEM_NAMESPACE", "gitops");
    assert_eq!(namespace(&mut by_environment), "namespace: gitops");
    let mut by_flag = flux(&export);
    by_flag
        .env("FLUX_SYSTEM_NAMESPACE", "gitops")
        .args(["-n", "foo"]);
    assert_eq!(namespace(&mut by_flag), "namespace: foo");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let config = "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts:\n\
                  - name: a\n  context: {cluster: c, user: u, namespace: team-a}\n\
                  - name: b\n  context: {cluster: c, user: u, namespace: team-b}\n";
    std::fs::write(&file, config).unwrap();
    let mut by_context = flux(&export);
    // Files of the list that do not exist are skipped.
    by_context.env("KUBECONFIG", format!("/nonexistent/x:{}", file.display()));
    by_context.arg("--ns-follows-kube-context");
    assert_eq!(namespace(&mut by_context), "namespace: team-a");
    by_context.args(["--context", "b"]);
    assert_eq!(namespace(&mut by_context), "namespace: team-b");
}

#[test]
fn help_and_version_go_to_standard_output() {
    for args in [
        &["--help"][..],
        &["get", "--help"],
        &[],
        &["get"],
        &["--version"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(
            !output.stdout.is_empty() && output.stderr.is_empty(),
            "{args:?}"
        );
    }
    let version = format!("v{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        text(&run(&["version", "--client"]).stdout),
        format!("flux: {version}\n")
    );
    let json = run(&["version", "--client", "-o", "json"]);
    assert_eq!(
        text(&json.stdout),
        format!("{{\n  \"flux\": \"{version}\"\n}}\n")
    );
}

#[test]
fn the_version_is_told_at_once() {
    // The reach for a release build is 10 ms; a debug build on a busy machine is given more, which
    // still notices a client or a runtime that is started for nothing.
    let quickest = (0..10)
        .map(|_| {
            let start = Instant::now();
            run(&["version", "--client"]);
            start.elapsed()
        })
        .min();
    assert!(quickest < Some(Duration::from_millis(60)), "{quickest:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    use std::process::Stdio;
    let mut child = flux(&["install", "--export"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn completion_scripts_and_candidates() {
    for shell in ["bash", "zsh", "fish", "powershell", "kubectl"] {
        let output = run(&["completion", shell]);
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("__complete"), "{shell}");
    }
    let candidates = |words: &[&str]| {
        let mut args = vec!["__complete"];
        args.extend(words);
        text(&run(&args).stdout).to_owned()
    };
    assert!(candidates(&["re"]).starts_with("reconcile\t"));
    assert!(candidates(&["get", "ima"]).starts_with("images\t"));
    assert!(candidates(&["get", "--all-n"]).starts_with("--all-namespaces\t"));
    assert_eq!(
        candidates(&["create", "image", "policy", "x", "--select-numeric", ""]),
        "asc\ndesc\n:4\n"
    );
    assert_eq!(
        candidates(&["create", "image", "policy", "--select-alpha=d"]),
        "--select-alpha=desc\n:4\n"
    );
    assert_eq!(
        candidates(&["get", "ks", ""]),
        ":4\n",
        "no cluster, no names, no noise"
    );
}

#[test]
fn installed_manifests_fit_the_flags() {
    let output = run(&[
        "install",
        "--export",
        "--registry=localhost:5000",
        "-n",
        "gitops",
    ]);
    assert!(output.status.success());
    let manifests = text(&output.stdout);
    assert!(manifests.starts_with("---\n# "));
    let image = format!(
        "image: localhost:5000/sync-operator:v{}\n",
        env!("CARGO_PKG_VERSION")
    );
    assert!(manifests.contains(&image));
    assert!(manifests.contains("kind: CustomResourceDefinition\n"));
    assert!(manifests.contains("  namespace: gitops\n"));
}
