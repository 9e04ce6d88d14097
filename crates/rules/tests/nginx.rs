//! What the rules say nginx does with paths and rewrites is what nginx does. Debian's, configured as
//! ingress-nginx configures it; skipped where it is not installed.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flux_rules::{Context, Objects, Settings, review};
use serde_json::{Value, json};

/// Where Debian installs it, which is seldom in `PATH`.
const NGINX: &str = "/usr/sbin/nginx";

fn is_there() -> bool {
    let there = Path::new(NGINX).exists();
    if !there {
        eprintln!("skipped: {NGINX} is not there; install nginx-light to run this test");
    }
    there
}

/// An Ingress with one path and these annotations of ingress-nginx.
fn ingress(path: &str, path_type: &str, annotations: &[(&str, &str)]) -> Value {
    let annotations: serde_json::Map<String, Value> = annotations
        .iter()
        .map(|(name, value)| (format!("nginx.ingress.kubernetes.io/{name}"), json!(value)))
        .collect();
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "a", "namespace": "web", "annotations": annotations},
        "spec": {"ingressClassName": "nginx", "rules": [{"host": "a.example.com", "http": {"paths": [
            {"path": path, "pathType": path_type, "backend": {"service": {"name": "a", "port": {"number": 80}}}},
        ]}}]},
    })
}

/// The rules about rewrites and expressions that speak about an Ingress.
fn rules(ingress: &Value) -> Vec<&'static str> {
    let class = json!({"kind": "IngressClass", "metadata": {"name": "nginx"},
        "spec": {"controller": "k8s.io/ingress-nginx"}});
    let context = Context::new(Settings::default(), Arc::new(Objects::partial([class])));
    let found = review(ingress, None, &context).findings.into_iter();
    found
        .map(|finding| finding.rule)
        .filter(|rule| matches!(*rule, "IN10" | "IN11" | "IN12" | "IN14" | "IN16"))
        .collect()
}

/// The location that ingress-nginx makes of a path.
fn location(path: &str, path_type: &str, target: Option<&str>, regex: bool) -> String {
    let head = match (regex || target.is_some(), path_type) {
        (true, _) => format!("location ~* \"^{path}\""),
        (false, "Exact") => format!("location = {path}"),
        (false, _) => format!("location {path}"),
    };
    let rewrite = target.map_or(String::new(), |target| {
        format!("rewrite \"(?i){path}\" {target} break;")
    });
    format!("{head} {{ {rewrite} proxy_pass http://backend; }}")
}

/// An nginx with one location before a backend that answers with the address it is asked for.
struct Server {
    folder: PathBuf,
    child: Option<Child>,
}

