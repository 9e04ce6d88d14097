//! `preview`, as it is typed: what is printed, what is written, and the exit codes.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

fn flux(dir: &Path, args: &[&str]) -> Output {
    command(dir, args).output().unwrap()
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-flux"));
    command
        .args(args)
        .current_dir(dir)
        .env("KUBECONFIG", "/nonexistent")
        .env_remove("FLUX_SYSTEM_NAMESPACE");
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let file = dir.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }
    dir
}

const POLICY: &str = "\
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: app, namespace: ns}
spec:
  imageRepositoryRef: {name: app}
  filterTags: {pattern: '^v?(?P<v>.+)$', extract: $v}
  policy: {semver: {range: '>=1.0.0'}}
";

#[test]
fn a_policy_and_a_file_of_tags() {
    let dir = folder(&[
        ("policy.yaml", POLICY),
        ("tags", "v1.0.0\n2.0.0\nlatest\n2.1.0-rc.1\n0.9.0\n"),
    ]);
    let args = [
        "preview",
        "image-policy",
        "-f",
        "policy.yaml",
        "--tags",
        "tags",
    ];
    let output = flux(dir.path(), &[&args[..], &["-o", "json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let answer = json_of(&output);
    assert_eq!(answer["selected"], "2.0.0");
    assert_eq!(
        answer["candidates"],
        json!([{"tag": "2.0.0", "key": "2.0.0"}, {"tag": "v1.0.0", "key": "1.0.0"}])
    );
    let reasons = answer["rejected"].as_array().unwrap();
    assert_eq!(reasons.len(), 3);
    assert_eq!(answer["error"], Value::Null);
    let output = flux(dir.path(), &args);
    let shown = text(&output.stdout);
    assert!(
        shown.starts_with("selected: 2.0.0\nnext best: v1.0.0 (key 1.0.0)\nout: 3\n"),
        "{shown}"
    );

    // From standard input; nothing selected.
    let mut child = command(
        dir.path(),
        &["preview", "image-policy", "-fpolicy.yaml", "--tags=-"],
    )
    .stdin(Stdio::piped())
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    child.stdin.take().unwrap().write_all(b"0.1.0\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).starts_with("selected: nothing\nerror: unable to determine"));
}

#[test]
fn the_exclusion_list_comes_with_the_image_repository() {
    let repository = "---\napiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\n\
        metadata: {name: app, namespace: ns}\nspec: {image: app, interval: 1m, exclusionList: ['^2']}\n";
    let dir = folder(&[
        ("both.yaml", &format!("{POLICY}{repository}")),
        (
            "bare.yaml",
            "spec:\n  policy: {alphabetical: {order: asc}}\n",
        ),
        ("tags", "1.0.0\n2.0.0\n"),
    ]);
    let selected = |file: &str| {
        let args = [
            "preview",
            "image-policy",
            "--tags",
            "tags",
            "-o",
            "json",
            "-f",
            file,
        ];
        json_of(&flux(dir.path(), &args))
    };
    let answer = selected("both.yaml");
    assert_eq!(answer["selected"], "1.0.0");
    assert_eq!(
        answer["rejected"],
        json!([{"tag": "2.0.0", "reason": "excluded by spec.exclusionList pattern '^2'"}])
    );
    assert_eq!(selected("bare.yaml")["selected"], "2.0.0");
}

#[test]
fn misuse_of_a_preview_ends_with_2() {
    let dir = folder(&[
        ("policy.yaml", POLICY),
        ("two.yaml", &format!("{POLICY}---\n{POLICY}")),
        ("broken.yaml", "a: b: c\n"),
        ("tags", "1.0.0\n"),
    ]);
    let cases: [&[&str]; 13] = [
        &["image-policy"],
        &["image-policy", "-f", "none.yaml", "--tags", "tags"],
        &["image-policy", "-f", "broken.yaml", "--tags", "tags"],
        &["image-policy", "-f", "two.yaml", "--tags", "tags"],
        &["image-policy", "-f", "policy.yaml", "--tags", "none"],
        &["image-policy", "-f", "policy.yaml"],
        &[
            "image-policy",
            "-f",
            "policy.yaml",
            "--tags",
            "tags",
            "-o",
            "yaml",
        ],
        &["image-policy", "-f", "policy.yaml", "--bogus"],
        &["image-update"],
        &["image-update", "none"],
        &["image-update", ".", "--policy", "app=app:1"],
        &["image-update", ".", "-o", "text"],
        &["image-update", ".", "--path", "none"],
    ];
    for case in cases {
        let output = flux(dir.path(), &[&["preview"], case].concat());
        assert_eq!(output.status.code(), Some(2), "{case:?}");
        assert!(output.stdout.is_empty(), "{case:?}");
        assert!(text(&output.stderr).starts_with('\u{2717}'), "{case:?}");
    }
    // Other commands keep Flux's code.
    let output = flux(dir.path(), &["create", "--bogus"]);
    assert_eq!(output.status.code(), Some(1));
}

const DEPLOYMENT: &str = "apiVersion: apps/v1\r\nkind: Deployment\r\nspec:\r\n\
    \u{20} image: reg.io/app:1 # {\"$imagepolicy\": \"ns:app\"}\r\n\r\n\
    \u{20} tag: \"1\" # {\"$imagepolicy\": \"ns:app:tag\"}\r\n\
    \u{20} other: x # {\"$imagepolicy\": \"ns:none\"}\r\n";

#[test]
fn an_update_of_a_folder() {
    let dir = folder(&[
        ("apps/app.yaml", DEPLOYMENT),
        (
            "apps/broken.yaml",
            "a: b: c # {\"$imagepolicy\": \"ns:app\"}\n",
        ),
        ("other/app.yaml", "i: x # {\"$imagepolicy\": \"ns:app\"}\n"),
        (".git/app.yaml", "i: x # {\"$imagepolicy\": \"ns:app\"}\n"),
    ]);
    let args = [
        "preview",
        "image-update",
        ".",
        "--policy",
        "ns/app=reg.io/app:2",
        "--path",
        "./apps",
        "--template",
        "{{range .Changed.Changes}}{{.OldValue}} -> {{.NewValue}}\n{{end}}",
    ];
    let json_args = [&args[..], &["-o", "json"]].concat();
    let output = flux(dir.path(), &json_args);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let answer = json_of(&output);
    assert_eq!(
        answer["changes"],
        json!([
            {"file": "apps/app.yaml", "line": 4, "old": "reg.io/app:1", "new": "reg.io/app:2",
             "policy": "ns:app"},
            {"file": "apps/app.yaml", "line": 6, "old": "1", "new": "2", "policy": "ns:app:tag"},
        ])
    );
    let skipped: Vec<_> = answer["skipped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| (s["file"].as_str().unwrap(), s["line"].as_u64().unwrap()))
        .collect();
    assert_eq!(
        skipped,
        [
            ("apps/app.yaml", 7),
            ("apps/broken.yaml", 0),
            ("other/app.yaml", 1)
        ]
    );
    assert_eq!(answer["message"], "reg.io/app:1 -> reg.io/app:2\n1 -> 2\n");

    let output = flux(dir.path(), &args);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout);
    let diff = "--- a/apps/app.yaml\n+++ b/apps/app.yaml\n@@ -1,7 +1,7 @@\n";
    assert!(shown.starts_with(diff), "{shown}");
    assert!(
        shown.contains("apps/app.yaml:7 ns:none skipped: there is no"),
        "{shown}"
    );
    assert_eq!(
        fs::read_to_string(dir.path().join("apps/app.yaml")).unwrap(),
        DEPLOYMENT
    );

    let output = flux(dir.path(), &[&args[..], &["--write"]].concat());
    assert_eq!(output.status.code(), Some(0));
    let expected = DEPLOYMENT
        .replace("app:1", "app:2")
        .replace("\"1\"", "\"2\"");
    assert_eq!(
        fs::read_to_string(dir.path().join("apps/app.yaml")).unwrap(),
        expected
    );
    assert_eq!(fs::read_dir(dir.path().join("apps")).unwrap().count(), 2);
    let output = flux(dir.path(), &json_args);
    assert_eq!(output.status.code(), Some(0), "nothing left to do");
    assert_eq!(json_of(&output)["changes"], json!([]));
    assert_eq!(json_of(&output)["message"], Value::Null);
}

#[test]
fn policies_of_a_file_have_their_status() {
    let policies = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: image.toolkit.fluxcd.io/v1\n  \
        kind: ImagePolicy\n  metadata: {name: app, namespace: ns}\n  \
        status: {latestRef: {name: reg.io/app, tag: '3', digest: 'sha256:ab'}}\n\
        - apiVersion: image.toolkit.fluxcd.io/v1\n  kind: ImagePolicy\n  \
        metadata: {name: none, namespace: ns}\n";
    let dir = folder(&[("p.yaml", policies), ("apps/app.yaml", DEPLOYMENT)]);
    let args = [
        "preview",
        "image-update",
        "apps",
        "-f",
        "p.yaml",
        "-o",
        "json",
    ];
    let answer = json_of(&flux(dir.path(), &args));
    assert_eq!(answer["changes"][0]["new"], "reg.io/app:3@sha256:ab");
    let reason = answer["skipped"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("has not selected"), "{reason}");
}
