//! Updates by pull request: a branch of its own, always one commit on top of the base, and nothing
//! while it waits to be merged.

use flux_api::{GitRepository, ImagePolicy, ImageUpdateAutomation};
use flux_tests::sandbox::wait;
use serde_json::json;

use super::{
    scene::{Repository, Scene},
    updating::{APP, PATIENCE, automation_with, image, marked, push_tag, writable},
};

const BRANCH: &str = "image-updates";

/// Branches of the server as they are now: each an id.
fn heads(repository: &Repository) -> [Option<String>; 2] {
    let fetch = ["fetch", "--quiet", "--prune", "origin"];
    repository.copy.git(&fetch).unwrap();
    ["main", BRANCH].map(|branch| {
        let name = format!("refs/remotes/origin/{branch}");
        let id = repository
            .copy
            .git(&["rev-parse", "--verify", "--quiet", &name]);
        id.ok().map(|id| id.trim().to_owned())
    })
}

/// Waits until the branch is one commit on top of main and proposes a tag; its id.
async fn proposed(repository: &Repository, tag: &str) -> String {
    let what = format!("{BRANCH} with {tag}");
    wait::until(&what, PATIENCE, None, async || {
        let [main, branch] = heads(repository);
        let branch = branch.ok_or("there is no branch")?;
        let git = |arguments: &[&str]| {
            let output = repository.copy.git(arguments);
            output.map_err(|error| error.to_string())
        };
        let content = git(&["show", &format!("{branch}:app.yaml")])?;
        let parent = git(&["rev-parse", &format!("{branch}^")])?;
        let stands = content.contains(tag) && Some(parent.trim()) == main.as_deref();
        stands.then_some(branch).ok_or(content)
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_branch_of_its_own_follows_the_base() {
    let scene = Scene::start("proposed").await;
    let repository = writable(&scene).await;
    let marked = marked(&scene.namespace, APP, "1.0.0");
    repository.commit(&[("app.yaml", Some(&marked))]);
    let [first, _] = heads(&repository);
    scene.ssh_source(APP, &repository).await;
    image(&scene, APP, &["1.0.0", "1.1.0"]).await;
    scene.ready::<ImagePolicy>(APP).await;
    automation_with(&scene, APP, "./", json!({"branch": BRANCH})).await;
    let branch = proposed(&repository, "1.1.0").await;
    scene.ready::<ImageUpdateAutomation>(APP).await;
    assert_eq!(heads(&repository), [first.clone(), Some(branch.clone())]);

    // While it waits, nothing: neither when somebody asks, nor when the source is read again.
    for _ in 0..3 {
        scene.reconcile::<ImageUpdateAutomation>(APP).await;
        scene.reconcile::<GitRepository>(APP).await;
    }
    assert_eq!(heads(&repository), [first, Some(branch)]);

    // A commit on the base: the branch is put on top of it, without anybody asking for it.
    repository.commit(&[("other.txt", Some("x"))]);
    scene.request::<GitRepository>(APP).await;
    let rebased = proposed(&repository, "1.1.0").await;
    let files = repository
        .copy
        .git(&["ls-tree", "--name-only", &rebased])
        .unwrap();
    assert!(files.contains("other.txt"), "{files}");

    // A newer tag takes the place of the one that waits.
    push_tag(&scene, APP, "1.2.0").await;
    let newer = proposed(&repository, "1.2.0").await;

    // Merged, and the branch removed: nothing is left to do, and no branch comes back.
    repository
        .copy
        .git(&["merge", "--quiet", "--ff-only", &newer])
        .unwrap();
    repository
        .copy
        .git(&["push", "--quiet", "origin", "HEAD:main"])
        .unwrap();
    let delete = format!(":{BRANCH}");
    repository
        .copy
        .git(&["push", "--quiet", "origin", &delete])
        .unwrap();
    scene.reconcile::<GitRepository>(APP).await;
    scene.reconcile::<ImageUpdateAutomation>(APP).await;
    scene.ready::<ImageUpdateAutomation>(APP).await;
    assert_eq!(heads(&repository), [Some(newer), None]);

    // And it goes on from there.
    push_tag(&scene, APP, "1.3.0").await;
    proposed(&repository, "1.3.0").await;
    scene.ready::<ImageUpdateAutomation>(APP).await;
}

#[tokio::test]
async fn a_branch_that_is_deleted_unmerged_comes_back_at_the_interval() {
    let scene = Scene::start("deleted").await;
    let repository = writable(&scene).await;
    let marked = marked(&scene.namespace, APP, "1.0.0");
    repository.commit(&[("app.yaml", Some(&marked))]);
    scene.ssh_source(APP, &repository).await;
    image(&scene, APP, &["1.0.0", "1.1.0"]).await;
    scene.ready::<ImagePolicy>(APP).await;
    automation_with(&scene, APP, "./", json!({"branch": BRANCH})).await;
    scene
        .patch::<ImageUpdateAutomation>(APP, json!({"spec": {"interval": "1s"}}))
        .await;
    proposed(&repository, "1.1.0").await;
    scene.ready::<ImageUpdateAutomation>(APP).await;
    let delete = format!(":{BRANCH}");
    let push = ["push", "--quiet", "origin", &delete];
    repository.copy.git(&push).unwrap();
    proposed(&repository, "1.1.0").await;
    scene.ready::<ImageUpdateAutomation>(APP).await;
}
