use serde_json::json;

use super::*;
use crate::seen::Reading;

const MANAGER: &str = "kustomize-controller";

fn owner(name: &str) -> Owner {
    Owner {
        name: name.into(),
        namespace: "flux-system".into(),
    }
}

fn key() -> GroupKind {
    (String::new(), "ConfigMap".into())
}

fn id() -> ObjectId {
    ObjectId {
        namespace: "a".into(),
        name: "x".into(),
        group: String::new(),
        kind: "ConfigMap".into(),
    }
}

fn desired() -> Value {
    json!({"metadata": {"name": "x"}, "data": {"a": "1", "b": "2"}})
}

/// The object at a version, with these keys of `data` ours.
fn reading(version: u64, ours: &[&str]) -> Reading {
    let data: serde_json::Map<_, _> = ours
        .iter()
        .map(|key| (format!("f:{key}"), json!({})))
        .collect();
    let object = json!({"metadata": {"name": "x", "namespace": "a", "uid": "u",
        "resourceVersion": version.to_string(),
        "labels": {"kustomize.toolkit.fluxcd.io/name": "apps",
            "kustomize.toolkit.fluxcd.io/namespace": "flux-system"},
        "managedFields": [{"manager": MANAGER, "operation": "Apply", "fieldsV1": {"f:data": data}}]}});
    Reading::parse(object.to_string().as_bytes(), &MANAGER.into()).unwrap()
}

/// A table whose kind was listed when it was empty.
fn table() -> (Live, mpsc::UnboundedReceiver<Drift>) {
    let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let (live, drifts) = Live::new(Client::try_from(config).unwrap(), MANAGER);
    live.0.kinds().entry(key()).or_default().followed = true;
    live.0.listed(&key(), &HashSet::new(), 1);
    (live, drifts)
}

fn look(live: &Live) -> Look {
    live.look(&id(), &owner("apps"), 7)
}

fn is_settled(live: &Live, name: &str) -> bool {
    live.is_settled(&owner(name), &[id()], &|_, first| first.name == "first")
}

fn settled(live: &Live) -> bool {
    matches!(look(live), Look::There { settled: true, .. })
}

#[tokio::test]
async fn an_applied_object_is_settled_until_somebody_changes_it() {
    let (live, mut drifts) = table();
    assert_eq!(look(&live), Look::Absent { lost: false });
    // The watch may show our write before its answer arrives.
    live.0.see(&key(), reading(5, &["a", "b"]));
    assert!(!settled(&live));
    live.applied(&id(), &owner("apps"), 7, &reading(5, &["a", "b"]).seen);
    assert!(settled(&live));
    assert!(is_settled(&live, "apps"));
    assert!(!is_settled(&live, "other"));
    assert!(matches!(
        live.look(&id(), &owner("apps"), 8),
        Look::There { settled: false, .. }
    ));

    // A status, or a field that is not ours.
    live.0.see(&key(), reading(6, &["a", "b"]));
    assert!(settled(&live));
    assert!(drifts.try_recv().is_err());

    live.0.see(&key(), reading(7, &["a"]));
    assert_eq!(drifts.try_recv().unwrap().id, id());
    assert!(matches!(look(&live), Look::There { drifted: true, .. }));
    // Its next status is no further change.
    live.0.see(&key(), reading(8, &["a"]));
    assert!(drifts.try_recv().is_err());

    // While we write, what is shown is not judged; afterwards it is.
    live.begin(&id());
    live.0.see(&key(), reading(9, &["b"]));
    assert!(drifts.try_recv().is_err());
    live.applied(&id(), &owner("apps"), 7, &reading(8, &["a", "b"]).seen);
    assert_eq!(drifts.try_recv().unwrap().owner, owner("apps"));
}

#[tokio::test]
async fn an_object_that_asks_to_be_left_alone_is_not_reported() {
    let (live, mut drifts) = table();
    live.applied(&id(), &owner("apps"), 7, &reading(5, &["a", "b"]).seen);
    let disabled = |version| {
        let mut reading = reading(version, &["a"]);
        reading.seen.marks.reconcile_disabled = true;
        reading
    };
    live.0.see(&key(), disabled(6));
    live.0.see(&key(), disabled(7));
    assert!(drifts.try_recv().is_err());
    // It no longer does.
    live.0.see(&key(), reading(8, &["a"]));
    assert_eq!(drifts.try_recv().unwrap().id, id());
}

