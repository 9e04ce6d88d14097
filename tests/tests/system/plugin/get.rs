//! Lists.

use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{POLICIES, Place};

#[tokio::test]
async fn lists_show_what_is_asked_for() {
    let place = Place::new("plugin-get").await;
    place.apply(POLICIES).await;
    let suspended = place
        .flux(&["suspend", "image", "policy", "one", "--reason=fair"])
        .await;
    suspended.success().unwrap();
    let names = |args: &'static [&'static str]| {
        let place = &place;
        async move {
            let mut all = vec!["get", "image", "policy", "-o", "name"];
            all.extend(args);
            place.flux(&all).await.success().unwrap()
        }
    };
    let (one, two) = (
        "imagepolicies.image.toolkit.fluxcd.io/one\n",
        "imagepolicies.image.toolkit.fluxcd.io/two\n",
    );
    assert_eq!(names(&["--suspended"]).await, one);
    assert_eq!(names(&["--not-ready"]).await, format!("{one}{two}"));
    let several = place
        .flux(&["get", "all", "--watch"])
        .await
        .failure()
        .unwrap();
    assert!(
        several.contains("expected a single resource type"),
        "{several}"
    );
}

#[tokio::test]
async fn forms_of_kubectl_and_objects_by_kind() {
    let place = Place::new("plugin-forms").await;
    let namespace = &place.namespace;
    place.apply(POLICIES).await;
    let automation = "
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageUpdateAutomation
metadata: {name: all}
spec: {interval: 1h, sourceRef: {kind: GitRepository, name: code}}
";
    place.apply(automation).await;
    let get = async |args: &[&str]| {
        let all = [&["get"], args].concat();
        place.flux(&all).await.success().unwrap()
    };
    let names =
        r#"-ojsonpath={range .items[*]}{.metadata.name}:{.spec.policy.semver.range}{"\n"}{end}"#;
    assert_eq!(
        get(&["image", "policy", names]).await,
        "one:>=1.0.0\ntwo:\n"
    );
    let columns = "custom-columns=NAME:.metadata.name,TEAM:.metadata.labels.team";
    assert_eq!(
        get(&["image", "policy", "-o", columns]).await,
        "NAME   TEAM\none    web\ntwo    <none>\n"
    );
    let one = ["imgpol/one", "-o", "jsonpath={.metadata.name}"];
    assert_eq!(get(&one).await, "one");
    assert_eq!(
        get(&["iua/all", "ImagePolicy/two", "--no-headers"]).await,
        "imageupdateautomation/all\t\tFalse\tFalse\twaiting to be reconciled\t\n\
         imagepolicy/two          \t\tFalse\tFalse\twaiting to be reconciled\t\n"
    );
    // All kinds in one table.
    let all = get(&["all"]).await;
    let lines: Vec<Vec<&str>> = all
        .lines()
        .map(|line| line.split('\t').map(str::trim).collect())
        .collect();
    assert_eq!(
        lines[0],
        ["NAME", "REVISION", "SUSPENDED", "READY", "MESSAGE"]
    );
    let first: Vec<&str> = lines[1..].iter().map(|line| line[0]).collect();
    assert_eq!(
        first,
        [
            "imagepolicy/one",
            "imagepolicy/two",
            "imageupdateautomation/all"
        ]
    );

    let chosen = ["all", "--field-selector=metadata.name=one", "--show-labels"];
    let chosen = get(&chosen).await;
    let (headers, rows) = chosen.split_once('\n').unwrap();
    assert!(headers.trim_end().ends_with("LABELS"), "{chosen}");
    assert!(rows.starts_with("imagepolicy/one\t"), "{chosen}");
    assert!(rows.ends_with("\tteam=web\t\n"), "{chosen}");
    assert_eq!(rows.lines().count(), 1, "{chosen}");

    // A watch tells each object by itself, in whatever form.
    let mut child = place
        .plugin(&["get", "image", "policy", "one", "--watch", "-o", "yaml"])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "---");
    let second = lines.next_line().await.unwrap().unwrap();
    assert_eq!(second, "apiVersion: image.toolkit.fluxcd.io/v1");
    child.kill().await.unwrap();

    let absent = place.flux(&["get", "ks/absent", "imgpol/one"]).await;
    assert!(absent.stdout.contains("imagepolicy/one"), "{absent}");
    let said = absent.failure().unwrap();
    assert!(
        said.contains(&format!(
            "Kustomization object 'absent' not found in \"{namespace}\" namespace"
        )),
        "{said}"
    );
    let wrong = place
        .flux(&["get", "deployment/x"])
        .await
        .failure()
        .unwrap();
    assert!(wrong.contains("'deployment/x' is not KIND/NAME"), "{wrong}");
}
