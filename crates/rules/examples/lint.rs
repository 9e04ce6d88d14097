//! How long linting takes: `cargo run --release -p flux-rules --example lint [MANIFESTS]`.
//!
//! The manifests are one object a file, of all kinds with rules and some without, two of a hundred
//! with a mistake. Reading files is not in the figure.
#![expect(clippy::print_stdout, reason = "figures are what this prints")]

use std::time::Instant;

use flux_rules::files::{File, Surroundings, lint};

fn manifest(index: usize) -> String {
    let namespace = format!("team-{}", index / 8 % 200);
    let app = format!("app-{}", index / 8);
    let head = |version: &str, kind: &str| {
        format!(
            "apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: {app}\n  namespace: {namespace}\n"
        )
    };
    let wrong = index % 100 < 2;
    match index % 8 {
        0 => head("source.toolkit.fluxcd.io/v1", "GitRepository")
            + &format!(
                "spec:\n  interval: {}\n  url: ssh://git@github.com/org/{app}\n  ref:\n    branch: main\n  secretRef:\n    name: key\n",
                if wrong { "1d" } else { "5m" }
            ),
        1 => head("kustomize.toolkit.fluxcd.io/v1", "Kustomization")
            + &format!(
                "spec:\n  interval: 10m\n  path: ./deploy/{app}\n  prune: true\n  wait: true\n  timeout: 5m\n  sourceRef:\n    kind: GitRepository\n    name: {app}\n  postBuild:\n    substitute:\n      cluster: production\n{}",
                if wrong { "  intervall: 1m\n" } else { "" }
            ),
        2 => head("image.toolkit.fluxcd.io/v1", "ImageRepository")
            + &format!("spec:\n  image: ghcr.io/org/{app}\n  interval: 10m\n"),
        3 => head("image.toolkit.fluxcd.io/v1", "ImagePolicy")
            + &format!(
                "spec:\n  imageRepositoryRef:\n    name: {app}\n  filterTags:\n    pattern: '^main-[a-f0-9]+-(?P<ts>[0-9]+)$'\n    extract: $ts\n  policy:\n    numerical:\n      order: asc\n"
            ),
        4 => head("image.toolkit.fluxcd.io/v1", "ImageUpdateAutomation")
            + &format!(
                "spec:\n  interval: 30m\n  sourceRef:\n    kind: GitRepository\n    name: {app}\n  git:\n    checkout:\n      ref:\n        branch: main\n    commit:\n      author:\n        name: fluxcdbot\n        email: flux@example.com\n      messageTemplate: '{{{{ range .Changed.Changes }}}}{{{{ .OldValue }}}} -> {{{{ .NewValue }}}}{{{{ end }}}}'\n    push:\n      branch: main\n  update:\n    path: ./deploy/{app}\n    strategy: Setters\n"
            ),
        5 => head("networking.k8s.io/v1", "Ingress").replace(
            "  namespace",
            "  annotations:\n    nginx.ingress.kubernetes.io/rewrite-target: /$2\n    nginx.ingress.kubernetes.io/proxy-body-size: 8m\n  namespace",
        ) + &format!(
            "spec:\n  ingressClassName: nginx\n  tls:\n  - hosts:\n    - {app}.example.com\n    secretName: tls\n  rules:\n  - host: {app}.example.com\n    http:\n      paths:\n      - path: /api(/|$)(.*)\n        pathType: ImplementationSpecific\n        backend:\n          service:\n            name: {app}\n            port:\n              number: 80\n"
        ),
        6 => head("apps/v1", "Deployment")
            + &format!(
                "spec:\n  replicas: 2\n  selector:\n    matchLabels:\n      app: {app}\n  template:\n    metadata:\n      labels:\n        app: {app}\n    spec:\n      containers:\n      - name: app\n        image: ghcr.io/org/{app}:main-0a1b2c3-1700000000 # {{\"$imagepolicy\": \"{namespace}:{app}\"}}\n        ports:\n        - containerPort: 8080\n"
            ),
        _ => head("v1", "Service")
            + &format!("spec:\n  selector:\n    app: {app}\n  ports:\n  - port: 80\n    targetPort: 8080\n"),
    }
}

fn main() {
    let count = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(10_000);
    let files: Vec<File> = (0..count)
        .map(|index| File {
            path: format!("apps/team-{}/app-{index}.yaml", index % 200),
            text: manifest(index),
        })
        .collect();
    let started = Instant::now();
    let found = lint(&files, &Surroundings::default());
    println!(
        "{count} manifests: {:.3} s, {} findings",
        started.elapsed().as_secs_f64(),
        found.len()
    );
}