#[tokio::test]
async fn a_deleted_object_is_reported_and_a_pruned_one_is_not() {
    let (live, mut drifts) = table();
    live.applied(&id(), &owner("apps"), 7, &reading(5, &["a"]).seen);
    live.0.lose(&key(), &reading(6, &["a"]));
    assert_eq!(drifts.try_recv().unwrap().id, id());
    assert_eq!(look(&live), Look::Absent { lost: true });

    live.applied(&id(), &owner("apps"), 7, &reading(8, &["a"]).seen);
    live.release(&id(), &owner("apps"));
    live.0.lose(&key(), &reading(9, &["a"]));
    assert!(drifts.try_recv().is_err());
    assert_eq!(look(&live), Look::Absent { lost: false });
}

#[tokio::test]
async fn events_that_are_history_change_nothing() {
    let (live, mut drifts) = table();
    live.applied(&id(), &owner("apps"), 7, &reading(9, &["a"]).seen);
    live.0.see(&key(), reading(8, &[]));
    live.0.lose(&key(), &reading(7, &["a"]));
    assert!(settled(&live));
    assert!(drifts.try_recv().is_err());
    // A new list after an expired watch finds it gone.
    live.0.listed(&key(), &HashSet::new(), 12);
    assert!(drifts.try_recv().is_ok());
}

#[tokio::test]
async fn what_several_apply_is_left_to_their_intervals() {
    let (live, mut drifts) = table();
    for name in ["first", "second"] {
        live.applied(&id(), &owner(name), 7, &reading(5, &["a"]).seen);
    }
    live.0.see(&key(), reading(6, &[]));
    assert!(drifts.try_recv().is_err());
    assert!(!is_settled(&live, "first"));
}

#[tokio::test]
async fn what_an_earlier_process_applied_is_trusted_if_all_of_it_is_still_ours() {
    let (live, _drifts) = table();
    live.0.see(&key(), reading(5, &["a"]));
    assert!(!live.trust(&id(), &owner("apps"), &desired(), 7));
    live.0.see(&key(), reading(6, &["a", "b"]));
    assert!(live.trust(&id(), &owner("apps"), &desired(), 7));
    assert!(settled(&live));
}

#[tokio::test]
async fn a_kind_is_believed_while_its_watch_works() {
    let (live, _drifts) = table();
    live.applied(&id(), &owner("apps"), 7, &reading(5, &["a"]).seen);
    live.0.failed(&key(), false);
    assert!(settled(&live), "a moment of disconnection is nothing");
    live.0.failed(&key(), true);
    assert_eq!(look(&live), Look::Blind);
    live.0.listed(&key(), &HashSet::new(), 6);
    assert_eq!(look(&live), Look::Absent { lost: true });
}

#[tokio::test]
async fn health_holds_for_one_version() {
    let (live, _drifts) = table();
    live.applied(&id(), &owner("apps"), 7, &reading(5, &["a"]).seen);
    assert!(!live.is_healthy(&id()));
    live.healthy(&id(), 5);
    assert!(live.is_healthy(&id()));
    live.0.see(&key(), reading(6, &["a"]));
    assert!(!live.is_healthy(&id()));
}

#[tokio::test]
async fn what_goes_of_itself_is_no_drift() {
    let (live, mut drifts) = table();
    live.note_expiring(&id());
    let applied = reading(2, &["a", "b"]).seen;
    live.applied(&id(), &owner("apps"), 7, &applied);
    assert!(live.may_have_expired(&id()));
    live.0.lose(&key(), &reading(3, &["a", "b"]));
    assert!(drifts.try_recv().is_err());
    assert!(matches!(look(&live), Look::Absent { lost: true }));
    live.release(&id(), &owner("apps"));
    assert!(!live.may_have_expired(&id()));
}
