//! Manifests beside those of the walk.

use super::{exports, fails, run, text};

#[test]
fn tenants_and_secrets_are_exported() {
    exports(
        "tenant.yaml",
        &[
            "create",
            "tenant",
            "dev",
            "--with-namespace=apps",
            "--label=team=web",
            "--export",
        ],
    );
    exports(
        "secret_proxy.yaml",
        &[
            "create",
            "secret",
            "proxy",
            "proxy",
            "--address=https://proxy.example",
            "-u",
            "me",
            "-p",
            "x",
            "--export",
        ],
    );
    fails(
        &[
            "create",
            "secret",
            "tls",
            "x",
            "--tls-crt-file=a",
            "--export",
        ],
        "a certificate is of use only with its key",
    );
    fails(
        &["get", "hr"],
        "\"hr\" is not supported: this program is about",
    );
}

#[test]
fn a_tenant_has_several_namespaces() {
    let output = run(&[
        "create",
        "tenant",
        "dev",
        "--with-namespace=apps,web",
        "--with-namespace=data",
        "--export",
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for namespace in ["apps", "web", "data"] {
        let name = format!("gotk:{namespace}:reconciler");
        assert!(text(&output.stdout).contains(&name), "{namespace}");
    }
}
