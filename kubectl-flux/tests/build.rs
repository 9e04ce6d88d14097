//! `envsubst` and `build kustomization` as people call them, without a cluster.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn flux(args: &[&str], folder: &Path, input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-flux"))
        .args(args)
        .current_dir(folder)
        .env_remove("FLUX_SYSTEM_NAMESPACE")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env("KUBECONFIG", "/nonexistent/config")
        .env("cluster_region", "eu-central-1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn build_with_variables_of_the_environment() {
    let here = Path::new(".");
    let input = "region: ${cluster_region}\nzone: ${zone_of_nobody}\nkept: $${x} $y";
    let output = flux(&["envsubst"], here, input);
    assert_eq!(
        text(&output.stdout),
        "region: eu-central-1\nzone: \nkept: ${x} $y\n"
    );
    let output = flux(&["envsubst", "--strict"], here, input);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    assert_eq!(
        text(&output.stderr),
        "\u{2717} variable not set (strict mode): \"zone_of_nobody\" (line 2)\n"
    );
}

/// Every file below a folder.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
        } else {
            found.insert(path.display().to_string(), std::fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn components_of_the_spec_may_lie_above_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    write("repo/.git/HEAD", "ref: refs/heads/main\n");
    write(
        "repo/app/a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
    );
    write(
        "repo/components/x/kustomization.yaml",
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n",
    );
    write(
        "ks.yaml",
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps}\n\
         spec:\n  interval: 1m\n  prune: true\n  sourceRef: {kind: GitRepository, name: a}\n  \
         components: [../components/x]\n",
    );
    // It gets as far as the program.
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-flux"))
        .args(["build", "ks", "apps", "--path=repo/app", "--dry-run"])
        .arg("--kustomization-file=ks.yaml")
        .env("KUSTOMIZE", "/bin/false")
        .env("KUBECONFIG", "/nonexistent/config")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let complaint = text(&output.stderr);
    assert!(complaint.contains("exit status: 1"), "{complaint}");
}

#[test]
fn build_kustomization_from_a_folder_and_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    let secret = include_str!("../../crates/build/tests/vectors/sops/secret.yaml");
    write("repo/.git/HEAD", "ref: refs/heads/main\n");
    write(
        "repo/apps/kustomization.yaml",
        "resources: [web.yaml, ../base]\n",
    );
    write(
        "repo/apps/web.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: ${count}\n  \
         paused: ${paused:=false}\n",
    );
    write("repo/base/kustomization.yaml", "resources: [secret.yaml]\n");
    write("repo/base/secret.yaml", secret);
    write(
        "ks.yaml",
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps}\n\
         spec:\n  interval: 1m\n  prune: true\n  sourceRef: {kind: GitRepository, name: a}\n  \
         postBuild: {substitute: {count: \"3\"}}\n",
    );
    let before = tree(folder.path());
    let arguments = [
        "build",
        "ks",
        "apps",
        "--path=repo/apps",
        "--kustomization-file=ks.yaml",
        "--dry-run",
    ];
    let output = flux(&arguments, folder.path(), "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let labels = "  labels:\n    kustomize.toolkit.fluxcd.io/name: apps\n    \
                  kustomize.toolkit.fluxcd.io/namespace: flux-system\n";
    assert_eq!(
        text(&output.stdout),
        format!(
            "apiVersion: v1\ndata:\n  token: KipTT1BTKio=\nkind: Secret\nmetadata:\n{labels}    team: \
             shop\n  name: db\n  namespace: shop\nstringData:\n  certificate: '**SOPS**'\n  empty: \
             '**SOPS**'\n  password: '**SOPS**'\ntype: Opaque\n---\napiVersion: apps/v1\nkind: \
             Deployment\nmetadata:\n{labels}  name: web\nspec:\n  paused: false\n  replicas: 3\n---\n"
        )
    );
    assert_eq!(tree(folder.path()), before, "the folder is only read");

    for (arguments, message) in [
        (&["build", "ks"][..], "kustomization name is required"),
        (&["build", "ks", "a"], "invalid resource path \"\""),
        (
            &["build", "ks", "a", "--path=nowhere"],
            "invalid resource path \"nowhere\"",
        ),
        (
            &["build", "ks", "a", "--path=repo", "--dry-run"],
            "dry-run mode requires a kustomization file",
        ),
        (
            &["build", "ks", "a", "--path=repo", "--kustomization-file=x"],
            "invalid kustomization file \"x\"",
        ),
        (
            &[
                "build",
                "ks",
                "b",
                "--path=repo",
                "--kustomization-file=ks.yaml",
                "--dry-run",
            ],
            "failed find kustomization with name 'b' and namespace 'flux-system' in file 'ks.yaml'",
        ),
    ] {
        let output = flux(arguments, folder.path(), "");
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(text(&output.stderr), format!("\u{2717} {message}\n"));
    }
}

#[test]
fn variables_come_from_files_of_the_repository() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    write("repo/.git/HEAD", "ref: refs/heads/main\n");
    write(
        "repo/clusters/one/all.yaml",
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps, \
         namespace: flux-system}\nspec:\n  interval: 1m\n  prune: true\n  path: ./apps\n  sourceRef: \
         {kind: GitRepository, name: repo}\n  postBuild:\n    substituteFrom:\n    - {kind: ConfigMap, \
         name: facts}\n    - {kind: Secret, name: login}\n    - {kind: ConfigMap, name: nowhere}\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata: {name: facts, namespace: flux-system}\ndata: \
         {region: north}\n",
    );
    write(
        "repo/secrets/login.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\ndata: {user: bWU=}\n",
    );
    write(
        "repo/apps/map.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata: {all: '${region} ${user} \
         ${other}'}\n",
    );
    write(
        "repo/gotk-sync.yaml",
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: \
         flux-system, namespace: flux-system}\nspec:\n  interval: 1m\n  prune: true\n  path: \
         ./clusters/one\n  sourceRef: {kind: GitRepository, name: repo}\n",
    );
    let before = tree(folder.path());
    let output = flux(
        &[
            "build",
            "ks",
            "flux-system",
            "--path=repo/clusters/one",
            "--kustomization-file=repo/gotk-sync.yaml",
            "--local-sources=GitRepository/flux-system/repo=repo",
            "--recursive",
            "--dry-run",
        ],
        folder.path(),
        "",
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    let built = text(&output.stdout);
    // The ConfigMap that is applied by the same build, then the Secret of another folder.
    assert!(built.contains("  all: north me\n"), "{built}");
    assert_eq!(
        text(&output.stderr),
        "\u{25ba} variables of Secret/login are read from secrets/login.yaml\n\u{26a0}\u{fe0f} \
         ConfigMap/nowhere of substituteFrom is in no file of the repository: its variables are \
         left out\n"
    );
    assert_eq!(tree(folder.path()), before, "the folder is only read");
}
