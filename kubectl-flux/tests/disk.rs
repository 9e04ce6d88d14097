//! A disk that is full in the middle of the work: what was there stays as it was.

use std::process::Command;

/// On a file system of its own, of 64 KiB: two files with old manifests and a few free pages, of
/// which the first file needs one and the second more than there are. In a private mount
/// namespace, so that nothing is left behind.
const SCRIPT: &str = r#"
set -eu
mount -t tmpfs -o size=64k none "$1"
cd "$1"
manifest() {
    printf 'apiVersion: kustomize.toolkit.fluxcd.io/v1beta2\nkind: Kustomization\n'
    printf 'metadata: {name: %s}\nspec: {interval: 5m, prune: true}\n' "$1"
}
manifest a > a.yaml
{ manifest b; head -c 20000 /dev/zero | tr '\0' '#'; echo; } > b.yaml
cat a.yaml b.yaml > ../before
while head -c 4096 /dev/zero >> filler 2>/dev/null; do :; done
truncate -s -8192 filler
status=0
"$2" migrate -f . --yes 2> ../said || status=$?
cat a.yaml b.yaml > ../after
ls -A > ../names
rm filler
"$2" migrate -f . --yes 2> ../said.later
cat a.yaml > ../later
exit "$status"
"#;

#[test]
fn migrate_writes_all_files_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let output = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            SCRIPT,
            "sh",
        ])
        .arg(&disk)
        .arg(env!("CARGO_BIN_EXE_kubectl-flux"))
        .output();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    if !folder.path().join("before").exists() {
        // Containers and hardened systems keep people from mounting.
        eprintln!("skipped: no file system of its own can be mounted: {output:?}");
        return;
    }
    let code = output.as_ref().unwrap().status.code();
    assert_eq!(code, Some(1), "{output:?}");
    let said = read("said");
    assert!(
        said.ends_with("\u{2717} cannot write: ./b.yaml: No space left on device (os error 28)\n"),
        "{said}"
    );
    assert_eq!(read("before"), read("after"), "{said}");
    assert_eq!(read("names"), "a.yaml\nb.yaml\nfiller\n");
    assert!(read("said.later").contains("2 files migrated"));
    assert!(read("later").contains("fluxcd.io/v1\n"));
}
