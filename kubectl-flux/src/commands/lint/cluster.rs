//! What the cluster holds: as the context of files, and to be looked at itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use flux_rules::files::{self, Located};
use flux_rules::{
    Context as Surroundings, Facts as _, Kind, MODE_LABEL, Mode, Objects, Policy, Severity,
};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use super::{Args, Outcome, settings};
use crate::cluster::ClusterError;
use crate::context::Context;
use crate::error::Error;
use crate::output;

/// Group, version, kind and plural of what rules ask about besides their own kinds.
const OTHERS: [(&str, &str, &str, &str); 5] = [
    ("networking.k8s.io", "v1", "IngressClass", "ingressclasses"),
    ("", "v1", "Service", "services"),
    ("", "v1", "Namespace", "namespaces"),
    ("", "v1", "ServiceAccount", "serviceaccounts"),
    ("", "v1", "ConfigMap", "configmaps"),
];

/// The objects of the cluster that rules ask about. Of Secrets only the names are read.
///
/// # Errors
/// If the cluster cannot be asked. What it does not serve, or not to us, stays unknown.
pub(super) async fn objects(context: &Context) -> Result<files::Cluster, Error> {
    let cluster = context.cluster().await?;
    let mut found = files::Cluster::default();
    for kind in Kind::ALL {
        let resource = resource(kind);
        let answer = cluster.list_values(&resource).await;
        add(&resource.kind, answer, &mut found)?;
    }
    for (group, version, kind, plural) in OTHERS {
        let gvk = GroupVersionKind::gvk(group, version, kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
        let answer = cluster.list_values(&resource).await;
        add(&resource.kind, answer, &mut found)?;
    }
    let secrets = cluster.secret_names().await.map(|names| {
        let secret = |(namespace, name)| {
            json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {"namespace": namespace, "name": name},
            })
        };
        names.into_iter().map(secret).collect()
    });
    add("Secret", secrets, &mut found)?;
    Ok(found)
}

fn resource(kind: Kind) -> ApiResource {
    let gvk = GroupVersionKind::gvk(kind.group(), "v1", kind.name());
    ApiResource::from_gvk_with_plural(&gvk, kind.plural())
}

/// Adds the objects of a kind; what may not be listed stays unknown, which silences rules and
/// nothing more.
fn add(
    kind: &str,
    answer: Result<Vec<Value>, ClusterError>,
    found: &mut files::Cluster,
) -> Result<(), Error> {
    match answer {
        Ok(objects) => {
            found.kinds.push(kind.to_owned());
            found.objects.extend(objects.into_iter().map(Arc::new));
        }
        Err(error) if error.is_about_one_resource() => {
            output::warning(format!("rules about {kind} are silent: {error}"));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Reviews every object that there are rules for.
pub(super) async fn scan(args: &Args, context: &Context) -> Result<Outcome, Error> {
    let found = objects(context).await?;
    let is_listed = |kind: Kind| found.kinds.iter().any(|listed| listed == kind.name());
    if !Kind::ALL.into_iter().any(is_listed) {
        return Err(Error::input(
            "none of the kinds that there are rules for can be listed: nothing was looked at",
        ));
    }
    let data = found
        .objects
        .iter()
        .find(|object| is_policy(object, context.namespace()))
        .and_then(|object| object.get("data")?.as_object());
    let data: BTreeMap<String, String> = data
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    let (mut policy, problems) = Policy::read(&data, context.namespace());
    for problem in problems {
        output::warning(problem);
    }
    if args.ingress_nginx_version.is_some() {
        policy.settings = settings(args);
    }
    let subjects: Vec<Arc<Value>> = found
        .objects
        .iter()
        .filter(|object| Kind::of(object).is_some())
        .cloned()
        .collect();
    let facts = Arc::new(Objects::of_cluster(found.objects, found.kinds));
    let surroundings = Surroundings::new(policy.settings, facts.clone());
    let mut findings = Vec::new();
    for object in &subjects {
        // As the webhook does: what a namespace is exempt from is no finding in it.
        let namespace = object
            .pointer("/metadata/namespace")
            .and_then(Value::as_str);
        let labels = facts.namespace(namespace.unwrap_or_default()).present();
        let label = labels.and_then(|labels| labels.get(MODE_LABEL).cloned());
        let mode = match policy.mode("", label.as_deref()) {
            Mode::Off if label.is_some() => continue,
            _ if args.as_enforced => Mode::Enforce,
            mode => mode,
        };
        let review = policy.judge(object, None, &surroundings, mode);
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let name = [
            text("/kind"),
            text("/metadata/namespace"),
            text("/metadata/name"),
        ];
        let name = name.into_iter().flatten().collect::<Vec<_>>().join("/");
        for finding in review.findings {
            if args.as_enforced && finding.severity < Severity::Error {
                continue;
            }
            findings.push(Located {
                rule: finding.rule,
                severity: finding.severity,
                file: String::new(),
                line: 0,
                column: 0,
                object: name.clone(),
                path: finding.path,
                message: finding.message,
                fix: None,
                span: 0..0,
                pointer: finding.pointer,
            });
        }
    }
    Ok(Outcome {
        findings,
        texts: BTreeMap::new(),
        what: format!("{} objects", subjects.len()),
    })
}

/// Whether this is the ConfigMap that the webhook reads.
fn is_policy(object: &Value, namespace: &str) -> bool {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    text("/kind") == Some("ConfigMap")
        && text("/metadata/namespace") == Some(namespace)
        && text("/metadata/name") == Some(flux_rules::POLICY_NAME)
}
