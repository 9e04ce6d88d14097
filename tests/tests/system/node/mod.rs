//! On a real node: the programs as pods, and what goes on when something of it breaks. Skipped,
//! with a line that says why, where no node can run.

mod cluster;
mod split;
mod upgrade;

use std::time::Duration;

use flux_tests::env::Env;

use self::cluster::{APP, Cluster};

/// For what takes several programs and a pull of an image, on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(120);

/// One after the other, because each of them concerns the whole node.
#[tokio::test]
async fn goes_on_whatever_breaks() {
    let Some(env) = Env::shared_with_node().await.unwrap() else {
        return;
    };
    the_machine_sees_nothing(env);
    let cluster = Cluster::install(env).await;
    cluster.deploy("2.39").await;
    a_missing_image_is_named_and_the_old_pod_goes_on(&cluster).await;
    an_operator_killed_in_the_middle_of_an_apply_finishes_it(&cluster).await;
    without_the_webhook_everything_is_let_through(&cluster).await;
    upgrade::under_load_nothing_restarts(&cluster).await;
    split::two_deployments_share_the_work(&cluster).await;
    after_a_reboot_everything_works(&cluster).await;
}

/// No interface, no mount and no rule of the node is seen outside of it.
fn the_machine_sees_nothing(env: &Env) {
    let interfaces = std::fs::read_to_string("/proc/net/dev").unwrap();
    assert!(!interfaces.contains("cni0"), "{interfaces}");
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let dir = env.sandbox().dir().display().to_string();
    assert!(!mounts.contains(&dir), "{mounts}");
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap();
    assert!(!hosts.contains("registry.k8s.io"), "{hosts}");
}

async fn a_missing_image_is_named_and_the_old_pod_goes_on(cluster: &Cluster) {
    cluster.commit("9.99");
    let message = cluster
        .wait_for("the missing image", async || {
            let message = cluster.ready_message().await;
            message.contains("Deployment/app/app").then_some(message)
        })
        .await;
    assert!(message.contains("health check"), "{message}");
    assert!(cluster.answers().await.unwrap().starts_with(APP));
    cluster.deploy("2.39").await;
}

async fn an_operator_killed_in_the_middle_of_an_apply_finishes_it(cluster: &Cluster) {
    const MANY: usize = 400;
    let file = |number: usize| {
        format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: many-{number}\n  \
             namespace: {APP}\n"
        )
    };
    cluster.write("many.yaml", &(0..MANY).map(file).collect::<String>());
    cluster.push("feat: many objects");
    let count = async || {
        let names = cluster
            .kubectl(&["-n", APP, "get", "configmaps", "-o", "name"])
            .await;
        names.lines().filter(|name| name.contains("many-")).count()
    };
    let begun = cluster
        .wait_for("the first objects", async || {
            let count = count().await;
            (count > 0).then_some(count)
        })
        .await;
    cluster
        .kubectl(&[
            "-n",
            "flux-system",
            "delete",
            "pod",
            "--selector=app=sync-operator",
            "--grace-period=0",
            "--force",
        ])
        .await;
    println!("operator killed after {begun} of {MANY} objects");
    cluster
        .wait_for("all objects", async || {
            (count().await == MANY).then_some(())
        })
        .await;
    cluster.copy.remove("many.yaml").unwrap();
    cluster.push("feat: none of them");
    cluster
        .wait_for("no object left behind", async || {
            (count().await == 0).then_some(())
        })
        .await;
}

async fn without_the_webhook_everything_is_let_through(cluster: &Cluster) {
    let scale = async |replicas: &str| {
        let replicas = format!("--replicas={replicas}");
        let deployment = "deployment/admission-webhook";
        cluster
            .kubectl(&["-n", "flux-system", "scale", deployment, &replicas])
            .await;
    };
    let bad = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: bad\n  \
               namespace: app\nspec:\n  defaultBackend:\n    service:\n      name: none\n      \
               port:\n        number: 80\n";
    let apply = ["apply", "--dry-run=server", "-f", "-"];
    let warned = cluster
        .wait_for("a warning of the webhook", async || {
            let output = cluster.env.kubectl_with_input(&apply, bad).await.unwrap();
            output.stderr.contains("[IN").then_some(output)
        })
        .await;
    assert!(warned.status.success(), "{warned}");

    scale("0").await;
    let pods = ["-n", "flux-system", "get", "pods", "-o", "name"];
    cluster
        .wait_for("the end of the webhook's pods", async || {
            let pods = cluster.kubectl(&pods).await;
            (!pods.contains("admission-webhook")).then_some(())
        })
        .await;
    let output = cluster.env.kubectl_with_input(&apply, bad).await.unwrap();
    assert!(output.status.success(), "{output}");
    assert!(!output.stderr.contains("[IN"), "{output}");
    scale("1").await;
}

async fn after_a_reboot_everything_works(cluster: &Cluster) {
    let before = cluster.answers().await.unwrap();
    cluster.env.node().unwrap().reboot().await.unwrap();
    let after = cluster
        .wait_for("an answer after the reboot", async || {
            cluster.answers().await
        })
        .await;
    // The pod is the same one, with a new container.
    assert_eq!(before, after);
    cluster.deploy("2.51").await;
}
