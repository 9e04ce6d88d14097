//! GitRepositories and Kustomizations of the apps.

use anyhow::Result;

use super::apps::BOTH;
use super::walk::{APPS, FLEET, Walk};

pub(super) async fn run(walk: &mut Walk) -> Result<()> {
    walk.report
        .chapter("A GitRepository and a Kustomization for each app");
    let url = walk.ssh_url(APPS)?;
    let mut script = String::from("mkdir -p apps/foo apps/bar\n");
    for app in BOTH {
        script.push_str(&format!(
            "kubectl flux create source git k8s-kind-apps --url={url} --branch=main \
             --secret-ref=k8s-kind-apps --namespace={app} --export > apps/{app}/gitrepository.yaml\n\
             kubectl flux create kustomization {app} --source=GitRepository/k8s-kind-apps.{app} \
             --path=\"./{app}\" --prune=true --namespace={app} --export > apps/{app}/sync.yaml\n"
        ));
    }
    script.push_str(
        "cat apps/foo/gitrepository.yaml apps/foo/sync.yaml\n\
         git add .\n\
         git commit -q -m \"feat: added GitRepositories and Kustomizations for foo and bar apps.\"\n\
         git push -q origin main",
    );
    let out = walk.sh_in(FLEET, &script).await?;
    walk.report.contains(
        "the export is a manifest of today's version",
        &out.text,
        "apiVersion: source.toolkit.fluxcd.io/v1",
    );
    reconcile_root(walk).await?;
    let out = walk.sh("kubectl flux events").await?;
    walk.report.contains(
        "the events name the commit",
        &out.text,
        "stored artifact for commit 'feat: added GitRepositories and Kustomizati",
    );
    walk.report.contains(
        "the events name what was applied",
        &out.text,
        "GitRepository/foo/k8s-kind-apps created",
    );
    let revision = walk.revision(APPS).await?;
    for app in BOTH {
        walk.condition(
            "gitrepository",
            app,
            "k8s-kind-apps",
            &format!("stored artifact for revision '{revision}'"),
        )
        .await?;
        let out = walk
            .sh(&format!("kubectl -n {app} get gitrepository k8s-kind-apps"))
            .await?;
        let header: Vec<_> = out
            .text
            .lines()
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        walk.report.check(
            "kubectl shows the columns URL, AGE, READY and STATUS",
            header == ["NAME", "URL", "AGE", "READY", "STATUS"],
            &out.text,
        );
    }

    walk.report.chapter("A slip: EOF in the manifest");
    walk.report.say(
        "The heredoc of the Service was closed by an indented EOF, which is now part of the file.",
    );
    walk.condition("kustomization", "foo", "foo", "foo/service.yaml")
        .await?;
    let out = walk.sh("kubectl flux get kustomizations -n foo").await?;
    walk.report.contains(
        "the Kustomization names file and line",
        &out.text,
        "foo/service.yaml:",
    );
    walk.report.contains(
        "and what the stray word is",
        &out.text,
        "end of a here-document",
    );
    for app in BOTH {
        let service = walk.seed(&format!("service-{app}.yaml"))?;
        walk.write(APPS, &format!("{app}/service.yaml"), &service)?;
    }
    let out = walk
        .sh_in(
            APPS,
            "git commit -q -a -m 'fix: removed EOF from the services.'\ngit push -q origin main",
        )
        .await?;
    walk.report
        .check("the mended Services are in Git", out.ok, &out.text);
    let revision = walk.revision(APPS).await?;
    for app in BOTH {
        let out = walk
            .sh(&format!(
                "kubectl flux reconcile kustomization {app} -n {app} --with-source"
            ))
            .await?;
        walk.report.contains(
            &format!("{app} is applied"),
            &out.text,
            &format!("✔ applied revision {revision}"),
        );
        let out = walk
            .sh(&format!(
                "kubectl -n {app} get services,deployments -o name"
            ))
            .await?;
        walk.report.check(
            &format!("{app} has its Service and its Deployment"),
            out.text
                .split_whitespace()
                .eq([format!("service/{app}"), format!("deployment.apps/{app}")]),
            &out.text,
        );
        let image = format!("{}:2.39", walk.image()?);
        walk.pods_run(app, &image).await?;
    }
    Ok(())
}

/// Reconciles the root with its source and checks the eight lines that Flux prints.
pub(super) async fn reconcile_root(walk: &mut Walk) -> Result<()> {
    let out = walk
        .sh("kubectl flux reconcile kustomization flux-system --with-source")
        .await?;
    let revision = walk.revision(FLEET).await?;
    let expected = format!(
        "► annotating GitRepository flux-system in flux-system namespace\n\
         ✔ GitRepository annotated\n\
         ◎ waiting for GitRepository reconciliation\n\
         ✔ fetched revision {revision}\n\
         ► annotating Kustomization flux-system in flux-system namespace\n\
         ✔ Kustomization annotated\n\
         ◎ waiting for Kustomization reconciliation\n\
         ✔ applied revision {revision}\n"
    );
    walk.report.check(
        "reconcile --with-source fetches the new commit and applies it",
        out.text == expected,
        &out.text,
    );
    Ok(())
}
