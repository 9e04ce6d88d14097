//! Who is denied and who is warned: namespaces, the administrator's decisions, the background scan.

use serde_json::{Value, json};

use super::{Hook, PATIENCE, apply_all};

const SCP: &str = "git@github.com:org/repo";

fn repository(namespace: &str, name: &str, url: &str) -> Value {
    json!({"apiVersion": "source.toolkit.fluxcd.io/v1beta1", "kind": "GitRepository",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"url": url, "interval": "5m", "ref": {"branch": "main"}, "secretRef": {"name": "key"}}})
}

#[tokio::test]
async fn modes_decide_who_is_denied_and_the_scan_tells_of_the_rest() {
    let Hook { env, .. } = Hook::start(&[]).await;
    for namespace in ["apps", "lenient", "free", "strict"] {
        let created = env.kubectl(&["create", "namespace", namespace]).await;
        created.unwrap().success().unwrap();
    }
    for (namespace, mode) in [("lenient", "warn"), ("free", "off"), ("strict", "strict")] {
        let label = format!("admission.flux-sync.io/mode={mode}");
        env.kubectl(&["label", "namespace", namespace, &label])
            .await
            .unwrap()
            .success()
            .unwrap();
    }
    const PORT: &str = "ssh://git@github.com:org/repo";
    const EMBEDDED: &str = "https://me:token@github.com/org/repo";
    // The webhook hears of labels by watch, a moment later.
    env.wait_for("the labels", PATIENCE, async || {
        let dry = ["--dry-run=server"];
        let strict = apply_all(&env, &dry, &[repository("strict", "a", EMBEDDED)]).await;
        let lenient = apply_all(&env, &dry, &[repository("lenient", "a", PORT)]).await;
        let off = apply_all(&env, &dry, &[repository("free", "a", PORT)]).await;
        let apps = apply_all(&env, &dry, &[repository("apps", "a", EMBEDDED)]).await;
        let well = !strict.status.success()
            && strict.stderr.contains("[GR05]")
            && lenient.status.success()
            && lenient.stderr.contains("Warning: [GR02]")
            && off.status.success()
            && !off.stderr.contains("[GR02]")
            && apps.status.success()
            && apps.stderr.contains("Warning: [GR05]");
        well.then_some(())
            .ok_or_else(|| format!("{strict}\n{lenient}\n{off}\n{apps}"))
    })
    .await
    .unwrap();
    let denied = apply_all(&env, &[], &[repository("apps", "a", PORT)]).await;
    assert!(
        denied.stderr.contains("[GR02]") && !denied.status.success(),
        "{denied}"
    );
    let denied = apply_all(&env, &[], &[repository("apps", "a", SCP)]).await;
    assert!(
        denied.stderr.contains("[GR01]") && !denied.status.success(),
        "{denied}"
    );

    // A rule is made weaker for everybody; the object is there then, and the scan tells of it.
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "admission-webhook", "namespace": "flux-system"},
        "data": {"rules.GR02": "warn"}});
    apply_all(&env, &[], &[config]).await.success().unwrap();
    env.wait_for("the setting", PATIENCE, async || {
        let applied = apply_all(&env, &[], &[repository("apps", "a", PORT)]).await;
        let well = applied.status.success() && applied.stderr.contains("Warning: [GR02]");
        well.then_some(()).ok_or_else(|| applied.to_string())
    })
    .await
    .unwrap();
    env.wait_for("the event", PATIENCE, async || {
        let events = env
            .kubectl(&[
                "-n",
                "apps",
                "get",
                "events",
                "-o",
                "jsonpath={.items[*].message}",
            ])
            .await
            .map_err(|error| error.to_string())?;
        let well = events.stdout.contains("[GR02]");
        well.then_some(()).ok_or_else(|| events.to_string())
    })
    .await
    .unwrap();
    let all = env.kubectl(&["flux", "lint", "--all"]).await.unwrap();
    assert!(all.stdout.contains("GitRepository/apps/a"), "{all}");
    let enforced = ["flux", "lint", "--all", "--as-enforced"];
    let enforced = env.kubectl(&enforced).await.unwrap();
    assert!(
        !enforced.stdout.contains("[GR02]"),
        "only a warning here: {enforced}"
    );
}
