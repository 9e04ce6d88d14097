//! Lists.

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
