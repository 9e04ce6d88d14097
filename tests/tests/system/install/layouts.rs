//! The layouts in `manifests/components/`: they build, and the operator knows their flags.

use std::path::Path;

use flux_tests::env::Env;
use serde_json::{Value, json};

use crate::layout;

/// The objects of everything with some components.
async fn objects(env: &Env, components: &[&str]) -> Vec<Value> {
    let text = layout::build(env, components, None).await;
    serde_yaml::Deserializer::from_str(&text)
        .map(|document| serde::Deserialize::deserialize(document).unwrap())
        .collect()
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let is = |o: &&Value| o["kind"] == kind && o["metadata"]["name"] == name;
    objects.iter().find(is).unwrap()
}

/// Checks that a Deployment has these arguments, and that its program knows all that it has.
fn check(operator: &Path, objects: &[Value], name: &str, wanted: &[&str]) {
    let deployment = find(objects, "Deployment", name);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let args: Vec<String> = serde_json::from_value(container["args"].clone()).unwrap();
    let output = std::process::Command::new(operator)
        .args(&args)
        .arg("--help")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}");
    for flag in wanted {
        assert!(args.iter().any(|arg| arg == flag), "{flag}: {args:?}");
    }
}

#[tokio::test]
async fn layouts_are_what_the_operator_understands() {
    let env = Env::shared().await.unwrap();
    let operator = &env.build_binaries().await.unwrap().operator;
    let tenants = [
        "--no-cross-namespace-refs",
        "--no-remote-bases",
        "--default-service-account=default",
    ];
    let one = objects(env, &["multi-tenant"]).await;
    check(operator, &one, "sync-operator", &tenants);

    let two = objects(env, &["split", "multi-tenant"]).await;
    for (name, controllers) in [
        ("sync-operator", "kustomize-controller"),
        (
            "sync-operator-sources",
            "source-controller,image-reflector-controller,image-automation-controller",
        ),
    ] {
        let controllers = format!("--controllers={controllers}");
        let own = [controllers.as_str(), "--enable-leader-election"];
        check(operator, &two, name, &[&own, &tenants[..]].concat());
    }
    let service = find(&two, "Service", "source-controller");
    let pods = json!({"app": "sync-operator-sources"});
    assert_eq!(service["spec"]["selector"], pods);
}
