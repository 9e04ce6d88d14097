//! The built program against an API server that answers from a script: what it asks for, and what
//! it makes of answers that a real server gives too seldom to wait for.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

#[path = "cluster/fake.rs"]
mod fake;

use fake::{Answer, Request, cut, list, ok, plain, refusal};

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn said(output: &Output) -> &str {
    text(&output.stderr)
}

fn kind_of(path: &str) -> &'static str {
    match path {
        path if path.contains("/gitrepositories") => "GitRepository",
        path if path.contains("/kustomizations") => "Kustomization",
        _ => "",
    }
}

/// An object that is ready.
fn object(path: &str, name: &str) -> Value {
    let kind = kind_of(path);
    let group = match kind {
        "GitRepository" => "source.toolkit.fluxcd.io/v1",
        _ => "kustomize.toolkit.fluxcd.io/v1",
    };
    json!({
        "apiVersion": group, "kind": kind,
        "metadata": {
            "name": name, "namespace": "apps", "generation": 1, "resourceVersion": "1", "uid": name,
        },
        "spec": {},
        "status": {
            "observedGeneration": 1,
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Succeeded", "message": "fine",
                "observedGeneration": 1,
            }],
        },
    })
}

/// The name that a read or a watch of one object is about.
fn name_of(request: &Request) -> String {
    match request.query.split_once("metadata.name%3D") {
        Some((_, rest)) => rest.split('&').next().unwrap().to_owned(),
        None => request.path.rsplit('/').next().unwrap().to_owned(),
    }
}

#[test]
fn a_source_that_is_missing_holds_back_its_own_only() {
    let asked = Mutex::new(Vec::<String>::new());
    let output = fake::run(
        &[
            "reconcile",
            "ks",
            "a",
            "b",
            "c",
            "--with-source",
            "-n",
            "apps",
            "--timeout=10s",
        ],
        move |request| {
            let name = name_of(request);
            let kind = kind_of(&request.path);
            if kind == "GitRepository" && name == "gone" {
                return refusal(404, "\"gone\" not found", Some("gone"));
            }
            if kind.is_empty() {
                return list(&[]);
            }
            let mut found = object(&request.path, &name);
            let source = if name == "a" { "gone" } else { "here" };
            found["spec"] = json!({"sourceRef": {"kind": "GitRepository", "name": source}});
            let mut asked = asked.lock().unwrap();
            let key = format!("{kind}/{name}/");
            if request.method == "PATCH" {
                let token =
                    &request.body["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"];
                asked.push(format!("{key}{}", token.as_str().unwrap()));
            }
            let token = asked.iter().find_map(|line| line.strip_prefix(&key));
            found["status"]["lastHandledReconcileAt"] = token.into();
            match () {
                () if request.query.contains("watch=true") => refusal(403, "no watch", None),
                () if request.query.contains("metadata.name") => list(&[found]),
                () => ok(&found),
            }
        },
    );
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "Kustomization a is left alone: its source was not fetched",
        "annotating Kustomization b",
        "annotating Kustomization c",
        "b: applied revision",
        "c: applied revision",
        "gone",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("annotating Kustomization a"), "{said}");
}

#[test]
fn all_that_is_installed_is_waited_for() {
    let wait = |installed: &'static [&'static str]| {
        fake::run(&["wait", "--all", "-n", "apps"], move |request| {
            let is_installed = installed.contains(&kind_of(&request.path));
            match () {
                () if request.path.starts_with("/api/v1/") => list(&[]),
                () if !is_installed => refusal(404, "404 page not found", None),
                () => list(&[object(&request.path, "web")]),
            }
        })
    };
    let output = wait(&["GitRepository", "Kustomization"]);
    assert!(output.status.success(), "{}", said(&output));
    for kind in ["GitRepository", "Kustomization"] {
        let line = format!("{kind}/apps/web is ready");
        assert!(said(&output).contains(&line), "{}", said(&output));
    }
    let output = wait(&[]);
    assert_eq!(output.status.code(), Some(1));
    let words = "the cluster does not know GitRepository, ImageRepository";
    assert!(said(&output).contains(words), "{}", said(&output));
}

