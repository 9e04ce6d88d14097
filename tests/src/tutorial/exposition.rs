//! The Ingress of the walk, its findings, and the form without any.

use anyhow::Result;

use super::apps::BOTH;
use super::sources::reconcile_root;
use super::walk::{FLEET, Walk};

const CONDITION: &str = "kubectl -n flux-system get kustomization flux-system -o jsonpath='{.status.conditions[?(@.type==\"AppliedWithWarnings\")].message}'";

pub(super) async fn run(walk: &mut Walk) -> Result<()> {
    if walk.has_node() {
        walk.report.say("Ingresses are served by a real nginx behind a small bridge: a stand-in for ingress-nginx, with its lines for locations and rewrites.");
    }
    for (title, fixture, rule) in [
        ("The Ingress of the walk", "ingress-verbatim.yaml", "[IN15]"),
        (
            "The Ingress as the shell really writes it",
            "ingress-expanded.yaml",
            "[IN11]",
        ),
    ] {
        walk.report.chapter(title);
        let ingress = walk.seed(fixture)?;
        walk.write(FLEET, "exposition/ingress.yaml", &ingress)?;
        let out = walk
            .sh_in(
                FLEET,
                "kubectl apply --dry-run=server -f exposition/ingress.yaml",
            )
            .await?;
        walk.report
            .contains(&format!("kubectl apply shows {rule}"), &out.text, rule);
        walk.report.contains(
            "and that the Services are in other namespaces",
            &out.text,
            "[IN30]",
        );
        walk.sh_in(
            FLEET,
            "git add exposition\n\
             git commit -q -m 'feat: defined ingress routes.'\n\
             git push -q origin main",
        )
        .await?;
        reconcile_root(walk).await?;
        let out = walk.sh(CONDITION).await?;
        walk.report.contains(
            "by Git push the findings are in a condition",
            &out.text,
            rule,
        );
        walk.report.contains(
            "with the file they come from",
            &out.text,
            "exposition/ingress.yaml:",
        );
        let out = walk
            .sh("kubectl flux events --for Kustomization/flux-system --types=Warning")
            .await?;
        walk.report.contains("and in an event", &out.text, rule);
        walk.ingress_fails().await?;
    }

    walk.report.chapter("The form without findings");
    walk.report.say("An Ingress serves Services of its own namespace: one for each app, with class, host and pathType.");
    for app in BOTH {
        let ingress = format!(
            "---\n\
             apiVersion: networking.k8s.io/v1\n\
             kind: Ingress\n\
             metadata:\n\
             \x20 name: {app}\n\
             \x20 namespace: {app}\n\
             \x20 annotations:\n\
             \x20   nginx.ingress.kubernetes.io/use-regex: \"true\"\n\
             \x20   nginx.ingress.kubernetes.io/rewrite-target: /$2\n\
             spec:\n\
             \x20 ingressClassName: nginx\n\
             \x20 rules:\n\
             \x20 - host: apps.example.com\n\
             \x20   http:\n\
             \x20     paths:\n\
             \x20     - pathType: ImplementationSpecific\n\
             \x20       path: /{app}(/|$)(.*)\n\
             \x20       backend:\n\
             \x20         service:\n\
             \x20           name: {app}\n\
             \x20           port:\n\
             \x20             number: 8080\n"
        );
        walk.write(FLEET, &format!("exposition/{app}.ingress.yaml"), &ingress)?;
    }
    let out = walk
        .sh_in(
            FLEET,
            "git rm -q exposition/ingress.yaml\nkubectl apply --dry-run=server -f exposition/",
        )
        .await?;
    walk.report.check(
        "kubectl apply has nothing to say",
        out.ok && !out.text.contains("Warning:"),
        &out.text,
    );
    walk.sh_in(
        FLEET,
        "git add exposition\n\
         git commit -q -m 'fix: one Ingress for each app.'\n\
         git push -q origin main",
    )
    .await?;
    reconcile_root(walk).await?;
    let out = walk.sh(CONDITION).await?;
    walk.report.check(
        "the condition has no word on any Ingress",
        !out.text.contains("Ingress/"),
        &out.text,
    );
    let out = walk.sh("kubectl get ingress -A -o name").await?;
    walk.report.check(
        "the old Ingress is pruned, the new ones are there",
        out.text.split_whitespace().count() == 2 && !out.text.contains("nginx-ingress"),
        &out.text,
    );
    for app in BOTH {
        walk.ingress_leads_to(app).await?;
    }
    Ok(())
}
