//! The rules of this repository that no compiler checks: which crate may use which, how long a
//! source file may be, and that the documents agree with the tree and with each other.
//!
//! Needs no sandbox: it reads files and asks `cargo metadata`.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Longer files are split by idea.
const LONGEST_SOURCE_FILE: usize = 500;

const LIBRARIES: &[&str] = &[
    "flux-api",
    "flux-apply",
    "flux-build",
    "flux-git",
    "flux-image",
    "flux-lang",
    "flux-registry",
    "flux-rules",
];

/// Which crates of the workspace each of them may use; see ARCHITECTURE.md.
const ALLOWED: &[(&str, &[&str])] = &[
    ("flux-api", &[]),
    ("flux-lang", &[]),
    ("flux-image", &["flux-api", "flux-lang"]),
    ("flux-rules", &["flux-api", "flux-image", "flux-lang"]),
    ("flux-registry", &["flux-lang"]),
    ("flux-git", &["flux-lang"]),
    ("flux-build", &["flux-api", "flux-lang"]),
    ("flux-apply", &["flux-api"]),
    (
        "flux-admission-webhook",
        &["flux-api", "flux-image", "flux-lang", "flux-rules"],
    ),
    ("flux-sync-operator", LIBRARIES),
    ("kubectl-flux", LIBRARIES),
    ("flux-tests", LIBRARIES),
];

/// Crates that compute and do nothing else, so that they can be tested with values alone.
const PURE: &[&str] = &["flux-api", "flux-lang", "flux-image", "flux-rules"];

/// What a crate uses directly when it reaches for the network, for other programs or for time.
const IO: &[&str] = &[
    "axum",
    "git2",
    "hyper",
    "hyper-util",
    "kube-runtime",
    "reqwest",
    "russh",
    "tempfile",
    "tokio",
    "tokio-rustls",
    "tokio-util",
];

#[test]
fn crates_use_only_what_is_below_them() {
    let packages = packages();
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let ours: BTreeSet<&str> = packages.iter().map(Package::name).collect();
    assert_eq!(
        ours,
        allowed.keys().copied().collect(),
        "a crate was added or renamed: give it a line in ALLOWED and in ARCHITECTURE.md"
    );

    let upwards: Vec<String> = packages
        .iter()
        .flat_map(|package| {
            package
                .dependencies(|_| true)
                .filter(|used| ours.contains(used) && !allowed[package.name()].contains(used))
                .map(|used| format!("{} uses {used}", package.name()))
        })
        .collect();
    assert!(upwards.is_empty(), "against the direction: {upwards:#?}");
}

#[test]
fn the_pure_crates_do_no_io() {
    let reaching: Vec<String> = packages()
        .iter()
        .filter(|package| PURE.contains(&package.name()))
        .flat_map(|package| {
            package
                .dependencies(|kind| kind != Some("dev"))
                .filter(|used| IO.contains(used))
                .map(|used| format!("{} uses {used}", package.name()))
        })
        .collect();
    assert!(reaching.is_empty(), "{reaching:#?}");
}

#[test]
fn every_crate_has_the_lints_of_the_workspace() {
    let without: Vec<String> = packages()
        .iter()
        .filter(|package| !has_workspace_lints(&fs::read_to_string(package.manifest()).unwrap()))
        .map(|package| package.manifest().to_owned())
        .collect();
    assert!(
        without.is_empty(),
        "add `[lints]` with `workspace = true` to {without:#?}"
    );
}

#[test]
fn source_files_are_short() {
    let long: Vec<String> = files("rs")
        .into_iter()
        .map(|path| (fs::read_to_string(&path).unwrap().lines().count(), path))
        .filter(|(lines, _)| *lines > LONGEST_SOURCE_FILE)
        .map(|(lines, path)| format!("{}: {lines} lines", shown(&path)))
        .collect();
    assert!(
        long.is_empty(),
        "more than {LONGEST_SOURCE_FILE} lines, split by idea: {long:#?}"
    );
}

#[test]
fn the_readme_names_both_commands() {
    let readme = read("README.md");
    for command in ["cargo run --bin tutorial", "cargo test --workspace"] {
        assert!(readme.contains(command), "README.md lacks `{command}`");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let broken: Vec<String> = files("md")
        .into_iter()
        .flat_map(|document| {
            let text = fs::read_to_string(&document).unwrap();
            links(&text)
                .filter(|link| !link.contains("://") && !link.starts_with('#'))
                .map(|link| link.split('#').next().unwrap_or_default().to_owned())
                .filter(|link| !document.parent().unwrap().join(link).exists())
                .map(|link| format!("{}: {link}", shown(&document)))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_tutorial_types_the_same_in_both_languages() {
    let english = read("docs/tutorial.md");
    let french = read("docs/tutorial.fr.md");
    let (english, french) = (commands(&english), commands(&french));
    assert!(!english.is_empty());
    for (english, french) in english.iter().zip(&french) {
        assert_eq!(english, french);
    }
    assert_eq!(english.len(), french.len());
}

/// A crate of the workspace as `cargo metadata` describes it.
struct Package(Value);

impl Package {
    fn name(&self) -> &str {
        self.0["name"].as_str().unwrap()
    }

    fn manifest(&self) -> &str {
        self.0["manifest_path"].as_str().unwrap()
    }

    /// Names of the crates used directly, of the kinds that are wanted: none for those of the
    /// programs, `dev` and `build` for others.
    fn dependencies(&self, wanted: impl Fn(Option<&str>) -> bool) -> impl Iterator<Item = &str> {
        let all = self.0["dependencies"].as_array().unwrap().iter();
        all.filter(move |dependency| wanted(dependency["kind"].as_str()))
            .map(|dependency| dependency["name"].as_str().unwrap())
    }
}

fn packages() -> Vec<Package> {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--no-deps", "--locked", "--format-version=1"])
        .current_dir(root())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {said}");
    let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].take();
    let packages: Vec<Value> = serde_json::from_value(packages).unwrap();
    packages.into_iter().map(Package).collect()
}

fn has_workspace_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim);
    lines.any(|line| line == "[lints]")
        && lines
            .take_while(|line| !line.starts_with('['))
            .any(|line| line == "workspace = true")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(document: &str) -> String {
    fs::read_to_string(root().join(document)).unwrap()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// All files of the repository that end so; what cargo builds and what is hidden is left out.
fn files(extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with('.') || name == "target" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Targets of the inline links of a Markdown text, outside code.
fn links(markdown: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    markdown
        .lines()
        .filter(move |line| {
            let fence = line.trim_start().starts_with("```");
            code ^= fence;
            !code && !fence
        })
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split(')').next())
}

/// The shell blocks of a Markdown text.
fn commands(markdown: &str) -> Vec<&str> {
    let blocks = markdown.split("\n```sh\n").skip(1);
    blocks
        .filter_map(|rest| rest.split("\n```").next())
        .collect()
}

#[test]
fn reads_what_it_must() {
    assert!(has_workspace_lints("[lints]\nworkspace = true\n"));
    assert!(!has_workspace_lints("[lints.rust]\nworkspace = true\n"));
    assert!(!has_workspace_lints("[lints]\n[x]\nworkspace = true\n"));

    let text = "see [a](b.md) and [c](d.md#e)\n```sh\nx [y](z)\n```\n[f](g)\n```sh\nh\ni\n```\n";
    assert_eq!(links(text).collect::<Vec<_>>(), ["b.md", "d.md#e", "g"]);
    assert_eq!(commands(text), ["x [y](z)", "h\ni"]);
}
