//! The manifests that the product is measured by deserialize, and nothing of them is lost.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::fs;
use std::path::Path;

use flux_api::{GitRepository, ImagePolicy, ImageRepository, ImageUpdateAutomation, Kustomization};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads `tests/fixtures/seed/<name>.yaml`.
fn fixture(name: &str) -> Value {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/seed");
    let text = fs::read_to_string(directory.join(name).with_extension("yaml")).unwrap();
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Through the type and back: the same but for the version, which is the stored one.
fn assert_nothing_is_lost<K: DeserializeOwned + Serialize>(name: &str, version: &str) -> K {
    let mut written = fixture(name);
    let (group, found) = written["apiVersion"]
        .as_str()
        .unwrap()
        .split_once('/')
        .unwrap();
    assert_eq!(found, version, "{name}");
    let stored = format!("{group}/v1");

    let object: K = serde_json::from_value(written.clone()).unwrap();
    written["apiVersion"] = stored.into();
    assert_eq!(serde_json::to_value(&object).unwrap(), written, "{name}");
    object
}

const APPS: [&str; 2] = ["foo", "bar"];

#[test]
fn git_repositories() {
    for app in APPS {
        let name = format!("gitrepository-{app}");
        let object: GitRepository = assert_nothing_is_lost(&name, "v1beta2");
        assert_eq!(
            object.spec.url,
            "ssh://git@github.com/papafrancky/k8s-kind-apps.git"
        );
        assert_eq!(object.spec.interval.as_std().as_secs(), 60);
        let branch = object.spec.reference.and_then(|reference| reference.branch);
        assert_eq!(branch.as_deref(), Some("main"));
    }
}

#[test]
fn kustomizations() {
    for app in APPS {
        let name = format!("kustomization-{app}");
        let object: Kustomization = assert_nothing_is_lost(&name, "v1beta2");
        assert!(object.spec.prune);
        assert_eq!(object.spec.path, Some(format!("./{app}")));
        assert_eq!(object.spec.source_ref.namespace.as_deref(), Some(app));
    }
}

#[test]
fn image_repositories() {
    for app in APPS {
        let name = format!("imagerepository-{app}");
        let object: ImageRepository = assert_nothing_is_lost(&name, "v1beta2");
        assert_eq!(object.spec.interval.as_str(), "5m0s");

        let name = format!("imagerepository-{app}-observed");
        let object: ImageRepository = assert_nothing_is_lost(&name, "v1beta2");
        let result = object.status.unwrap().last_scan_result.unwrap();
        assert_eq!((result.tag_count, result.latest_tags.len()), (27, 10));
    }
}

#[test]
fn image_policies() {
    for app in APPS {
        let name = format!("imagepolicy-{app}");
        let object: ImagePolicy = assert_nothing_is_lost(&name, "v1beta2");
        let filter = object.spec.filter_tags.unwrap();
        assert_eq!(
            (filter.pattern.as_str(), filter.extract.as_str()),
            (r"\d\.\d\d", "")
        );
    }
}

#[test]
fn image_update_automations() {
    for app in APPS {
        let name = format!("imageupdateautomation-{app}");
        let object: ImageUpdateAutomation = assert_nothing_is_lost(&name, "v1beta1");
        let commit = object.spec.git.unwrap().commit;
        let template = "{{range .Updated.Images}}{{println .}}{{end}}";
        assert_eq!(commit.message_template.as_deref(), Some(template));
    }
}
