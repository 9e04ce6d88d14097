//! The two images hold what their programs need to run, and nothing else.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use flux_tests::{
    env::Binaries,
    image::{
        Compression, Image, digest,
        elf::Linkage,
        product::{self, HOST_AUTHORITIES, Parts},
    },
    release::{Programs, sbom},
    sandbox::{
        Options, Sandbox,
        programs::{Program, Search},
    },
};
use serde_json::Value;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Both images with the programs of this tree, and the folder they are from.
fn images() -> (Image, Image) {
    let binaries = Binaries::build().unwrap();
    let programs = Search::new(None).require(&[Program::Kustomize]).unwrap();
    let parts = Parts {
        operator: &binaries.operator,
        webhook: &binaries.webhook,
        kustomize: programs.path(Program::Kustomize).unwrap(),
        authorities: Path::new(HOST_AUTHORITIES),
        version: VERSION,
        compression: Compression::None,
    };
    let operator = product::sync_operator(&parts).unwrap();
    (operator, product::admission_webhook(&parts).unwrap())
}

/// Fetches an image as a node does, checks every digest on the way, and unpacks it.
async fn pull(sandbox: &Sandbox, repository: &str, pinned: &str, root: &Path) -> Value {
    let remote = sandbox.registry().unwrap().remote();
    let manifest = remote.manifest(repository, pinned).await.unwrap();
    assert_eq!(digest(&manifest), pinned);
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let fetch = async |descriptor: &Value| {
        let name = descriptor["digest"].as_str().unwrap();
        let content = remote.blob(repository, name).await.unwrap();
        assert_eq!(digest(&content), name);
        assert_eq!(Some(content.len() as u64), descriptor["size"].as_u64());
        content
    };
    let config = fetch(&manifest["config"]).await;
    let config: Value = serde_json::from_slice(&config).unwrap();
    for (position, layer) in manifest["layers"].as_array().unwrap().iter().enumerate() {
        let content = fetch(layer).await;
        assert_eq!(config["rootfs"]["diff_ids"][position], digest(&content));
        tar::Archive::new(content.as_slice()).unpack(root).unwrap();
    }
    config
}

/// All files below a folder, with their mode.
fn files(root: &Path) -> BTreeMap<PathBuf, u32> {
    use std::os::unix::fs::PermissionsExt;
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path().strip_prefix(root).unwrap().to_owned();
                found.insert(path, meta.permissions().mode() & 0o7777);
            }
        }
    }
    found
}

