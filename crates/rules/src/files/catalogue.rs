//! The rules about files, in words and examples.

use crate::finding::Severity;

/// A rule that needs the text of a file.
#[derive(Clone, Copy, Debug)]
pub struct FileRule {
    /// `FL` and a number. Never reused.
    pub id: &'static str,
    /// The strongest severity it reports.
    pub severity: Severity,
    /// What it finds, in a few words.
    pub title: &'static str,
    /// Why that matters.
    pub reason: &'static str,
    /// Name of the file in the examples.
    pub file: &'static str,
    /// A file that it finds something in.
    pub bad: &'static str,
    /// Its messages.
    pub messages: &'static [&'static str],
    /// A file that it says nothing about.
    pub good: &'static str,
}

const RULE: FileRule = FileRule {
    id: "",
    severity: Severity::Error,
    title: "",
    reason: "",
    file: "example.yaml",
    bad: "",
    messages: &[],
    good: "",
};

/// All rules about files.
pub static RULES: &[FileRule] = &[
    FileRule {
        id: "FL01",
        title: "not YAML",
        reason: "Nothing of the file can be applied. Only a note in files that do not look like manifests, and in templates.",
        bad: "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n name: b\n",
        messages: &["This is not YAML: while parsing a block mapping, did not find expected key."],
        good: "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n",
        ..RULE
    },
    FileRule {
        id: "FL02",
        title: "field that does not exist",
        reason: "kubectl and server-side apply refuse it, other clients drop it silently. An error where a known field has nearly the same name; else a newer release may know it.",
        bad: "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\nmetadata:\n  name: app\nspec:\n  image: ghcr.io/org/app\n  intervall: 5m\n  interval: 5m\n",
        messages: &["There is no field spec.intervall. Did you mean interval?"],
        good: "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\nmetadata:\n  name: app\nspec:\n  image: ghcr.io/org/app\n  interval: 5m\n",
        ..RULE
    },
    FileRule {
        id: "FL03",
        title: "value of the wrong type",
        reason: "The API server refuses it; what a text without quotes is read as surprises many.",
        bad: "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata:\n  name: app\nspec:\n  url: https://github.com/org/app\n  interval: 5m\n  suspend: \"true\"\n  ref:\n    branch: main\n",
        messages: &[
            "spec.suspend must be true or false, but is a text: \"true\". Write it without quotes.",
        ],
        good: "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata:\n  name: app\nspec:\n  url: https://github.com/org/app\n  interval: 5m\n  suspend: true\n  ref:\n    branch: main\n",
        ..RULE
    },
    FileRule {
        id: "FL04",
        title: "annotation or label that is no text",
        reason: "The API server refuses the whole object, and says something about unmarshalling JSON.",
        bad: "apiVersion: v1\nkind: Service\nmetadata:\n  name: app\n  annotations:\n    example.com/enabled: true\n",
        messages: &[
            "metadata.annotations[example.com/enabled] must be a text, but YAML read a boolean (true). Put it between quotes.",
        ],
        good: "apiVersion: v1\nkind: Service\nmetadata:\n  name: app\n  annotations:\n    example.com/enabled: \"true\"\n",
        ..RULE
    },
    FileRule {
        id: "FL05",
        severity: Severity::Warning,
        title: "marker that names no policy",
        reason: "The value beside it is never updated, and nothing says so. A note while no ImagePolicy is known at all.",
        bad: "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata:\n  name: app\n  namespace: apps\nspec:\n  imageRepositoryRef:\n    name: app\n  policy:\n    semver:\n      range: 1.x\n---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: app\nspec:\n  containers:\n  - name: app\n    image: ghcr.io/org/app:1.0.0 # {\"$imagepolicy\": \"apps:ap\"}\n",
        messages: &[
            "This marker names ImagePolicy apps/ap, which is in none of these files. Did you mean apps:app?",
        ],
        good: "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata:\n  name: app\n  namespace: apps\nspec:\n  imageRepositoryRef:\n    name: app\n  policy:\n    semver:\n      range: 1.x\n---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: app\nspec:\n  containers:\n  - name: app\n    image: ghcr.io/org/app:1.0.0 # {\"$imagepolicy\": \"apps:app\"}\n",
        ..RULE
    },
    FileRule {
        id: "FL06",
        title: "rest of a here-document",
        reason: "The line belongs to a shell command that was copied along with the manifest.",
        bad: "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: app\nEOF\n",
        messages: &[
            "This is the last line of a here-document, not YAML: a shell would have eaten it. Remove the line.",
        ],
        good: "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: app\n",
        ..RULE
    },
    FileRule {
        id: "FL07",
        severity: Severity::Warning,
        title: "object that is defined twice",
        reason: "In one file or one directory only one of them can count.",
        bad: "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: app\n---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: app\n",
        messages: &[
            "Namespace/app is defined before, at example.yaml:1: the later one wins, or a kustomization refuses both. Remove one.",
        ],
        good: "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: app\n---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: app-test\n",
        ..RULE
    },
    FileRule {
        id: "FL08",
        title: "key that is there twice",
        reason: "kubectl silently drops the first value; kustomize, and so Flux, fails on the file.",
        bad: "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: app\n  name: test\n",
        messages: &[
            "The key name stands here twice: kubectl takes the last one, kustomize refuses the file. Remove one.",
        ],
        good: "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: app\n",
        ..RULE
    },
    FileRule {
        id: "FL09",
        severity: Severity::Warning,
        title: "reserved file name",
        reason: "kustomize reads every kustomization.yaml as its own kind, which has the same name and another group.",
        file: "apps/kustomization.yaml",
        bad: "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata:\n  name: app\nspec:\n  interval: 10m\n  prune: true\n  sourceRef:\n    kind: GitRepository\n    name: app\n",
        messages: &[
            "kustomize reserves this file name for its own file and fails on a Flux Kustomization in it. Rename the file, e.g. to flux-kustomization.yaml.",
        ],
        good: "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- app.yaml\n",
    },
    FileRule {
        id: "FL10",
        title: "required field that is missing",
        reason: "The API server refuses the object.",
        bad: "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata:\n  name: app\nspec:\n  interval: 10m\n  prune: true\n  sourceRef:\n    kind: GitRepository\n",
        messages: &["spec.sourceRef.name is required and missing."],
        good: "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata:\n  name: app\nspec:\n  interval: 10m\n  prune: true\n  sourceRef:\n    kind: GitRepository\n    name: app\n",
        ..RULE
    },
    FileRule {
        id: "FL11",
        title: "word that is not known",
        reason: "The field takes certain words only, written exactly so.",
        bad: "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata:\n  name: app\nspec:\n  interval: 10m\n  prune: true\n  sourceRef:\n    kind: Gitrepository\n    name: app\n",
        messages: &[
            "spec.sourceRef.kind \"Gitrepository\" is not a word for it. Write \"GitRepository\".",
        ],
        good: "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata:\n  name: app\nspec:\n  interval: 10m\n  prune: true\n  sourceRef:\n    kind: GitRepository\n    name: app\n",
        ..RULE
    },
    FileRule {
        id: "FL12",
        severity: Severity::Warning,
        title: "comment that switches nothing off",
        reason: "The id is mistyped, or the rule is gone.",
        bad: "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: app # flux-lint: disable=XX99 for a reason\n",
        messages: &[
            "There is no rule \"XX99\": this comment switches nothing off. All rules: kubectl flux explain.",
        ],
        good: "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: app # flux-lint: disable=XX02 for a reason\n",
        ..RULE
    },
];
