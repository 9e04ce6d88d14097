//! The apps foo and bar in their repository, laid out as in the walk.

use anyhow::Result;

use super::walk::{APPS, Walk};

pub(super) const BOTH: [&str; 2] = ["foo", "bar"];

pub(super) async fn run(walk: &mut Walk) -> Result<()> {
    walk.report.chapter("Two apps");
    for app in BOTH {
        let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {app}\n");
        walk.write(APPS, &format!("{app}/namespace.yaml"), &namespace)?;
        let deployment = walk.seed(&format!("deployment-{app}.yaml"))?;
        walk.write(APPS, &format!("{app}/deployment.yaml"), &deployment)?;
        // The walk's heredoc is closed by an indented EOF, which therefore lands in the file.
        let service = walk.seed(&format!("service-{app}-verbatim.yaml"))?;
        walk.write(APPS, &format!("{app}/service.yaml"), &service)?;
    }
    let out = walk
        .sh_in(
            APPS,
            "find . -name '*.yaml' | sort\n\
             git add .\n\
             git commit -q -m 'feat: added foobar app.'\n\
             git push -q origin main",
        )
        .await?;
    walk.report.check(
        "both apps are in Git",
        out.ok && out.text.lines().count() == 6,
        &out.text,
    );

    walk.report.chapter("Deploy keys");
    let url = walk.ssh_url(APPS)?;
    // As in the walk: no user in the URL, no .git at its end. A user other than `git` is needed.
    let bare = url.replacen("ssh://git@", "ssh://", 1).replace(".git", "");
    let key = walk.guest.as_ref().and_then(|guest| guest.key());
    let (key, shown) = match key {
        None => (String::new(), "✚ deploy key: ecdsa-sha2-nistp384 "),
        Some(key) => (
            format!(" --private-key-file='{}'", key.display()),
            "✚ deploy key: ",
        ),
    };
    for app in BOTH {
        let out = walk
            .sh(&format!(
                "kubectl flux create secret git k8s-kind-apps --url={bare} --namespace={app}{key}"
            ))
            .await?;
        walk.report.contains(
            &format!("the deploy key of {app} is made and shown"),
            &out.text,
            shown,
        );
        walk.add_deploy_key(app, "k8s-kind-apps", APPS, true)
            .await?;
    }
    let out = walk
        .sh("kubectl -n foo get secret k8s-kind-apps -o go-template='{{range $key, $value := .data}}{{println $key}}{{end}}'")
        .await?;
    walk.report.check(
        "the Secret holds identity, identity.pub and known_hosts",
        out.text
            .split_whitespace()
            .eq(["identity", "identity.pub", "known_hosts"]),
        &out.text,
    );
    Ok(())
}