/// Runs a program with the folder as its root and nothing else, as the user of the image.
fn run_inside(root: &Path, program: &str, argument: &str) -> String {
    let output = Command::new("chroot")
        .arg("--userspec=65532:65532")
        .args([root, Path::new(program), Path::new(argument)])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whatever is installed where they were built: people run the plugin on machines of all kinds.
#[test]
fn programs_load_the_c_library_and_its_companions_alone() {
    let binaries = Binaries::build().unwrap();
    for program in [&binaries.operator, &binaries.webhook, &binaries.plugin] {
        let linkage = Linkage::parse(&fs::read(program).unwrap()).unwrap();
        for library in linkage.needed {
            let (name, _) = library.split_once(".so").unwrap();
            let companions = [
                "libc",
                "libm",
                "libgcc_s",
                "ld-linux-x86-64",
                "ld-linux-aarch64",
            ];
            assert!(
                companions.contains(&name),
                "{} needs {library}",
                program.display()
            );
        }
    }
}

#[test]
fn bills_of_materials_list_what_is_in_each_program_and_nothing_else() {
    let binaries = Binaries::build().unwrap();
    let programs = Search::new(None).require(&[Program::Kustomize]).unwrap();
    let programs = Programs {
        operator: binaries.operator,
        webhook: binaries.webhook,
        plugin: binaries.plugin,
        kustomize: programs.path(Program::Kustomize).unwrap().clone(),
    };
    let bills: BTreeMap<&str, Value> = sbom::all(&programs).unwrap().into_iter().collect();
    let has = |bill: &str, start: &str| {
        let components = bills[bill]["components"].as_array().unwrap();
        components
            .iter()
            .any(|one| one["bom-ref"].as_str().unwrap().starts_with(start))
    };
    let size = |bill: &str| bills[bill]["components"].as_array().unwrap().len();
    assert!(size(product::SYNC_OPERATOR) > size(product::ADMISSION_WEBHOOK));
    let both = [product::SYNC_OPERATOR, product::ADMISSION_WEBHOOK];
    for bill in both {
        for component in ["pkg:cargo/ring@", "pkg:generic/rust-std@", "/lib"] {
            assert!(has(bill, component), "{component} in {bill}");
        }
    }
    let [operator, webhook] = both;
    for component in [
        "pkg:generic/libgit2@1.",
        "pkg:generic/zlib@1.",
        "pkg:golang/sigs.k8s.io/kustomize/kustomize/v5@v5.",
        "pkg:golang/std@1.",
    ] {
        assert!(has(operator, component), "{component}");
        assert!(!has(webhook, component), "{component}");
    }
    // Macros run in the compiler, and are in no program.
    assert!(!has(operator, "pkg:cargo/syn@"));
    assert!(has("kubectl-flux", "pkg:cargo/clap@"));
}

#[tokio::test]
async fn images_are_pulled_by_digest_and_run_alone() {
    let options = Options {
        control_plane: false,
        registry: true,
        ..Options::default()
    };
    let building = tokio::task::spawn_blocking(images);
    let sandbox = Sandbox::start(options).await.unwrap();
    let registry = sandbox.registry().unwrap();
    let (operator, webhook) = building.await.unwrap();
    let tag = format!("v{VERSION}");
    let cases = [
        (product::SYNC_OPERATOR, &operator, "flux-sync-operator"),
        (
            product::ADMISSION_WEBHOOK,
            &webhook,
            "flux-admission-webhook",
        ),
    ];
    for (name, image, program) in cases {
        registry.push(name, &tag, image).await.unwrap();
        assert_eq!(registry.digest(name, &tag).await.unwrap(), image.digest());

        let root = tempfile::tempdir().unwrap();
        let config = pull(&sandbox, name, image.digest(), root.path()).await;
        assert_eq!(config["config"]["User"], "65532:65532");
        let entrypoint = format!("/usr/local/bin/{program}");
        assert_eq!(config["config"]["Entrypoint"][0], entrypoint.as_str());

        let files = files(root.path());
        let names = |folder: &str| -> Vec<String> {
            let inside = files.keys().filter(|path| path.starts_with(folder));
            inside.map(|path| path.display().to_string()).collect()
        };
        let has_kustomize = name == product::SYNC_OPERATOR;
        let mut programs = vec![format!("usr/local/bin/{program}")];
        programs.extend(has_kustomize.then(|| "usr/local/bin/kustomize".to_owned()));
        assert_eq!(names("usr/local"), programs);
        let mut settings = vec!["etc/group", "etc/nsswitch.conf", "etc/passwd"];
        settings.extend(has_kustomize.then_some("etc/ssl/certs/ca-certificates.crt"));
        assert_eq!(names("etc"), settings);
        for (path, mode) in &files {
            assert_eq!(mode & 0o7022, 0, "{} has mode {mode:o}", path.display());
            let known = path.starts_with("etc") || path.starts_with("usr/local");
            let file = path.file_name().unwrap().to_str().unwrap();
            let is_library = file.contains(".so");
            assert!(known || is_library, "{} is in {name}", path.display());
        }

        if !rustix::process::getuid().is_root() {
            eprintln!("not root: {name} was not run");
            continue;
        }
        let said = run_inside(root.path(), &entrypoint, "--version");
        assert_eq!(said.trim(), format!("{program} {VERSION}"));
        if has_kustomize {
            let said = run_inside(root.path(), "/usr/local/bin/kustomize", "version");
            assert!(said.starts_with("v5."), "{said}");
        }
    }
}
