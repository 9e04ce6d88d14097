//! What a sweep and a reservation may touch.

use super::*;

fn state() -> (tempfile::TempDir, State) {
    let root = tempfile::tempdir().unwrap();
    let state = State::at(root.path().join("state")).unwrap();
    (root, state)
}

#[test]
fn a_folder_with_other_files_is_refused() {
    let (root, state) = state();
    let dir = root.path().join("mine");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("thesis.tex"), "x").unwrap();
    assert!(matches!(
        state.register(&dir, false),
        Err(Error::Foreign(_))
    ));
    assert!(dir.join("thesis.tex").exists());
}

#[test]
fn a_folder_in_use_is_refused_and_one_used_before_is_emptied() {
    let (root, state) = state();
    let dir = root.path().join("box");
    let record = state.register(&dir, false).unwrap();
    assert!(matches!(
        state.register(&dir, false),
        Err(Error::InUse { .. })
    ));
    state.forget(&record);
    fs::write(dir.join("old"), "x").unwrap();
    state.register(&dir, false).unwrap();
    assert!(!dir.join("old").exists());
}

#[test]
fn a_sweep_ends_processes_of_dead_owners_only() {
    use std::os::unix::process::CommandExt;
    let (root, state) = state();
    let live = state.register(&root.path().join("live"), true).unwrap();
    let mut dead = state.register(&root.path().join("dead"), true).unwrap();
    let mut child = std::process::Command::new("sleep")
        .arg("60")
        .process_group(0)
        .spawn()
        .unwrap();
    let id = ProcessId::of(child.id().try_into().unwrap()).unwrap();
    let stranger = ProcessId {
        started: id.started + 1,
        ..ProcessId::current().unwrap()
    };
    dead.processes = vec![
        RecordedProcess {
            name: "sleep".into(),
            id,
        },
        RecordedProcess {
            name: "pid reused".into(),
            id: stranger,
        },
    ];
    dead.owner.started += 1;
    state.store(&dead).unwrap();

    // Not reaped while the sweep runs: a zombie must count as gone.
    let swept = state.sweep().unwrap();
    assert_eq!(swept.len(), 1);
    assert!(!dead.dir.exists());
    assert!(live.dir.exists());
    assert_eq!(state.list().unwrap().len(), 1);
    child.wait().unwrap();
}
