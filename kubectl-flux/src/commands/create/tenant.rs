//! `create tenant`: namespaces for a team, with an account that reconciles in them and nowhere
//! else.

use serde_json::{Value, json};

use super::Shared;
use crate::cli::values;
use crate::cluster::apply::{Change, display};
use crate::context::Context;
use crate::error::Error;
use crate::output;

/// Label of everything that belongs to a tenant; Flux's.
const TENANT: &str = "toolkit.fluxcd.io/tenant";

/// Flags of `create tenant`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the tenant
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Namespace of the tenant; may be repeated
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    with_namespace: Vec<String>,
    /// Role that the tenant has in its namespaces
    #[arg(long, value_name = "NAME", default_value = "cluster-admin")]
    cluster_role: String,
    /// Name of the account [default: the tenant's]
    #[arg(long, value_name = "NAME")]
    with_service_account: Option<String>,
    /// Leave the namespaces to others
    #[arg(long)]
    skip_namespace: bool,
}

/// Runs the command.
pub(super) fn run(args: &Args, shared: &Shared, context: &Context) -> Result<(), Error> {
    let name = values::object_name(&args.names)?;
    let labels = values::labels(&shared.label)?;
    if args.with_namespace.is_empty() {
        return Err(Error::input("with-namespace is required"));
    }
    let mut objects = Vec::new();
    for namespace in &args.with_namespace {
        if !crate::context::is_dns_label(namespace) {
            return Err(Error::input(format!(
                "namespace must be a valid DNS label: {namespace:?}"
            )));
        }
        let account = args.with_service_account.as_deref().unwrap_or(name);
        let mut of_one = manifests(name, namespace, account, &args.cluster_role);
        if args.skip_namespace {
            of_one.remove(0);
        }
        for object in &mut of_one {
            for (key, value) in &labels {
                object["metadata"]["labels"][key] = value.as_str().into();
            }
        }
        objects.extend(of_one);
    }
    if shared.export {
        let text: String = objects.iter().map(output::manifest::export).collect();
        return output::data(&text);
    }
    context.block_on(async {
        let cluster = context.cluster().await?;
        let tell = |object: &Value, change: Change| {
            output::success(format!("{} {}", display(object), change.word()));
        };
        output::action(format!("applying tenant {name}"));
        cluster.apply(objects, context.timeout(), tell).await
    })
}

fn manifests(tenant: &str, namespace: &str, account: &str, role: &str) -> Vec<Value> {
    let labels = json!({ TENANT: tenant });
    vec![
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": namespace, "labels": labels },
        }),
        json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": { "name": account, "namespace": namespace, "labels": labels },
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {
                "name": format!("{tenant}-reconciler"), "namespace": namespace, "labels": labels,
            },
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role,
            },
            "subjects": [
                {
                    "apiGroup": "rbac.authorization.k8s.io", "kind": "User",
                    "name": format!("gotk:{namespace}:reconciler"),
                },
                { "kind": "ServiceAccount", "name": account, "namespace": namespace },
            ],
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::manifests;

    #[test]
    fn a_tenant_has_rights_in_its_namespace_only() {
        let objects = manifests("dev", "apps", "dev", "cluster-admin");
        let kinds: Vec<_> = objects
            .iter()
            .map(|o| o["kind"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["Namespace", "ServiceAccount", "RoleBinding"]);
        let binding = &objects[2];
        assert_eq!(binding["metadata"]["namespace"], "apps");
        assert_eq!(
            binding["metadata"]["labels"]["toolkit.fluxcd.io/tenant"],
            "dev"
        );
        assert_eq!(binding["subjects"][0]["name"], "gotk:apps:reconciler");
    }
}
