//! nginx's configuration for a set of Ingresses. Pure.

use std::{collections::BTreeMap, fmt::Write as _, path::Path, sync::Arc};

use k8s_openapi::api::{
    core::v1::Service,
    networking::v1::{HTTPIngressPath, Ingress},
};
use kube::ResourceExt;

/// File with what [`servers`] returns, in nginx's folder.
pub(super) const SERVERS: &str = "servers.conf";

const CLASS: &str = "nginx";
const REWRITE_TARGET: &str = "nginx.ingress.kubernetes.io/rewrite-target";
const USE_REGEX: &str = "nginx.ingress.kubernetes.io/use-regex";

/// The file that nginx is started with.
pub(super) fn main(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "daemon off;\n\
         user root;\n\
         worker_processes 1;\n\
         pid \"{dir}/nginx.pid\";\n\
         error_log stderr warn;\n\
         events {{}}\n\
         http {{\n\
         access_log off;\n\
         client_body_temp_path \"{dir}/body\";\n\
         proxy_temp_path \"{dir}/proxy\";\n\
         fastcgi_temp_path \"{dir}/fastcgi\";\n\
         uwsgi_temp_path \"{dir}/uwsgi\";\n\
         scgi_temp_path \"{dir}/scgi\";\n\
         include \"{dir}/{SERVERS}\";\n\
         }}\n"
    )
}

/// One server for each host, and one that answers 404 for all others, as ingress-nginx does.
pub(super) fn servers(ingresses: &[Arc<Ingress>], services: &[Arc<Service>]) -> String {
    let mut hosts: BTreeMap<&str, Vec<Location>> = BTreeMap::new();
    for ingress in ingresses.iter().filter(|ingress| is_ours(ingress)) {
        let rules = ingress
            .spec
            .iter()
            .flat_map(|spec| spec.rules.iter().flatten());
        for rule in rules {
            let host = rule.host.as_deref().unwrap_or("_");
            let paths = rule.http.iter().flat_map(|http| &http.paths);
            let locations = paths.filter_map(|path| Location::new(ingress, path, services));
            hosts.entry(host).or_default().extend(locations);
        }
    }
    hosts.entry("_").or_default();
    let mut text = String::new();
    for (host, mut locations) in hosts {
        // As soon as one path of a host is a regular expression, all are: longest first.
        let regex = locations.iter().any(|location| location.regex);
        locations.sort_by_key(|location| std::cmp::Reverse(location.path.len()));
        let default = if host == "_" { " default_server" } else { "" };
        let _ = writeln!(text, "server {{\nlisten 80{default};\nserver_name {host};");
        for location in &locations {
            location.write(regex, &mut text);
        }
        if !locations.iter().any(|location| location.path == "/") {
            text.push_str("location / { return 404; }\n");
        }
        text.push_str("}\n");
    }
    text
}

/// Address of a Service inside the cluster; a headless one has none.
pub(super) fn cluster_ip(service: &Service) -> Option<&str> {
    let address = service.spec.as_ref()?.cluster_ip.as_deref()?;
    (!address.is_empty() && address != "None").then_some(address)
}

fn is_ours(ingress: &Ingress) -> bool {
    let class = ingress
        .spec
        .as_ref()
        .and_then(|spec| spec.ingress_class_name.as_deref());
    class == Some(CLASS)
}

#[derive(Debug)]
struct Location {
    path: String,
    exact: bool,
    /// Whether the path's own Ingress makes it a regular expression.
    regex: bool,
    rewrite: Option<String>,
    /// Address and port of the Service; none when there is no such Service.
    backend: Option<String>,
}

impl Location {
    /// `None` for a path that ingress-nginx refuses, or that could not be told apart from
    /// configuration.
    fn new(ingress: &Ingress, path: &HTTPIngressPath, services: &[Arc<Service>]) -> Option<Self> {
        let annotation = |name: &str| ingress.annotations().get(name).cloned();
        let rewrite = annotation(REWRITE_TARGET);
        let text = path.path.clone().unwrap_or_else(|| "/".to_owned());
        let strict = path.path_type != "ImplementationSpecific";
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        // ingress-nginx 1.12 and newer, with strict-validate-path-type.
        if strict && !text.chars().all(plain) {
            return None;
        }
        let harmless = |text: &str| !text.contains(['"', '\\', ';', '\n', '\r', ' ']);
        if !harmless(&text) || !rewrite.as_deref().is_none_or(harmless) {
            return None;
        }
        Some(Self {
            exact: path.path_type == "Exact",
            regex: rewrite.is_some() || annotation(USE_REGEX).as_deref() == Some("true"),
            backend: backend(&ingress.namespace()?, path, services),
            path: text,
            rewrite,
        })
    }