#[test]
fn the_timeout_is_for_all_that_is_resumed() {
    let names = ["a", "b", "c", "d", "e"];
    let timeout = Duration::from_secs(2);
    let args = ["resume", "ks", "--wait", "-n", "apps", "--timeout=2s"];
    let start = Instant::now();
    let output = fake::run(&[&args[..], &names].concat(), |request| {
        let mut found = object(&request.path, &name_of(request));
        found["metadata"]["generation"] = 2.into();
        match () {
            () if request.path.starts_with("/api/v1/") => list(&[]),
            () if request.query.contains("metadata.name") => list(&[found]),
            () => ok(&found),
        }
    });
    let took = start.elapsed();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(took < 4 * timeout, "{took:?}");
    for name in names {
        let line = format!("apps/{name}: timed out after 2s");
        assert!(said(&output).contains(&line), "{}", said(&output));
    }
}

/// A controller in two pods, of which each has another container besides.
fn controllers(request: &Request, log: impl Fn(&str) -> Answer) -> Answer {
    let metadata = |name: &str| json!({"name": name, "namespace": "flux-system"});
    let pod = |name: &str| {
        json!({
            "metadata": metadata(name),
            "spec": {"containers": [{"name": "proxy"}, {"name": "manager"}]},
        })
    };
    match request.path.rsplit('/').next().unwrap() {
        "deployments" => list(&[json!({
            "metadata": metadata("controller"),
            "spec": {
                "selector": {"matchLabels": {"app": "controller"}},
                "template": {"metadata": {}, "spec": {"containers": []}},
            },
        })]),
        "pods" => list(&[pod("one"), pod("two")]),
        "log" if request.query.contains("container=manager") => {
            log(request.path.rsplit('/').nth(1).unwrap())
        }
        _ => refusal(400, "a container name must be specified", None),
    }
}

fn line(second: u8, message: &str) -> String {
    let time = format!("2026-01-01T00:00:0{second}Z");
    format!("{}\n", json!({"level": "info", "ts": time, "msg": message}))
}

#[test]
fn the_logs_of_controllers_are_found_among_other_containers() {
    let output = fake::run(&["logs", "-A"], |request| {
        controllers(request, |pod| match pod {
            "one" => plain(&format!("{}panic: one\n{}", line(1, "a"), line(3, "c"))),
            _ => plain(&line(2, "b")),
        })
    });
    assert!(output.status.success(), "{}", said(&output));
    let expected = "2026-01-01T00:00:01Z info - a\npanic: one\n\
                    2026-01-01T00:00:02Z info - b\n2026-01-01T00:00:03Z info - c\n";
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn a_log_that_breaks_off_does_not_end_the_others() {
    for broken in [
        || cut(&line(1, "a")),
        || refusal(500, "no route to the node", None),
    ] {
        let output = fake::run(&["logs", "-A", "-f"], move |request| {
            controllers(request, |pod| match pod {
                "one" => broken(),
                _ => plain(&line(2, "b")),
            })
        });
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(text(&output.stdout).contains("info - b\n"), "{said}");
        for part in [
            "cannot read the log of pod flux-system/one: ",
            "1 of 2 logs could not be read to their end",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }
}

#[test]
fn a_secret_stays_where_its_key_cannot_be_registered() {
    let known_hosts = std::env::temp_dir().join(format!("known-hosts-{}", std::process::id()));
    let key = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    std::fs::write(&known_hosts, format!("github.com ssh-ed25519 {key}\n")).unwrap();
    let file = format!("--known-hosts-file={}", known_hosts.display());
    for (url, more, words) in [
        ("o/r", "--export", "it cannot be used with --export"),
        ("o/r", "", "set GITHUB_TOKEN"),
        (
            "o",
            "",
            "is no repository on GitHub, which would be OWNER/NAME",
        ),
    ] {
        let url = format!("--url=ssh://git@github.com/{url}");
        let mut args = vec!["create", "secret", "git", "x", &url, &file];
        args.push("--register-deploy-key=ro");
        args.extend((!more.is_empty()).then_some(more));
        let writes = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&writes);
        let output = fake::run(&args, move |request| {
            seen.lock().unwrap().push(request.method.clone());
            refusal(404, "not found", Some("x"))
        });
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
        assert_eq!(writes.lock().unwrap().as_slice(), &[] as &[String]);
    }
    std::fs::remove_file(known_hosts).unwrap();
}
