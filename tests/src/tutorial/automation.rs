//! Markers, automations, the commit they make, and a new tag.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::apps::BOTH;
use super::sources::reconcile_root;
use super::walk::{APPS, FLEET, Walk};

pub(super) async fn run(walk: &mut Walk) -> Result<()> {
    let image = walk.image()?;
    walk.report.chapter("Markers: a slip first");
    walk.report
        .say("The manifests of the walk mark the image with a policy that does not exist.");
    walk.sh_in(
        APPS,
        r##"sed -i 's/agnhost:2\.39/agnhost:2\.39 # {"$imagepolicy": "foobar:foobar"}/' foo/deployment.yaml bar/deployment.yaml
git commit -q -a -m "feat: added a marker on foobar's pods manifests."
git push -q origin main"##,
    )
    .await?;
    let mut script = String::new();
    for app in BOTH {
        script.push_str(&format!(
            "kubectl flux create image update agnhost --namespace={app} --git-repo-ref=k8s-kind-apps \
             --git-repo-path=\"./{app}\" --checkout-branch=main --author-name=FluxCD \
             --author-email=19983231-papafrancky@users.noreply.github.com \
             --commit-template=\"{{{{range .Updated.Images}}}}{{{{println .}}}}{{{{end}}}}\" \
             --export > apps/{app}/imageupdateautomation.yaml\n"
        ));
    }
    script.push_str(
        "git add .\n\
         git commit -q -m \"feat: added ImageUpdateAutomations to foo and bar applications respectively.\"\n\
         git push -q origin main",
    );
    let out = walk.sh_in(FLEET, &script).await?;
    walk.report.contains(
        "the plugin says that .Updated is gone from Flux and works here",
        &out.text,
        "IU05",
    );
    reconcile_root(walk).await?;
    for app in BOTH {
        walk.condition(
            "imageupdateautomation",
            app,
            "agnhost",
            "repository up-to-date",
        )
        .await?;
    }
    let markers = "kubectl -n foo get imageupdateautomation agnhost -o jsonpath='{.status.conditions[?(@.type==\"MarkersResolved\")].message}'";
    let out = walk.sh(markers).await?;
    walk.report.contains(
        "the marker that leads nowhere is reported with file and line",
        &out.text,
        "foo/deployment.yaml:",
    );
    walk.report
        .contains("and by its policy", &out.text, "foobar:foobar");

    walk.report.chapter("Markers: the right ones");
    let out = walk
        .sh_in(
            APPS,
            "git pull -q\n\
             sed -i 's/foobar:foobar/foo:agnhost/' foo/deployment.yaml\n\
             sed -i 's/foobar:foobar/bar:agnhost/' bar/deployment.yaml\n\
             git commit -q -a -m 'fix: markers name the policies of foo and bar.'\n\
             git push -q origin main\n\
             git rev-parse HEAD",
        )
        .await?;
    let marked = out.text.trim().to_owned();
    for app in BOTH {
        walk.sh(&format!(
            "kubectl flux reconcile image update agnhost -n {app}"
        ))
        .await?;
        walk.image_of(app, &format!("{image}:2.51")).await?;
    }
    let out = walk
        .sh_in(
            APPS,
            &format!("git pull -q\ngit diff --numstat {marked} HEAD"),
        )
        .await?;
    walk.report.check(
        "exactly one line changed in each Deployment",
        out.text == "1\t1\tbar/deployment.yaml\n1\t1\tfoo/deployment.yaml\n",
        &out.text,
    );
    let out = walk
        .sh_in(APPS, "cat */deployment.yaml | grep image:")
        .await?;
    let lines: Vec<_> = out.text.lines().map(str::trim).collect();
    walk.report.check(
        "the files say 2.51 and keep their markers",
        lines
            == [
                format!("image: {image}:2.51 # {{\"$imagepolicy\": \"bar:agnhost\"}}"),
                format!("image: {image}:2.51 # {{\"$imagepolicy\": \"foo:agnhost\"}}"),
            ],
        &out.text,
    );
    let out = walk
        .sh_in(APPS, "git log -1 --format='%an <%ae>%n%B'")
        .await?;
    walk.report.check(
        "the commit has the author and the message of the template",
        out.text.trim()
            == format!("FluxCD <19983231-papafrancky@users.noreply.github.com>\n{image}:2.51"),
        &out.text,
    );
    new_tag(walk, &image).await
}

async fn new_tag(walk: &mut Walk, image: &str) -> Result<()> {
    walk.report
        .chapter("A new tag reaches the cluster by itself");
    walk.push_tag("2.52").await?;
    let started = Instant::now();
    for app in BOTH {
        walk.sh(&format!(
            "kubectl flux reconcile image repository agnhost -n {app}"
        ))
        .await?;
    }
    for app in BOTH {
        walk.image_of(app, &format!("{image}:2.52")).await?;
    }
    walk.figures.new_tag_both = started.elapsed();
    walk.push_tag("2.53").await?;
    let took = walk.time_new_tag("foo", &format!("{image}:2.53")).await?;
    walk.figures.new_tag = took;
    walk.report.check(
        "tag pushed and scan requested to Deployment changed: within 10 seconds",
        took < Duration::from_secs(10),
        &format!("{took:?}"),
    );
    let out = walk
        .sh_in(APPS, "git pull -q\ngit log --format='%an: %s' -6")
        .await?;
    walk.report.contains(
        "the way there is in Git",
        &out.text,
        &format!("FluxCD: {image}:2.52"),
    );
    Ok(())
}
