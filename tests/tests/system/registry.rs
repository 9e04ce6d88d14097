//! The image registry holds what the walk's scan finds.

use flux_tests::sandbox::{
    Options, Sandbox,
    registry::{AGNHOST, AGNHOST_SIGNATURE_TAG, AGNHOST_TAGS},
};

#[tokio::test]
async fn holds_the_tags_of_the_walk() {
    let options = Options {
        control_plane: false,
        registry: true,
        ..Options::default()
    };
    let sandbox = Sandbox::start(options).await.unwrap();
    let registry = sandbox.registry().unwrap();
    registry.seed_agnhost().await.unwrap();

    let mut tags = registry.tags(AGNHOST).await.unwrap();
    tags.sort();
    assert_eq!(tags.len(), 28);
    let mut expected: Vec<&str> = AGNHOST_TAGS
        .into_iter()
        .chain([AGNHOST_SIGNATURE_TAG])
        .collect();
    expected.sort_unstable();
    assert_eq!(tags, expected);

    let (old, new) = tokio::try_join!(
        registry.digest(AGNHOST, "2.39"),
        registry.digest(AGNHOST, "2.51")
    )
    .unwrap();
    assert_ne!(old, new);

    registry
        .push_tags(AGNHOST, &["2.52", "2.39"])
        .await
        .unwrap();
    assert_eq!(registry.tags(AGNHOST).await.unwrap().len(), 29);
    assert_eq!(
        registry.digest(AGNHOST, "2.39").await.unwrap(),
        old,
        "pushed again, the same"
    );
    assert!(registry.digest(AGNHOST, "9.99").await.is_err());
}
