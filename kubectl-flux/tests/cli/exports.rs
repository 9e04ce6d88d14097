//! What `create --export` prints, compared with files.

use super::{exports, run, text};

#[test]
fn exports_of_the_walk() {
    let url = "--url=ssh://git@github.com/papafrancky/k8s-kind-apps.git";
    exports(
        "source_git.yaml",
        &[
            "create",
            "source",
            "git",
            "k8s-kind-apps",
            url,
            "--branch=main",
            "--secret-ref=k8s-kind-apps",
            "--namespace=foo",
            "--export",
        ],
    );
    exports(
        "kustomization.yaml",
        &[
            "create",
            "kustomization",
            "foo",
            "--source=GitRepository/k8s-kind-apps.foo",
            "--path=./foo",
            "--prune=true",
            "--namespace=foo",
            "--export",
        ],
    );
    exports(
        "image_repository.yaml",
        &[
            "create",
            "image",
            "repository",
            "agnhost",
            "--image=registry.k8s.io/e2e-test-images/agnhost",
            "--interval=5m",
            "--namespace=foo",
            "--export",
        ],
    );
    exports(
        "image_update.yaml",
        &[
            "create",
            "image",
            "update",
            "agnhost",
            "--namespace=foo",
            "--git-repo-ref=k8s-kind-apps",
            "--git-repo-path=./foo",
            "--checkout-branch=main",
            "--author-name=FluxCD",
            "--author-email=19983231-papafrancky@users.noreply.github.com",
            "--commit-template={{range .Updated.Images}}{{println .}}{{end}}",
            "--export",
        ],
    );
}

#[test]
fn a_policy_is_exported_and_its_author_advised() {
    let policy = |pattern: &'static str| {
        [
            "create",
            "image",
            "policy",
            "agnhost",
            "--image-ref=agnhost",
            "--namespace=foo",
            "--select-numeric",
            "asc",
            pattern,
            "--export",
        ]
    };
    exports("image_policy.yaml", &policy(r"--filter-regex=\d\.\d\d"));
    let advised = run(&policy(r"--filter-regex=\d\.\d"));
    assert!(advised.status.success());
    let stderr = text(&advised.stderr);
    assert!(
        stderr.lines().count() > 0,
        "a pattern without anchors deserves advice"
    );
    assert!(
        stderr
            .lines()
            .all(|line| line.starts_with("\u{26a0}\u{fe0f} [IP")),
        "{stderr}"
    );
}

#[test]
fn exports_with_every_flag() {
    exports(
        "source_git_all.yaml",
        &[
            "create",
            "source",
            "git",
            "podinfo",
            "--url=https://github.com/stefanprodan/podinfo",
            "--branch=main",
            "--commit=c5d0b1f1b9b5c9d6cbcd1de9d3b8b2d4c5a3c1a0",
            "--secret-ref=podinfo",
            "--proxy-secret-ref=proxy",
            "--provider=generic",
            "--recurse-submodules",
            "--ignore-paths=!.git,docs/",
            "--sparse-checkout-paths=deploy,charts",
            "--fetch-timeout=90s",
            "--interval=1h",
            "--label=team=web,a=b",
            "--export",
        ],
    );
    exports(
        "kustomization_all.yaml",
        &[
            "create",
            "ks",
            "apps",
            "-n",
            "prod",
            "--source=ocirepository/apps",
            "--path=..",
            "--health-check=Deployment/web.prod,HelmRelease/db.prod",
            "--health-check-timeout=3m",
            "--depends-on=infra",
            "--depends-on=flux-system/crds",
            "--service-account=deployer",
            "--decryption-provider=sops",
            "--decryption-secret=keys",
            "--target-namespace=prod",
            "--kubeconfig-secret-ref=remote",
            "--retry-interval=30s",
            "--interval=600s",
            "--export",
        ],
    );
    exports(
        "image_policy_semver.yaml",
        &[
            "create",
            "image",
            "policy",
            "podinfo",
            "--image-ref=podinfo",
            "--select-semver=>=1.0.0",
            "--reflect-digest=Always",
            "--interval=10m",
            "--export",
        ],
    );
    exports(
        "secret_git.yaml",
        &[
            "create",
            "secret",
            "git",
            "apps",
            "-n",
            "foo",
            "--url=https://example.com/o/r",
            "-u",
            "git",
            "-p",
            "123",
            "--export",
        ],
    );
}
