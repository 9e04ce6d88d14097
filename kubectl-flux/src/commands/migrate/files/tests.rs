use super::*;

fn planned(text: &str) -> (String, Vec<String>, Vec<String>) {
    let plan = plan(text, &Release::LATEST).unwrap();
    let notes = |notes: Vec<Note>| {
        notes
            .into_iter()
            .map(|note| format!("{}: {}", note.line, note.what))
            .collect()
    };
    (plan.text, notes(plan.changes), notes(plan.left))
}

#[test]
fn everything_else_stays_as_it_is() {
    let old = "\
# The sources
kind: GitRepository # first
apiVersion: \"source.toolkit.fluxcd.io/v1beta2\"
metadata: {name: a}
spec:
  interval:   5m
  gitImplementation: go-git # old
  url: https://example.com/a
---
{apiVersion: image.toolkit.fluxcd.io/v1beta1, kind: ImagePolicy, metadata: {name: b}}
---
apiVersion: apps/v1
kind: Deployment
";
    let (text, changes, left) = planned(old);
    assert_eq!(
        text,
        old.replace("fluxcd.io/v1beta2", "fluxcd.io/v1")
            .replace("fluxcd.io/v1beta1", "fluxcd.io/v1")
            .replace("  gitImplementation: go-git # old\n", "")
    );
    assert_eq!(
        changes,
        [
            "3: GitRepository v1beta2 -> v1",
            "7: GitRepository spec.gitImplementation removed",
            "10: ImagePolicy v1beta1 -> v1"
        ]
    );
    assert!(left.is_empty());
    assert_eq!(planned(&text), (text.clone(), vec![], vec![]));
}

#[test]
fn old_patches_become_patches() {
    let strategic = "\
apiVersion: kustomize.toolkit.fluxcd.io/v1beta2
kind: Kustomization
spec:
  patchesStrategicMerge:
  - apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: web # the shop
    spec: {replicas: 2}
  - kind: Service
    apiVersion: v1
    metadata: {name: web, $patch: delete}
  prune: true
";
    let (text, changes, _) = planned(strategic);
    assert_eq!(
        text,
        "\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
spec:
  patches:
  - patch: |
      apiVersion: apps/v1
      kind: Deployment
      metadata:
        name: web # the shop
      spec: {replicas: 2}
  - patch: |
      kind: Service
      apiVersion: v1
      metadata: {name: web, $patch: delete}
  prune: true
"
    );
    assert_eq!(changes.len(), 2, "{changes:?}");

    let json = "\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
spec:
  patchesJson6902:
    - target:
        version: v1
        kind: Service
        name: web
      patch:
        - op: add
          path: /metadata/labels/a
          value: b
    - patch: [{op: remove, path: /spec/x}]
      target: {version: v1, kind: Service, name: other}
";
    let (text, ..) = planned(json);
    assert_eq!(
        text,
        "\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
spec:
  patches:
  - target:
      version: v1
      kind: Service
      name: web
    patch: |
      - op: add
        path: /metadata/labels/a
        value: b
  - target:
      {version: v1, kind: Service, name: other}
    patch: |
      [{op: remove, path: /spec/x}]
"
    );
}

#[test]
fn templates_are_rewritten_in_place() {
    let old = "\
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageUpdateAutomation
spec:
  git:
    commit:
      messageTemplate: |
        {{range .Updated.Images}}
        - {{.}}
        {{end}}

        Done.
      author: {name: a} # me
";
    let (text, changes, _) = planned(old);
    assert_eq!(
        text,
        old.replace(".Updated.Images", ".Changed.Changes")
            .replace("{{.}}", "{{.NewValue}}")
    );
    assert_eq!(changes.len(), 1);
    let quoted = "{apiVersion: image.toolkit.fluxcd.io/v1, kind: ImageUpdateAutomation, spec: {git: \
                  {commit: {messageTemplate: '{{range .Updated.Images}}{{println .}}{{end}}'}}}}\n";
    let (text, ..) = planned(quoted);
    assert!(
        text.contains("'{{range .Changed.Changes}}{{println .NewValue}}{{end}}'"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_mended_is_named() {
    let text = "\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
spec:
  patches: []
  patchesStrategicMerge:
  - {}
";
    let (after, changes, left) = planned(text);
    assert_eq!(after, text);
    assert!(changes.is_empty());
    assert!(
        left[0].starts_with("5: spec.patchesStrategicMerge is no field"),
        "{left:?}"
    );
    let flow = "{apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, spec: \
                {patchesStrategicMerge: [{a: b}]}}\n";
    let (after, _, left) = planned(flow);
    assert_eq!((after.as_str(), left.len()), (flow, 1));
}
