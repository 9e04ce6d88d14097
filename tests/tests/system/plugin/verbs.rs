//! Verbs that change objects.

use super::{POLICIES, Place};

const REASON: &str = "{.metadata.annotations.flux-sync\\.io/suspend-reason}";

#[tokio::test]
async fn objects_are_suspended_with_a_reason_and_resumed() {
    let place = Place::new("plugin-suspend").await;
    place.apply(POLICIES).await;

    let output = place
        .flux(&[
            "suspend",
            "image",
            "policy",
            "one",
            "absent",
            "--reason=frozen for the fair",
        ])
        .await;
    // What is missing does not keep the rest from being done, and is not success either.
    let said = output.failure().unwrap();
    let namespace = &place.namespace;
    assert!(
        said.contains(&format!(
            "► suspending image policy one in {namespace} namespace\n✔ image policy suspended\n"
        )),
        "{said}"
    );
    assert!(
        said.contains("imagepolicies.image.toolkit.fluxcd.io \"absent\" not found"),
        "{said}"
    );
    assert_eq!(
        place.field("imagepolicy/one", "{.spec.suspend}").await,
        "true"
    );
    assert_eq!(
        place.field("imagepolicy/one", REASON).await,
        "frozen for the fair"
    );

    let resumed = place.flux(&["resume", "image", "policy", "--all"]).await;
    resumed.success().unwrap();
    assert_eq!(place.field("imagepolicy/one", "{.spec.suspend}").await, "");
    assert_eq!(place.field("imagepolicy/one", REASON).await, "");

    let all = place
        .flux(&["suspend", "image", "policy", "-l", "team=web"])
        .await;
    all.success().unwrap();
    let suspended = place
        .field("imagepolicies", "{.items[*].spec.suspend}")
        .await;
    assert_eq!(suspended, "true");
    let nothing = place.flux(&["suspend", "ks"]).await.failure().unwrap();
    assert!(
        nothing.contains("✗ Kustomization name is required"),
        "{nothing}"
    );
}

#[tokio::test]
async fn an_export_can_be_applied_again() {
    let place = Place::new("plugin-export").await;
    place.apply(POLICIES).await;
    place
        .apply(
            "
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {username: me, password: secret}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: app}
spec: {url: 'https://example.test/app', interval: 1m, ref: {branch: main}, secretRef: {name: login}}
",
        )
        .await;

    let policies = place.flux(&["export", "image", "policy", "--all"]).await;
    let policies = policies.success().unwrap();
    assert_eq!(policies.matches("---\n").count(), 2, "{policies}");
    assert!(
        !policies.contains("uid") && !policies.contains("status"),
        "{policies}"
    );
    let source = place
        .flux(&["export", "source", "git", "app", "--with-credentials"])
        .await
        .success()
        .unwrap();
    assert!(source.contains("kind: Secret\n"), "{source}");

    let deleted = place
        .flux(&["delete", "image", "policy", "one", "two", "--silent"])
        .await;
    let said = deleted.stderr.clone();
    deleted.success().unwrap();
    assert_eq!(
        said.matches("✔ image policy deleted\n").count(),
        2,
        "{said}"
    );
    let args = ["apply", "-f", "-"];
    let applied = place
        .env
        .kubectl_with_input(&args, &policies)
        .await
        .unwrap();
    assert_eq!(applied.success().unwrap().matches(" created").count(), 2);
    let again = place.env.kubectl_with_input(&args, &source).await.unwrap();
    let again = again.success().unwrap();
    assert!(!again.contains("created"), "{again}");
}

#[tokio::test]
async fn a_deletion_that_nobody_agreed_to_is_none() {
    let place = Place::new("plugin-delete").await;
    place.apply(POLICIES).await;
    let refused = place.flux(&["delete", "image", "policy", "one"]).await;
    let said = refused.failure().unwrap();
    assert!(said.contains("--silent"), "{said}");
    assert_eq!(
        place.field("imagepolicy/one", "{.metadata.name}").await,
        "one"
    );
}
