//! `diff kustomization` against a real API server.

use std::path::Path;

use super::Place;

/// What is in the cluster: objects of a Kustomization, of one that it applied, and of nobody.
const LIVE: &str = "
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: child, namespace: NS, labels: {OWNER: apps, OWNERNS: NS}}
spec: {interval: 1h, prune: true, path: ./child, sourceRef: {kind: GitRepository, name: code}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: NS, labels: {OWNER: apps, OWNERNS: NS}}
data: {size: '1', old: x}
---
apiVersion: v1
kind: Secret
metadata: {name: login, namespace: NS, labels: {OWNER: apps, OWNERNS: NS}}
stringData: {user: me, password: before}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: gone, namespace: NS, labels: {OWNER: apps, OWNERNS: NS}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: grandchild, namespace: NS, labels: {OWNER: child, OWNERNS: NS}}
";

const APPS: &str = "
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: NS}
spec: {interval: 1h, prune: true, path: ./, sourceRef: {kind: GitRepository, name: code}}
";

const WANTED: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: NS}
data: {size: '2'}
---
apiVersion: v1
kind: Secret
metadata: {name: login, namespace: NS}
stringData: {user: me, password: after}
---
apiVersion: v1
kind: Namespace
metadata: {name: NS-new}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: first, namespace: NS-new}
";

impl Place {
    fn fill(&self, text: &str) -> String {
        text.replace("OWNERNS", "kustomize.toolkit.fluxcd.io/namespace")
            .replace("OWNER", "kustomize.toolkit.fluxcd.io/name")
            .replace("NS", &self.namespace)
    }

    /// Applies objects as the operator does.
    async fn sync(&self, manifests: &str) {
        let args = [
            "apply",
            "--server-side",
            "--field-manager=kustomize-controller",
            "-f",
            "-",
        ];
        let manifests = self.fill(manifests);
        let applied = self.env.kubectl_with_input(&args, &manifests).await;
        applied.unwrap().success().unwrap();
    }

