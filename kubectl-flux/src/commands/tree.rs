//! `tree kustomization`: what a Kustomization applied, what that applied in turn, and its state.

use futures::future::BoxFuture;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::cluster::{Cluster, View};
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;
use crate::output;
use crate::output::manifest::{self, Format};
use flux_api::{ObjectId, names};

/// Kustomizations below each other that are followed; a circle ends there.
const DEPTH: usize = 10;

/// What can be shown as a tree.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Tree {
    /// Show what a Kustomization applied
    #[command(visible_alias = "ks", alias = "kustomizations")]
    Kustomization(Args),
}

/// Flags of `tree kustomization`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the Kustomization
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Show only Flux objects
    #[arg(long)]
    compact: bool,
    /// Format: json or yaml
    #[arg(short = 'o', long, value_name = "FORMAT", value_parser = Format::parse)]
    output: Option<Format>,
}

/// An object and what it applied.
struct Node {
    id: ObjectId,
    /// State of a Kustomization that is not ready.
    note: Option<String>,
    below: Vec<Node>,
}

/// Runs the command.
pub(crate) fn run(what: &Tree, context: &Context) -> Result<(), Error> {
    let Tree::Kustomization(args) = what;
    let Some((name, rest)) = args.names.split_first() else {
        return Err(Error::input("kustomization name is required"));
    };
    crate::cli::values::ignore_extra(rest);
    context.block_on(async {
        let cluster = context.cluster().await?;
        let object = cluster
            .get(Kind::Kustomization, context.namespace(), name)
            .await?;
        let id = ObjectId {
            namespace: context.namespace().to_owned(),
            name: name.clone(),
            group: Kind::Kustomization.group().to_owned(),
            kind: Kind::Kustomization.name().to_owned(),
        };
        let root = node(&cluster, id, &object, args.compact, DEPTH).await;
        let text = match args.output {
            None => {
                let mut text = format!("{}\n", title(&root));
                draw(&root.below, "", &mut text);
                text + "\n"
            }
            Some(Format::Json) => manifest::json(&value(&root))?,
            Some(Format::Yaml) => flux_lang::yaml::to_string(&value(&root)),
        };
        output::data(&text)
    })
}

fn node<'a>(
    cluster: &'a Cluster,
    id: ObjectId,
    object: &'a DynamicObject,
    compact: bool,
    depth: usize,
) -> BoxFuture<'a, Node> {
    Box::pin(async move {
        let mut below = Vec::new();
        for child in inventory(object) {
            if compact && !child.group.contains("toolkit.fluxcd.io") {
                continue;
            }
            let is_followed = child.kind == Kind::Kustomization.name()
                && child.group == Kind::Kustomization.group()
                && child != id
                && depth > 0;
            // Who may not read it still sees that it is there.
            let found = match is_followed {
                true => cluster
                    .find(Kind::Kustomization, &child.namespace, &child.name)
                    .await
                    .ok()
                    .flatten(),
                false => None,
            };
            below.push(match found {
                Some(found) => node(cluster, child, &found, compact, depth - 1).await,
                None => Node {
                    id: child,
                    note: None,
                    below: Vec::new(),
                },
            });
        }
        Node {
            note: state(object),
            id,
            below,
        }
    })
}

fn inventory(object: &DynamicObject) -> Vec<ObjectId> {
    let entries = object
        .at("/status/inventory/entries")
        .and_then(Value::as_array);
    entries
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.get("id")?.as_str()?.parse().ok())
        .collect()
}

/// What is worth saying about a Kustomization: nothing when all is well.
fn state(object: &DynamicObject) -> Option<String> {
    if object.is_suspended() {
        return Some("suspended".to_owned());
    }
    match object.condition(names::READY) {
        Some(ready) if ready.is_true() => None,
        Some(ready) => Some(format!("not ready: {}", ready.reason)),
        None => Some("waiting to be reconciled".to_owned()),
    }
}

fn title(node: &Node) -> String {
    let ObjectId {
        namespace,
        name,
        kind,
        ..
    } = &node.id;
    let place = match namespace.is_empty() {
        true => String::new(),
        false => format!("{namespace}/"),
    };
    match &node.note {
        Some(note) => format!("{kind}/{place}{name} ({note})"),
        None => format!("{kind}/{place}{name}"),
    }
}

fn draw(nodes: &[Node], indent: &str, text: &mut String) {
    for (index, node) in nodes.iter().enumerate() {
        let (branch, below) = match index + 1 == nodes.len() {
            true => ("\u{2514}\u{2500}\u{2500} ", "    "),
            false => ("\u{251c}\u{2500}\u{2500} ", "\u{2502}   "),
        };
        text.push_str(&format!("{indent}{branch}{}\n", title(node)));
        draw(&node.below, &format!("{indent}{below}"), text);
    }
}

/// Flux's shape, with the state where there is something to say.
fn value(node: &Node) -> Value {
    let mut value = json!({
        "resource": {
            "Namespace": node.id.namespace,
            "Name": node.id.name,
            "GroupKind": { "Group": node.id.group, "Kind": node.id.kind },
        },
    });
    if let Some(note) = &node.note {
        value["status"] = note.as_str().into();
    }
    if !node.below.is_empty() {
        value["resources"] = node.below.iter().map(self::value).collect();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(kind: &str, namespace: &str, name: &str) -> Node {
        Node {
            id: ObjectId {
                namespace: namespace.into(),
                name: name.into(),
                group: String::new(),
                kind: kind.into(),
            },
            note: None,
            below: Vec::new(),
        }
    }

    #[test]
    fn branches() {
        let mut apps = leaf("Kustomization", "flux-system", "apps");
        apps.note = Some("suspended".into());
        apps.below = vec![
            leaf("Deployment", "foo", "foo"),
            leaf("Service", "foo", "foo"),
        ];
        let nodes = [leaf("Namespace", "", "foo"), apps];
        let mut text = String::new();
        draw(&nodes, "", &mut text);
        assert_eq!(
            text,
            "├── Namespace/foo\n\
             └── Kustomization/flux-system/apps (suspended)\n\
             \u{20}   ├── Deployment/foo/foo\n\
             \u{20}   └── Service/foo/foo\n"
        );
        assert_eq!(
            value(&nodes[1])["resources"][0]["resource"]["GroupKind"]["Kind"],
            "Deployment"
        );
    }
}
