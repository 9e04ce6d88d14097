//! ImageRepositories and ImagePolicies.

use anyhow::Result;

use super::apps::BOTH;
use super::sources::reconcile_root;
use super::walk::{FLEET, Walk};

pub(super) async fn run(walk: &mut Walk) -> Result<()> {
    let image = walk.image()?;
    walk.report.chapter("ImageRepositories");
    let authority = walk.registry_authority().await?;
    let mut script = String::new();
    for app in BOTH {
        script.push_str(&format!(
            "kubectl flux create image repository agnhost --image={image} --interval=5m \
             --namespace={app}{authority} --export > apps/{app}/agnhost.imagerepository.yaml\n"
        ));
    }
    script.push_str(
        "git add .\n\
         git commit -q -m \"feat: added image repository for foo and bar apps.\"\n\
         git push -q origin main",
    );
    walk.sh_in(FLEET, &script).await?;
    reconcile_root(walk).await?;
    for app in BOTH {
        walk.condition(
            "imagerepository",
            app,
            "agnhost",
            "successful scan: found 27 tags",
        )
        .await?;
    }
    let out = walk
        .sh("kubectl -n foo get imagerepository agnhost -o jsonpath='{.status.lastScanResult.latestTags}'")
        .await?;
    walk.report.check(
        "the ten tags that the walk lists are shown",
        out.text.trim()
            == r#"["2.9","2.51","2.50","2.48","2.47","2.45","2.44","2.43","2.41","2.40"]"#,
        &out.text,
    );

    walk.report.chapter("ImagePolicies: a slip first");
    let mut script = String::new();
    for app in BOTH {
        script.push_str(&format!(
            "kubectl flux create image policy agnhost --image-ref=agnhost --namespace={app} \
             --select-numeric asc --filter-regex='\\d\\.\\d' --export > apps/{app}/agnhost.imagepolicy.yaml\n"
        ));
    }
    let out = walk.sh_in(FLEET, &script).await?;
    walk.report.contains(
        "the plugin says that the pattern is not anchored",
        &out.text,
        "IP17",
    );
    walk.report.contains(
        "and that decimals are compared",
        &out.text,
        "2.9 beats 2.51",
    );
    let out = walk
        .sh_in(FLEET, "kubectl apply -f apps/foo/agnhost.imagepolicy.yaml")
        .await?;
    walk.report.contains(
        "the webhook says what the policy would select",
        &out.text,
        "[IP23]",
    );
    walk.report.contains("it is 2.9", &out.text, "\"2.9\"");
    walk.condition(
        "imagepolicy",
        "foo",
        "agnhost",
        &format!("{image} resolved to 2.9"),
    )
    .await?;

    walk.report.chapter("ImagePolicies: as the walk shows them");
    for app in BOTH {
        let policy = walk.seed(&format!("imagepolicy-{app}.yaml"))?;
        walk.write(
            FLEET,
            &format!("apps/{app}/agnhost.imagepolicy.yaml"),
            &policy,
        )?;
    }
    walk.sh_in(
        FLEET,
        "git add .\n\
         git commit -q -m \"feat: defined an image policy for foo and bar apps.\"\n\
         git push -q origin main",
    )
    .await?;
    reconcile_root(walk).await?;
    for app in BOTH {
        walk.condition(
            "imagepolicy",
            app,
            "agnhost",
            &format!("{image} resolved to 2.51"),
        )
        .await?;
    }
    let out = walk
        .sh("kubectl get imagepolicies.v1beta2.image.toolkit.fluxcd.io -A")
        .await?;
    let rows: Vec<Vec<&str>> = out
        .text
        .lines()
        // kubectl also says that this version is deprecated.
        .filter(|line| !line.starts_with("Warning:"))
        .map(|l| l.split_whitespace().collect())
        .collect();
    let latest = format!("{image}:2.51");
    walk.report.check(
        "the columns of the walk's version show the latest image",
        rows == [
            vec!["NAMESPACE", "NAME", "LATESTIMAGE"],
            vec!["bar", "agnhost", latest.as_str()],
            vec!["foo", "agnhost", latest.as_str()],
        ],
        &out.text,
    );
    let out = walk.sh("kubectl flux get images policy -A").await?;
    walk.report
        .contains("so does the plugin", &out.text, "2.51");
    Ok(())
}