    async fn has_applied(&self, name: &str, ids: &[&str]) {
        let entries: Vec<String> = ids
            .iter()
            .map(|id| format!(r#"{{"id": "{id}", "v": "v1"}}"#))
            .collect();
        let entries = entries.join(",");
        let status = format!(r#"{{"status": {{"inventory": {{"entries": [{entries}]}}}}}}"#);
        let line = [
            "patch",
            "kustomization",
            name,
            "-n",
            &self.namespace,
            "--subresource=status",
            "--type=merge",
            "-p",
            &status,
        ];
        self.env.kubectl(&line).await.unwrap().success().unwrap();
    }
}

async fn scene(name: &str, folder: &Path) -> Place {
    let place = Place::new(name).await;
    std::fs::write(folder.join("all.yaml"), place.fill(WANTED)).unwrap();
    place.apply(&place.fill(APPS)).await;
    place.sync(LIVE).await;
    let ns = &place.namespace;
    let child = format!("{ns}_child_kustomize.toolkit.fluxcd.io_Kustomization");
    let ours = [
        format!("{ns}_settings__ConfigMap"),
        format!("{ns}_login__Secret"),
        format!("{ns}_gone__ConfigMap"),
        child,
    ];
    let ours: Vec<&str> = ours.iter().map(String::as_str).collect();
    place.has_applied("apps", &ours).await;
    let grandchild = format!("{ns}_grandchild__ConfigMap");
    place.has_applied("child", &[&grandchild]).await;
    place
}

/// What is printed, whoever compares.
fn expected(namespace: &str) -> String {
    format!(
        "► Namespace/{namespace}-new created\n\
         ► ConfigMap/{namespace}-new/first created\n\
         ► ConfigMap/{namespace}/settings drifted\n\
         \n\
         @@ -1,7 +1,6 @@\n \
         apiVersion: v1\n \
         data:\n\
         -  old: x\n\
         -  size: \"1\"\n\
         +  size: \"2\"\n \
         kind: ConfigMap\n \
         metadata:\n   \
         labels:\n\
         \n\
         ► Secret/{namespace}/login drifted\n\
         \n\
         @@ -1,6 +1,6 @@\n \
         apiVersion: v1\n \
         data:\n\
         -  password: '*** (before)'\n\
         +  password: '*** (after)'\n   \
         user: '***'\n \
         kind: Secret\n \
         metadata:\n\
         \n\
         ► ConfigMap/{namespace}/gone deleted\n\
         ► Kustomization/{namespace}/child deleted\n\
         ► ConfigMap/{namespace}/grandchild deleted (with Kustomization/{namespace}/child)\n"
    )
}

#[tokio::test]
async fn differences_with_new_namespaces_and_what_is_deleted_along() {
    let folder = tempfile::tempdir().unwrap();
    let place = scene("plugin-diff", folder.path()).await;
    let ns = &place.namespace;
    let path = format!("--path={}", folder.path().display());
    let output = place.flux(&["diff", "ks", "apps", &path]).await;
    assert_eq!(output.status.code(), Some(1), "{output}");
    assert_eq!(output.stdout, expected(ns), "{output}");
    assert_eq!(
        output.stderr.lines().collect::<Vec<_>>()[..2],
        [
            "► 2 created, 2 changed, 2 deleted, 1 more along with them",
            "⚠️ identified at least one change, exiting with non-zero exit code"
        ]
    );
    assert_eq!(
        place.field("configmap/settings", "{.data.size}").await,
        "1",
        "nothing was changed"
    );

    // Somebody who may only read gets the same answer, compared on this side.
    let reader = format!("reader-of-{ns}");
    let user = format!("--user={reader}");
    for line in [
        vec![
            "create",
            "clusterrole",
            &reader,
            "--verb=get,list",
            "--resource=*.*",
        ],
        vec![
            "create",
            "clusterrolebinding",
            &reader,
            "--clusterrole",
            &reader,
            &user,
        ],
    ] {
        place.env.kubectl(&line).await.unwrap().success().unwrap();
    }
    let as_reader = format!("--as={reader}");
    let output = place.flux(&["diff", "ks", "apps", &path, &as_reader]).await;
    assert_eq!(output.status.code(), Some(1), "{output}");
    assert_eq!(output.stdout, expected(ns), "{output}");
    assert!(
        output.stderr.contains("no right to patch 4 of the objects"),
        "{output}"
    );
    for kind in ["clusterrolebinding", "clusterrole"] {
        let deleted = place.env.kubectl(&["delete", kind, &reader]).await;
        deleted.unwrap().success().unwrap();
    }
}

#[tokio::test]
async fn no_difference_is_0_and_no_answer_is_2() {
    let folder = tempfile::tempdir().unwrap();
    let place = scene("plugin-same", folder.path()).await;
    let path = format!("--path={}", folder.path().display());
    let same = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: NS}
data: {size: '1', old: x}
";
    std::fs::write(folder.path().join("all.yaml"), place.fill(same)).unwrap();
    place.has_applied("apps", &[]).await;
    let output = place.flux(&["diff", "ks", "apps", &path]).await;
    assert_eq!(output.status.code(), Some(0), "{output}");
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));

    for (args, message) in [
        (vec!["diff", "ks"], "kustomization name is required"),
        (vec!["diff", "ks", "apps"], "invalid resource path \"\""),
        (
            vec!["diff", "ks", "apps", &path, "--nonsense"],
            "unknown flag",
        ),
        (vec!["diff", "ks", "absent", &path], "\"absent\" not found"),
        (
            vec!["diff", "ks", "apps", &path, "--kustomization-file=none"],
            "invalid kustomization file",
        ),
    ] {
        let output = place.flux(&args).await;
        assert_eq!(output.status.code(), Some(2), "{output}");
        assert!(output.stderr.contains(message), "{output}");
    }
    let absent = ["diff", "ks", "absent", &path, "--ignore-not-found"];
    place.flux(&absent).await.success().unwrap();

    // What the API server would refuse is no difference, and no "all is well" either.
    let wrong = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NS}
spec: {ports: [{port: 99999}]}
";
    std::fs::write(folder.path().join("all.yaml"), place.fill(wrong)).unwrap();
    let output = place.flux(&["diff", "ks", "apps", &path]).await;
    assert_eq!(output.status.code(), Some(2), "{output}");
    assert!(
        output.stderr.contains("must be between 1 and 65535"),
        "{output}"
    );
}
