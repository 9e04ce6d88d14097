//! `lint` and `explain` as they are called from a shell and by a continuous integration.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "api/mod.rs"]
mod api;

use api::{Api, list, refusal};

const SCP: &str = "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata:\n  name: app\n  namespace: apps\nspec:\n  interval: 5m\n  url: git@github.com:org/app # ours\n  ref: {branch: main}\n  secretRef: {name: key}\n";
const GOOD: &str = "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\nmetadata:\n  name: app\nspec:\n  image: ghcr.io/org/app\n  interval: 5m\n";

fn flux(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-flux"));
    command
        .args(args)
        .current_dir(folder)
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env("KUBECONFIG", "/nonexistent/config");
    command
}

fn run(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    told(flux(folder, args).output().unwrap())
}

fn told(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn a_finding_is_shown_where_it_is() {
    let folder = folder(&[("apps/source.yaml", SCP), ("good.yaml", GOOD)]);
    let (code, out, err) = run(folder.path(), &["lint", "."]);
    assert_eq!(code, Some(1), "{err}");
    assert_eq!(
        out,
        "error[GR01]: spec.url \"git@github.com:org/app\" is an scp-style address, which Flux does not accept. Write \"ssh://git@github.com/org/app\".\n \
         --> apps/source.yaml:8:8  GitRepository/apps/app\n  \
         |\n\
         8 |   url: git@github.com:org/app # ours\n  \
         |        ^^^^^^^^^^^^^^^^^^^^^^\n  \
         = fix: ssh://git@github.com/org/app\n\n"
    );
    assert_eq!(err, "1 error in 2 files\n");
}

#[test]
fn exit_codes_tell_clean_found_and_misused_apart() {
    let warning = GOOD.replace("  interval: 5m\n", "");
    let folder = folder(&[
        ("good.yaml", GOOD),
        ("warn.yaml", &warning),
        ("bad.yaml", SCP),
    ]);
    let table: [(&[&str], i32); 8] = [
        (&["lint", "good.yaml"], 0),
        (&["lint", "warn.yaml"], 0),
        (&["lint", "--strict", "warn.yaml"], 1),
        (&["lint", "bad.yaml"], 1),
        (&["lint"], 2),
        (&["lint", "missing.yaml"], 2),
        (&["lint", "-o", "xml", "good.yaml"], 2),
        (&["lint", "--all", "good.yaml"], 2),
    ];
    for (args, expected) in table {
        let (code, _, err) = run(folder.path(), args);
        assert_eq!(code, Some(expected), "{args:?}: {err}");
    }
}

#[test]
fn programs_read_the_same_in_their_formats() {
    let folder = folder(&[("bad.yaml", SCP)]);
    let (_, out, err) = run(folder.path(), &["lint", "-o", "json", "bad.yaml"]);
    assert_eq!(err, "");
    let json: Value = serde_json::from_str(&out).unwrap();
    let finding = json["findings"][0].as_object().unwrap();
    let mut keys: Vec<&str> = finding.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "column", "file", "fix", "line", "message", "object", "path", "rule", "severity"
        ]
    );
    assert_eq!(
        (&finding["severity"], &finding["line"]),
        (&"error".into(), &8.into())
    );
    assert_eq!(finding["path"], "spec.url");

    let (_, out, _) = run(folder.path(), &["lint", "-o", "github", "bad.yaml"]);
    assert!(
        out.starts_with("::error file=bad.yaml,line=8,col=8,title=GR01::spec.url"),
        "{out}"
    );

    let (_, out, _) = run(folder.path(), &["lint", "-o", "sarif", "bad.yaml"]);
    let sarif: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "GR01");
    let region = &result["locations"][0]["physicalLocation"]["region"];
    assert_eq!(region["startLine"], 8);
    assert_eq!(sarif["runs"][0]["tool"]["driver"]["rules"][0]["id"], "GR01");
}

#[test]
fn fixes_are_written_into_the_files() {
    let folder = folder(&[("bad.yaml", SCP)]);
    let (code, out, err) = run(folder.path(), &["lint", "--fix", "bad.yaml"]);
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    let fixed = fs::read_to_string(folder.path().join("bad.yaml")).unwrap();
    assert_eq!(
        fixed,
        SCP.replace("git@github.com:org/app", "ssh://git@github.com/org/app")
    );
}

#[test]
fn known_findings_are_left_out_until_there_are_more() {
    let folder = folder(&[("bad.yaml", SCP)]);
    let path = folder.path();
    let write = run(
        path,
        &["lint", "--write-baseline", "known.json", "bad.yaml"],
    );
    assert_eq!(write.0, Some(0), "{write:?}");
    // Lines may move, the finding stays known.
    fs::write(path.join("bad.yaml"), format!("# moved\n{SCP}")).unwrap();
    let same = run(path, &["lint", "--baseline", "known.json", "bad.yaml"]);
    assert_eq!((same.0, same.1.as_str()), (Some(0), ""));
    assert!(same.2.contains("1 known from the baseline"), "{same:?}");
    let worse = SCP.replace("5m", "1d");
    fs::write(path.join("bad.yaml"), worse).unwrap();
    let more = run(path, &["lint", "--baseline", "known.json", "bad.yaml"]);
    assert_eq!(more.0, Some(1));
    assert!(
        more.1.contains("GR31") && !more.1.contains("GR01"),
        "{more:?}"
    );
}