impl Server {
    fn configure(name: &str, location: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("flux-rules-nginx-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let at = folder.display();
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
             events {{}}\n\
             http {{ access_log off; client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f;\n\
             uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
             upstream backend {{ server unix:{at}/backend.sock; }}\n\
             server {{ listen unix:{at}/backend.sock; location / {{ return 200 $request_uri; }} }}\n\
             server {{ listen unix:{at}/front.sock; {location} }}\n}}\n"
        );
        fs::write(folder.join("nginx.conf"), config).expect("a configuration");
        Self {
            folder,
            child: None,
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(NGINX);
        command
            .arg("-p")
            .arg(&self.folder)
            .arg("-c")
            .arg(self.folder.join("nginx.conf"))
            .arg("-e")
            .arg(self.folder.join("error.log"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Whether nginx takes its configuration.
    fn is_accepted(&self) -> bool {
        self.command()
            .arg("-t")
            .status()
            .expect("nginx runs")
            .success()
    }

    /// What the backend is asked for, or the status if it is not asked.
    fn ask(&mut self, path: &str) -> String {
        if self.child.is_none() {
            self.child = Some(self.command().spawn().expect("nginx starts"));
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut stream = loop {
            match UnixStream::connect(self.folder.join("front.sock")) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < deadline, "nginx does not listen: {error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        write!(stream, "GET {path} HTTP/1.0\r\nHost: a.example.com\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let status = answer
            .split_whitespace()
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        if status == "200" {
            answer
                .rsplit("\r\n\r\n")
                .next()
                .unwrap_or_default()
                .to_owned()
        } else {
            status
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Path, type, target, use-regex, request, what the backend gets, rules.
type Row = (
    &'static str,
    &'static str,
    Option<&'static str>,
    bool,
    &'static str,
    &'static str,
    &'static [&'static str],
);

#[test]
fn rewrites_lead_where_the_rules_say() {
    if !is_there() {
        return;
    }
    let table: [Row; 11] = [
        (
            "/foo(/|$)(.*)",
            "ImplementationSpecific",
            Some("/$2"),
            true,
            "/foo/bar",
            "/bar",
            &[],
        ),
        (
            "/foo(/|$)(.*)",
            "ImplementationSpecific",
            Some("/$2"),
            true,
            "/foo",
            "/",
            &[],
        ),
        (
            "/foo/(.*)",
            "ImplementationSpecific",
            Some("/$1"),
            true,
            "/foo/a/b",
            "/a/b",
            &[],
        ),
        (
            "/foo",
            "ImplementationSpecific",
            Some("/$2"),
            true,
            "/foo/bar",
            "/",
            &["IN10"],
        ),
        (
            "/foo/(.*)",
            "ImplementationSpecific",
            Some("/$2"),
            true,
            "/foo/bar",
            "/",
            &["IN10"],
        ),
        (
            "/foo(/|$)(.*)",
            "ImplementationSpecific",
            Some("/"),
            true,
            "/foo/bar",
            "/",
            &["IN11"],
        ),
        (
            "/foo",
            "Prefix",
            Some("/"),
            false,
            "/foo/bar",
            "/",
            &["IN12"],
        ),
        ("/foo", "Prefix", None, false, "/foo/bar", "/foo/bar", &[]),
        (
            "/api/v[0-9]+/.*",
            "ImplementationSpecific",
            None,
            false,
            "/api/v1/x",
            "404",
            &["IN14"],
        ),
        (
            "/api/v[0-9]+/.*",
            "ImplementationSpecific",
            None,
            true,
            "/api/v1/x",
            "/api/v1/x",
            &[],
        ),
        (
            "/API/.*",
            "ImplementationSpecific",
            None,
            true,
            "/api/x",
            "/api/x",
            &[],
        ),
    ];
    for (index, (path, path_type, target, regex, request, expected, names)) in
        table.into_iter().enumerate()
    {
        let mut annotations = Vec::new();
        if let Some(target) = target {
            annotations.push(("rewrite-target", target));
        }
        if regex {
            annotations.push(("use-regex", "true"));
        }
        // One harmless annotation: without any, nobody knows who serves the Ingress.
        annotations.push(("proxy-body-size", "8m"));
        assert_eq!(
            rules(&ingress(path, path_type, &annotations)),
            names,
            "{path} {target:?}"
        );
        let location = location(path, path_type, target, regex);
        let got = Server::configure(&format!("rewrite-{index}"), &location).ask(request);
        assert_eq!(got, expected, "{path} {target:?} {request}");
    }
}

#[test]
fn what_is_called_broken_nginx_refuses() {
    if !is_there() {
        return;
    }
    let table = [
        ("/foo(/|$)(.*)", true),
        ("/[a-z]+(?:x|y)?", true),
        ("/(?<name>.*)", true),
        ("/a(?!b)", true),
        (r"/a\.b", true),
        ("/[]a]", true),
        ("/[^]a]", true),
        ("/[(]", true),
        (r"/\d{2,3}", true),
        ("/foo(/|$", false),
        ("/foo)", false),
        ("/[a-z", false),
        ("/foo(?:bar", false),
    ];
    for (index, (path, valid)) in table.into_iter().enumerate() {
        let ingress = ingress(path, "ImplementationSpecific", &[("use-regex", "true")]);
        let broken = rules(&ingress).contains(&"IN16");
        let server = Server::configure(&format!("regex-{index}"), &location(path, "", None, true));
        assert_eq!(server.is_accepted(), valid, "nginx about {path}");
        assert_eq!(broken, !valid, "the rule about {path}");
    }
}