    fn write(&self, regex: bool, text: &mut String) {
        let path = &self.path;
        let head = match (regex, self.exact) {
            (_, true) => format!("= \"{path}\""),
            (true, false) => format!("~* \"^{path}\""),
            (false, false) => format!("\"{path}\""),
        };
        let _ = writeln!(text, "location {head} {{");
        if let Some(target) = &self.rewrite {
            let _ = writeln!(text, "rewrite \"(?i){path}\" {target} break;");
        }
        match &self.backend {
            Some(backend) => {
                let _ = writeln!(
                    text,
                    "proxy_set_header Host $http_host;\nproxy_pass http://{backend};"
                );
            }
            None => text.push_str("return 503;\n"),
        }
        text.push_str("}\n");
    }
}

/// The Service of a path: one of the Ingress's own namespace, by port number or name.
fn backend(namespace: &str, path: &HTTPIngressPath, services: &[Arc<Service>]) -> Option<String> {
    let wanted = path.backend.service.as_ref()?;
    let service = services.iter().find(|service| {
        service.name_any() == wanted.name && service.namespace().as_deref() == Some(namespace)
    })?;
    let port = wanted.port.as_ref()?;
    let mut ports = service.spec.as_ref()?.ports.iter().flatten();
    let port = ports.find(|candidate| {
        Some(candidate.port) == port.number || (port.name.is_some() && candidate.name == port.name)
    })?;
    Some(format!("{}:{}", cluster_ip(service)?, port.port))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ingress(namespace: &str, class: Option<&str>, path_type: &str) -> Arc<Ingress> {
        let object = json!({
            "metadata": {
                "name": "foo",
                "namespace": namespace,
                "annotations": {REWRITE_TARGET: "/$2"},
            },
            "spec": {
                "ingressClassName": class,
                "rules": [{"host": "apps.example.com", "http": {"paths": [{
                    "path": "/foo(/|$)(.*)",
                    "pathType": path_type,
                    "backend": {"service": {"name": "foo", "port": {"number": 8080}}},
                }]}}],
            },
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn service() -> Arc<Service> {
        let object = json!({
            "metadata": {"name": "foo", "namespace": "foo"},
            "spec": {"clusterIP": "10.96.0.7", "ports": [{"port": 8080}]},
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    const NOTHING: &str = "server {\nlisten 80 default_server;\nserver_name _;\n\
                           location / { return 404; }\n}\n";

    #[test]
    fn writes_what_ingress_nginx_documents() {
        let served = ingress("foo", Some("nginx"), "ImplementationSpecific");
        assert_eq!(
            servers(&[served], &[service()]),
            format!(
                "{NOTHING}server {{\nlisten 80;\nserver_name apps.example.com;\n\
                 location ~* \"^/foo(/|$)(.*)\" {{\n\
                 rewrite \"(?i)/foo(/|$)(.*)\" /$2 break;\n\
                 proxy_set_header Host $http_host;\n\
                 proxy_pass http://10.96.0.7:8080;\n}}\n\
                 location / {{ return 404; }}\n}}\n"
            )
        );
    }

    #[test]
    fn what_the_rules_warn_about_is_not_served() {
        // IN01: no class. IN15: a regular expression with pathType Prefix.
        let unserved = ingress("foo", None, "ImplementationSpecific");
        assert_eq!(servers(&[unserved], &[service()]), NOTHING);
        let refused = ingress("foo", Some("nginx"), "Prefix");
        assert!(!servers(&[refused], &[service()]).contains("/foo"));
        // IN30: the Service is in another namespace.
        let elsewhere = ingress("bar", Some("nginx"), "ImplementationSpecific");
        assert!(servers(&[elsewhere], &[service()]).contains("return 503;"));
    }
}