#[test]
fn standard_input_is_a_file_too() {
    let folder = folder(&[]);
    let mut child = flux(folder.path(), &["lint", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(SCP.as_bytes())
        .unwrap();
    let (code, out, _) = told(child.wait_with_output().unwrap());
    assert_eq!(code, Some(1));
    assert!(out.contains("--> -:8:8"), "{out}");
}

#[test]
fn what_is_no_manifest_by_its_place_is_not_read() {
    let folder = folder(&[
        (".sourceignore", "ignored/\n"),
        ("ignored/a.yaml", SCP),
        (".hidden/a.yaml", SCP),
        ("chart/Chart.yaml", "apiVersion: v2\nname: a\n"),
        ("chart/templates/a.yaml", "{{ if .x }}\napiVersion: v1\n"),
        ("notes.txt", "a: b: c"),
        (
            "a/kustomization.yaml",
            "resources: [app.yaml]\npatches: [{path: p.yaml}]\n",
        ),
        (
            "a/p.yaml",
            "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: a}\nspec: {interval: 1m}\n",
        ),
        ("a/app.yaml", GOOD),
    ]);
    let (code, out, err) = run(folder.path(), &["lint", "."]);
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    assert!(err.contains("4 files: nothing found"), "{err}");
    // What is named is read.
    assert_eq!(run(folder.path(), &["lint", "ignored/a.yaml"]).0, Some(1));
}

#[test]
fn overlays_are_built_and_findings_lead_to_their_files() {
    let folder = folder(&[
        (
            "base/kustomization.yaml",
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- source.yaml\n",
        ),
        ("base/source.yaml", SCP),
        (
            "prod/kustomization.yaml",
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- ../base\n",
        ),
    ]);
    let (code, out, err) = run(folder.path(), &["lint", "-k", "prod"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(out.contains("--> base/source.yaml:8:8"), "{out}{err}");
    assert_eq!(run(folder.path(), &["lint", "-k", "missing"]).0, Some(2));
}

#[test]
fn rules_are_explained() {
    let folder = folder(&[]);
    let (code, out, _) = run(folder.path(), &["explain", "[in15]"]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with("IN15: special characters"), "{out}");
    let (_, out, _) = run(folder.path(), &["explain", "FL06"]);
    assert!(out.contains("here-document"), "{out}");
    let (_, all, _) = run(folder.path(), &["explain"]);
    assert!(all.lines().count() > 100, "{all}");
    let (code, _, err) = run(folder.path(), &["explain", "ZZ99"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("there is no rule ZZ99"), "{err}");
}

#[test]
fn a_cluster_that_cannot_be_asked_is_no_clean_one() {
    let folder = folder(&[("good.yaml", GOOD)]);
    let table: [(&str, Api, i32, i32); 5] = [
        ("unreachable", Api::at("127.0.0.1:1"), 2, 2),
        ("unknown", Api::start(|_| refusal(401, "who are you")), 2, 2),
        ("broken", Api::start(|_| refusal(500, "no leader")), 2, 2),
        // Rules that ask about others are silent; of objects there are none to look at.
        (
            "forbidden",
            Api::start(|_| refusal(403, "not for you")),
            2,
            0,
        ),
        (
            "partly",
            Api::start(|path| match path.ends_with("/secrets") {
                true => refusal(403, "not for you"),
                false => list(&[]),
            }),
            0,
            0,
        ),
    ];
    for (name, api, all, files) in table {
        for (args, expected) in [
            (&["lint", "--all"][..], all),
            (&["lint", "good.yaml", "--context=here"], files),
        ] {
            let output = flux(folder.path(), args)
                .env("KUBECONFIG", api.kubeconfig())
                .output();
            let (code, _, err) = told(output.unwrap());
            assert_eq!(code, Some(expected), "{name} {args:?}: {err}");
        }
    }
}

#[test]
fn a_file_that_is_none_of_ours_does_not_end_the_walk() {
    let folder = folder(&[("good.yaml", GOOD)]);
    fs::write(folder.path().join("blob.yaml"), [0xff, 0xfe, 0]).unwrap();
    let (code, out, err) = run(folder.path(), &["lint", "."]);
    assert_eq!((code, &*out), (Some(0), ""), "{err}");
    assert!(err.contains("blob.yaml is not UTF-8 text"), "{err}");
    assert!(err.contains("it is left out"), "{err}");
    // One that is named is asked for.
    let (code, _, err) = run(folder.path(), &["lint", "blob.yaml"]);
    assert_eq!(code, Some(2), "{err}");
}

/// One namespace is exempt from the webhook, the other is not.
fn exempt(path: &str) -> (u16, Value) {
    let source = |namespace: &str| {
        json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": {"name": "app", "namespace": namespace},
            "spec": {"interval": "5m", "url": "oci://example.com/app"}})
    };
    if path.starts_with("/apis/source.toolkit.fluxcd.io/v1/gitrepositories") {
        return list(&[source("off"), source("on")]);
    }
    if path.starts_with("/api/v1/namespaces") {
        let labels = json!({"admission.flux-sync.io/mode": "off"});
        return list(&[
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "off", "labels": labels}}),
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "on"}}),
        ]);
    }
    list(&[])
}

#[test]
fn a_namespace_that_is_exempt_is_left_alone() {
    let (api, here) = (Api::start(exempt), folder(&[]));
    for args in [&["lint", "--all"][..], &["lint", "--all", "--as-enforced"]] {
        let mut command = flux(here.path(), args);
        let (code, out, err) = told(
            command
                .env("KUBECONFIG", api.kubeconfig())
                .output()
                .unwrap(),
        );
        assert_eq!(code, Some(1), "{err}");
        assert!(out.contains("GitRepository/on/app"), "{out}{err}");
        assert!(!out.contains("GitRepository/off/app"), "{out}");
    }
}
