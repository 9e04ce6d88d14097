//! The cluster, the programs, the two repositories and the root of it all.

use anyhow::Result;

use super::walk::{APPS, FLEET, Walk};

pub(super) async fn run(walk: &mut Walk) -> Result<()> {
    walk.report.chapter("A cluster with our programs");
    let out = walk.sh("kubectl get --raw=/readyz").await?;
    walk.report.check(
        "the API server is ready",
        out.ok && out.text.trim() == "ok",
        &out.text,
    );
    let out = walk.sh("kubectl flux version --client").await?;
    walk.report
        .contains("kubectl finds the plugin", &out.text, "flux: v");
    // The cluster of the walk has ingress-nginx; here its namespace and class are enough.
    if walk.makes("namespace/ingress-nginx") {
        walk.sh("kubectl create namespace ingress-nginx").await?;
    }
    if walk.makes("ingressclass/nginx") {
        walk.apply_stdin(
            "ingressclass.yaml",
            "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata:\n  name: nginx\nspec:\n  controller: k8s.io/ingress-nginx\n",
        )
        .await?;
    }
    if !walk.runs_pods() {
        walk.sh("kubectl create namespace flux-system").await?;
        walk.start_processes().await?;
        registered(walk).await?;
    }

    walk.report.chapter("Two repositories");
    for repository in [FLEET, APPS] {
        walk.create_repository(repository).await?;
    }
    walk.report
        .say("Each app has a namespace; both repositories hold its manifest.");
    let out = walk
        .sh_in(
            FLEET,
            "mkdir foo bar\n\
             kubectl create namespace foo --dry-run=client -o yaml > foo/namespace.yaml\n\
             kubectl create namespace bar --dry-run=client -o yaml > bar/namespace.yaml\n\
             kubectl apply -f foo/namespace.yaml\n\
             kubectl apply -f bar/namespace.yaml\n\
             git add .\n\
             git commit -q -m \"created the namespaces of foo and bar.\"\n\
             git push -q origin main",
        )
        .await?;
    walk.report
        .check("both namespaces are there and in Git", out.ok, &out.text);

    if walk.runs_pods() {
        walk.report
            .chapter("Bootstrap: the programs and the root, by way of Git");
        walk.bootstrap(FLEET).await?;
        registered(walk).await?;
    } else {
        root(walk).await?;
    }
    let out = walk
        .sh("kubectl get namespace foo -o jsonpath='{.metadata.labels}'")
        .await?;
    walk.report.contains(
        "namespace foo belongs to the root Kustomization",
        &out.text,
        r#""kustomize.toolkit.fluxcd.io/name":"flux-system""#,
    );
    Ok(())
}

/// Kinds and webhook are known to the API server.
async fn registered(walk: &mut Walk) -> Result<()> {
    let out = walk.sh("kubectl get crds -o name").await?;
    walk.report.check(
        "the five kinds of Flux are defined",
        out.text
            .lines()
            .filter(|l| l.contains("toolkit.fluxcd.io"))
            .count()
            == 5,
        &out.text,
    );
    walk.webhook_is_registered().await
}

/// What bootstrap does at its end, step by step.
async fn root(walk: &mut Walk) -> Result<()> {
    walk.report
        .chapter("The root: one source, one Kustomization");
    let url = walk.ssh_url(FLEET)?;
    walk.sh(&format!(
        "kubectl flux create secret git flux-system --url={url}"
    ))
    .await?;
    walk.add_deploy_key("flux-system", "flux-system", FLEET, false)
        .await?;
    let out = walk
        .sh(&format!(
            "kubectl flux create source git flux-system --url={url} --branch=main --secret-ref=flux-system"
        ))
        .await?;
    let revision = walk.revision(FLEET).await?;
    walk.report.contains(
        "the source is fetched",
        &out.text,
        &format!("✔ fetched revision: {revision}"),
    );
    let out = walk
        .sh("kubectl flux create kustomization flux-system --source=GitRepository/flux-system --path=. --prune=true --interval=10m")
        .await?;
    walk.report.contains(
        "the root Kustomization is applied",
        &out.text,
        &format!("✔ applied revision {revision}"),
    );
    Ok(())
}
