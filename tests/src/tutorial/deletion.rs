//! Taking an app away again.

use anyhow::Result;

use super::sources::reconcile_root;
use super::walk::{FLEET, Walk};

pub(super) async fn run(walk: &mut Walk) -> Result<()> {
    walk.report.chapter("Deleting an app");
    walk.sh_in(
        FLEET,
        "git rm -q apps/foo/sync.yaml exposition/foo.ingress.yaml\n\
         git commit -q -m 'feat: foo retires.'\n\
         git push -q origin main",
    )
    .await?;
    reconcile_root(walk).await?;
    let gone = walk
        .until(
            "kubectl -n foo get kustomizations,services,deployments -o name",
            |text| text.trim().is_empty(),
        )
        .await?;
    walk.report.check(
        "Kustomization, Deployment and Service of foo are gone",
        gone.0,
        &gone.1,
    );
    let out = walk
        .sh("kubectl get namespace foo -o jsonpath='{.status.phase}'")
        .await?;
    walk.report.check(
        "the namespace it lived in stays",
        out.text == "Active",
        &out.text,
    );
    let out = walk
        .sh("kubectl -n bar get services,deployments -o name")
        .await?;
    walk.report.check(
        "bar is as it was",
        out.text.split_whitespace().count() == 2,
        &out.text,
    );
    if walk.runs_pods() {
        walk.pods_are_well().await?;
    }
    Ok(())
}
